package http2load

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"proofload/internal/load/transport"
)

// openLimit is how long the connection of a link may take to open. It is nobody's in particular: a call that has no
// more time leaves the opening to those who come after it.
const openLimit = 20 * time.Second

// Link is one connection to the target, which is opened when it is needed, and again after it was lost. Its calls
// share it: those beyond what the server allows at once wait for their turn. It may be used by any number of
// goroutines, and must be closed unless its client is.
type Link struct {
	client *Client

	mu      sync.Mutex
	conn    *conn         // nil: none is open
	took    time.Duration // to open it; given to the first call over it
	parts   transport.Parts
	opening *opening
	closed  bool
}

// opening is a connection that is being opened, with those who wait for it.
type opening struct {
	cancel    context.CancelFunc
	resolving atomic.Bool

	done chan struct{} // closed when what follows is set
	conn *conn
	err  error
}

// NewLink returns a link, which connects to nothing before it is used.
func (c *Client) NewLink() *Link { return &Link{client: c} }

// Close closes the connection; calls in flight fail with transport.KindCancelled, as those that come later do.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	cn, o := l.conn, l.opening
	l.conn = nil
	l.mu.Unlock()
	if o != nil {
		o.cancel()
	}
	if cn != nil {
		cn.Leave()
	}
}

// Do makes a call. A nil error means that the stream has ended properly and the receiver has found nothing wrong;
// otherwise the error is a *transport.Error. A call of which the server says that it did not begin with it, with a
// GOAWAY or by refusing the stream, is sent a second time, once. Do returns when the answer is complete, at the
// limit, or soon after ctx has ended.
func (l *Link) Do(ctx context.Context, k *Call) error {
	k.Sent, k.End, k.Connect, k.BytesIn, k.BytesOut = time.Time{}, time.Time{}, 0, 0, 0
	k.Parts = transport.Parts{}
	if d, ok := ctx.Deadline(); ok && (k.Limit.IsZero() || d.Before(k.Limit)) {
		k.Limit = d
	}
	for so := (attempts{limit: k.Limit}); ; k.Sent = (time.Time{}) {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		err := l.once(ctx, k)
		if err == nil {
			return nil
		}
		if err = so.final(err); err != nil {
			return err
		}
	}
}

func (l *Link) once(ctx context.Context, k *Call) error {
	cn, left, err := l.acquire(ctx, k)
	if err != nil {
		return err
	}
	err = cn.call(ctx, k, left)
	if cn.Gone() {
		cn.retire()
	}
	return err
}

// ended is the failure of a call whose context has.
func ended(ctx context.Context) *transport.Error {
	kind := transport.KindCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = transport.KindTimeout
	}
	return transport.NewError(opRequest, ctx.Err(), kind)
}

// acquire returns the connection, and what is left of the call's time, once there is one.
func (l *Link) acquire(ctx context.Context, k *Call) (cn *conn, left time.Duration, err error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, 0, errEnded
	}
	cn = l.conn
	if cn != nil && !cn.Gone() && cn.Valid() {
		l.give(k)
		l.mu.Unlock()
		return cn, k.Limit.Sub(k.Request.Began), nil
	}
	l.conn = nil
	o := l.opening
	if o == nil {
		o = l.open()
	}
	l.mu.Unlock()
	if cn != nil {
		cn.retire()
	}
	if err := o.wait(ctx, k.Limit); err != nil {
		return nil, 0, err
	}
	l.mu.Lock()
	l.give(k)
	l.mu.Unlock()
	return o.conn, time.Until(k.Limit), nil
}

// give tells a call how long the connection took to open, if it is the first over it. The lock must be held.
func (l *Link) give(k *Call) {
	k.Connect += l.took
	k.Parts.DNS += l.parts.DNS
	k.Parts.TLS += l.parts.TLS
	l.took, l.parts = 0, transport.Parts{}
}

// open begins to open a connection. The lock must be held.
func (l *Link) open() *opening {
	base, cancel := context.WithCancel(context.Background())
	o := &opening{cancel: cancel, done: make(chan struct{})}
	if !l.client.opens(o, func() {
		defer cancel()
		dialCtx, stop := context.WithTimeout(o.traced(base), openLimit)
		defer stop()
		start := time.Now()
		var parts transport.Parts
		o.conn, parts, o.err = l.client.dial(base, dialCtx)
		l.opened(o, time.Since(start), parts)
	}) {
		cancel()
		o.err = errEnded
		close(o.done)
		return o
	}
	l.opening = o
	return o
}

// opened takes over what came of the opening of a connection.
func (l *Link) opened(o *opening, took time.Duration, parts transport.Parts) {
	l.mu.Lock()
	l.opening = nil
	closed := l.closed
	if o.err == nil && !closed {
		l.conn, l.took, l.parts = o.conn, took, parts
	}
	l.mu.Unlock()
	if closed && o.err == nil {
		o.conn.Leave()
		o.err = errEnded
	}
	close(o.done)
}

var errEnded = &transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed}

// opens runs f, which opens a connection; false says that the client is closed.
func (c *Client) opens(o *opening, f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.openings[o] = struct{}{}
	c.loops.Go(func() {
		f()
		c.mu.Lock()
		delete(c.openings, o)
		c.mu.Unlock()
	})
	return true
}

// traced notes when the name is being looked up: time that went to the resolver says nothing of the target.
func (o *opening) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { o.resolving.Store(true) },
		DNSDone:  func(httptrace.DNSDoneInfo) { o.resolving.Store(false) },
	})
}

var errResolver = errors.New("the name was not resolved before the deadline")

// at returns what can be received from at a limit; never, if it is the zero time.
func at(limit time.Time) (late <-chan time.Time, stop func() bool) {
	if limit.IsZero() {
		return nil, func() bool { return false }
	}
	timer := time.NewTimer(time.Until(limit))
	return timer.C, timer.Stop
}

// wait waits until the connection is open.
func (o *opening) wait(ctx context.Context, limit time.Time) error {
	late, stop := at(limit)
	defer stop()
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		if e := ended(ctx); e.Kind == transport.KindCancelled {
			return e
		}
	case <-late:
	}
	if o.resolving.Load() {
		return &transport.Error{Kind: transport.KindResolver, Op: transport.OpDial, Err: errResolver}
	}
	return transport.NewError(transport.OpDial, context.DeadlineExceeded, transport.KindTimeout)
}

// retire closes a connection that takes no new stream, unless it still carries some.
func (c *conn) retire() {
	c.mu.Lock()
	c.gone.Store(true)
	idle := c.streams.size+c.admitted+len(c.waiting) == 0
	c.unlock()
	if idle {
		c.Leave()
	}
}
