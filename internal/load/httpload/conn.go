package httpload

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"proofload/internal/load/transport"
)

const (
	// readSize is the read buffer of a connection: enough for the head and body of most responses.
	// Larger bodies are read straight into the response.
	readSize = 4 << 10
	// keptSize is how large a buffer a connection may keep while it is idle.
	keptSize = 16 << 10
	// inlineBody is the size up to which a body is copied behind the head and sent in one write.
	// It is below what any socket takes while nobody reads, so that the write cannot block while
	// the server answers early.
	inlineBody = 32 << 10
)

// conn is one connection. It belongs to one call of Do at a time; only the watch over the context
// touches it from elsewhere, by setting a deadline in the past.
type conn struct {
	net    net.Conn        // with TLS: the TLS connection
	raw    syscall.RawConn // of the TCP connection below; nil if there is none
	secure bool
	below  *plainEnd // what TLS reads from; nil without TLS

	collected *transport.Collected // net, if that is a collector's

	buf  []byte // read buffer; buf[r:w] is unread
	r, w int
	in   int64 // bytes read for this request
	// interim is how many of them were of 1xx responses, and begun when the first ones behind these were there; zero
	// until more is read than came at once.
	interim int64
	begun   time.Time
	out     []byte
	// whole says that nothing more is to be read than buf has.
	whole bool

	limit     time.Time     // of this request
	deadline  time.Time     // set on net; may be earlier than limit, see early
	expires   time.Time     // of the idle connection
	announced time.Duration // how long the server keeps it, less a margin; 0 if it did not say
	used      bool          // has carried a request before

	// The watch stays in place between requests, because most come with the same context.
	watch transport.Watch

	// State of one exchange on raw, see exchange.go.
	onReady func(fd uintptr) bool // ready and peek, bound once: binding allocates
	onProbe func(fd uintptr)
	step    exchangeStep
	stale   bool // found closed before anything was written
	wrote   int
	ioErr   error
}

// dial opens a connection, TLS included.
func (c *Client) dial(ctx context.Context, k *call) (*conn, *transport.Error) {
	dialCtx, cancel := context.WithDeadline(ctx, k.limit)
	defer cancel()
	start := time.Now()
	opened, failure := c.opener.Open(ctx, dialCtx)
	if failure != nil {
		return nil, failure
	}
	cn := &conn{net: opened.Conn, raw: rawOf(opened.Raw), buf: make([]byte, readSize), limit: k.limit}
	cn.onReady, cn.onProbe = cn.ready, cn.peek
	if opened.TLS != nil {
		cn.below, cn.secure = opened.TLS.NetConn().(*plainEnd), true
	}
	k.resp.Connect, k.resp.Parts = time.Since(start), opened.Parts
	c.adapt(cn, k)
	cn.watch.Over(ctx, cn.net)
	return cn, nil
}

// adapt makes a connection the collector's, or takes it from the collector, as the request wants it. It reports whether
// the connection is of use: one that the collector cannot take is used as it is.
func (c *Client) adapt(cn *conn, k *call) bool {
	if k.collect == (cn.collected != nil) {
		return true
	}
	if !cn.watch.End() {
		return false
	}
	if k.collect {
		if taken, err := c.opts.Collector.Take(cn.net); err == nil {
			cn.net, cn.collected, cn.raw = taken, taken, nil
		}
	} else {
		left, err := cn.collected.Leave()
		if err != nil {
			return false
		}
		cn.net, cn.collected, cn.raw = left, nil, rawOf(left)
	}
	cn.deadline, k.now = time.Time{}, time.Time{}
	return true
}

// rawOf returns the access to a socket that probing needs. Other connections, such as pipes, are
// used without a probe.
func rawOf(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// came returns when what was read last was there.
func (c *conn) came() time.Time {
	if c.collected == nil {
		return time.Now()
	}
	return c.collected.Received()
}

// date notes when a response began and ended, whose last bytes were just read.
func (c *conn) date(resp *Response) {
	resp.End = transport.Later(c.came(), resp.Sent)
	switch {
	case resp.Status == 0:
	case c.begun.IsZero():
		resp.FirstByte = resp.End
	default:
		resp.FirstByte = transport.Later(c.begun, resp.Sent)
	}
}

// interimEnds says that what was read up to here was an interim response.
func (c *conn) interimEnds() {
	c.begun = time.Time{}
	if c.interim = c.in; c.r < c.w { // the next one has begun to come with it
		c.begun = c.came()
	}
}

func (c *conn) close() {
	_ = c.net.Close() // nothing was buffered in it, and there is nobody to tell
	c.watch.End()
}

// rest prepares the connection for being idle until expires.
func (c *conn) rest(expires time.Time) {
	c.used, c.expires = true, expires
	c.r, c.w = 0, 0
	if len(c.buf) > keptSize {
		c.buf = make([]byte, readSize)
	}
	if cap(c.out) > keptSize {
		c.out = nil
	}
}

// arm makes sure that a deadline stands that is not later than the request's limit. It changes the
// deadline only if it must: moving it for each request would cost as much as a small system call.
// TLS cannot go on after a write that was cut short, so there it is always exact.
func (c *conn) arm(now time.Time) {
	if !c.secure && !c.deadline.After(c.limit) && c.deadline.After(now) {
		return
	}
	c.extend()
}

// extend sets the deadline to the request's limit. The watch may have struck just before, and its
// deadline must not be lost; if it strikes later, its deadline stays.
func (c *conn) extend() {
	c.deadline = c.limit
	_ = c.net.SetDeadline(c.limit) // fails only on a closed connection; the next read says so
	c.watch.Heed(c.net)
}

// early reports whether err came from a deadline that stood before the request's limit; then the
// deadline has been moved and the operation can go on.
func (c *conn) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.watch.Ended() || !time.Now().Before(c.limit) {
		return false
	}
	c.extend()
	return !c.watch.Ended()
}

// fail turns an error of reading or writing into the request's error.
func (c *conn) fail(op string, err error) *transport.Error {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.watch.Ended() && time.Now().Before(c.limit) {
		return &transport.Error{Kind: transport.KindCancelled, Op: op, Err: context.Canceled}
	}
	fallback := transport.KindReset
	if c.secure {
		fallback = transport.KindTLS
	}
	return transport.NewError(op, err, fallback)
}

// write writes all of p and counts what was written.
func (c *conn) write(p []byte, written *int64) error {
	for len(p) > 0 {
		n, err := c.net.Write(p)
		*written += int64(n)
		p = p[n:]
		if err != nil && (c.secure || !c.early(err)) {
			return err
		}
	}
	return nil
}

// read reads at least one byte into p.
func (c *conn) read(p []byte) (int, error) {
	if c.whole {
		return 0, errPart
	}
	if c.begun.IsZero() && c.in > c.interim {
		c.begun = c.came()
	}
	for {
		n, err := c.net.Read(p)
		if n > 0 {
			c.in += int64(n)
			return n, nil // an error comes again with the next read
		}
		if err == nil {
			return 0, io.ErrNoProgress
		}
		if c.below != nil && c.below.ended && errors.Is(err, io.EOF) {
			return 0, io.ErrUnexpectedEOF
		}
		if !c.early(err) {
			return 0, err
		}
	}
}

// plainEnd notes that the connection below TLS ended. crypto/tls takes such an end between two
// records for a proper one, while anybody on the way could have cut the response short there; the
// proper end is TLS's own close_notify (RFC 8446, section 6.1), after which TLS reads no further.
type plainEnd struct {
	net.Conn
	ended bool // touched only by who reads
}

// Read reads, and notes the end.
func (c *plainEnd) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		c.ended = true
	}
	return n, err
}

// fill reads more into the buffer, growing it up to size if it is full.
func (c *conn) fill(size int) error {
	if c.whole {
		return errPart
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.buf) {
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		} else {
			grown := make([]byte, min(2*len(c.buf), max(size, len(c.buf)+1)))
			copy(grown, c.buf)
			c.buf = grown
		}
	}
	n, err := c.read(c.buf[c.w:])
	c.w += n
	return err
}
