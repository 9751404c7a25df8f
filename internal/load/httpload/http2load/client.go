package http2load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// protocol is the name of HTTP/2 over TLS.
const protocol = "h2"

// The operations of transport.Error.Op.
const (
	opRequest = "request"
	opOpen    = "open connection"
	opWrite   = "write request"
	opRead    = "read response"
)

// Options of a Client. Only Target is needed.
type Options struct {
	// Target is http:// or https:// with host[:port][/base].
	Target *url.URL
	// TLS is the configuration for https. It is cloned; the protocol offered is h2 and nothing else.
	TLS *tls.Config
	// Dial opens connections; by default a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Valid reports whether an open connection may take further requests; nil: all may.
	Valid func(net.Conn) bool
	// Fresh opens a connection for each request.
	Fresh bool
}

// Client sends requests to one target. It may be used by any number of goroutines.
type Client struct {
	opts   Options
	end    httpload.Endpoint
	scheme string
	opener transport.Opener
	shared httpload.Group[*conn]
	names  sync.Map // header names as written, to lower case

	loops  sync.WaitGroup // of all connections
	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}

	openings map[*opening]struct{} // of links
}

// NewClient checks the options and returns a client, which must be closed; it connects to nothing.
func NewClient(o Options) (*Client, error) {
	end, err := httpload.NewEndpoint(o.Target)
	if err != nil {
		return nil, fmt.Errorf("http/2 client: %w", err)
	}
	c := &Client{opts: o, end: end, scheme: o.Target.Scheme, conns: map[*conn]struct{}{}, openings: map[*opening]struct{}{}}
	c.opener = transport.Opener{Dial: o.Dial, Network: "tcp", Addr: end.Addr, Below: transport.Prompt}
	if end.Secure {
		c.opener.TLS = transport.ClientTLS(o.TLS, end.Host, protocol)
	}
	return c, nil
}

// call is one execution of Do.
type call struct {
	req   *httpload.Request
	resp  *httpload.Response
	limit time.Time // when the request has failed by timeout

	header header
}

// Do sends req and reads the response into resp, whose fields mean what they do for HTTP/1.1; bytes are those of
// the request's own frames. A nil error means a complete, valid response of any status; otherwise the error is
// a *transport.Error. Do returns when the response is complete, at the timeout, or soon after ctx has ended.
func (c *Client) Do(ctx context.Context, req *httpload.Request, resp *httpload.Response) error {
	resp.Reset()
	k := call{req: req, resp: resp, header: header{client: c, Request: req, length: -1}}
	if err := c.do(ctx, &k); err != nil {
		if resp.End.IsZero() {
			resp.End = time.Now()
		}
		return err
	}
	return nil
}

func (c *Client) do(ctx context.Context, k *call) error {
	if err := c.check(k); err != nil {
		return err
	}
	_, k.limit = k.req.Span(ctx)
	for so := (attempts{limit: k.limit}); ; k.resp.Reset() {
		if err := ctx.Err(); err != nil {
			return transport.NewError(opRequest, err, transport.KindCancelled)
		}
		failure := c.once(ctx, k)
		if failure == nil {
			return nil
		}
		if failure = so.final(failure); failure != nil {
			return failure
		}
	}
}

// check refuses what is no request of HTTP/2.
func (c *Client) check(k *call) error {
	r := k.req
	if err := r.Check(); err != nil {
		return err
	}
	k.header.length = -1
	if r.WantsLength() {
		k.header.length = len(r.Body)
	}
	for i := range r.Headers {
		switch name := c.lower(r.Headers[i].Name); name {
		case "content-length":
			k.header.length = -1 // it stands there
		case "connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding":
			return &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: fmt.Errorf("header %s is none of HTTP/2", r.Headers[i].Name)}
		case "te":
			if !strings.EqualFold(r.Headers[i].Value, "trailers") {
				return &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: errors.New("header TE can only be trailers in HTTP/2")}
			}
		}
	}
	return nil
}

// lower returns a header's name as HTTP/2 wants it, without allocating for one that was seen before.
func (c *Client) lower(name string) string {
	for i := range len(name) {
		if b := name[i]; b >= 'A' && b <= 'Z' {
			if known, ok := c.names.Load(name); ok {
				return known.(string)
			}
			low := strings.ToLower(name)
			c.names.Store(strings.Clone(name), low)
			return low
		}
	}
	return name
}

// once sends the request over a connection that has room for it.
func (c *Client) once(ctx context.Context, k *call) error {
	if c.opts.Fresh {
		cn, err := c.dialFor(ctx, k)
		if err != nil {
			return err
		}
		defer cn.Leave()
		return cn.exchange(ctx, k)
	}
	group := &c.shared
	if k.req.Session != nil {
		group = k.req.Session.(*httpload.Group[*conn])
	}
	seat, reused, err := group.Acquire(ctx, k.limit, func() (*conn, error) { return c.dialFor(ctx, k) })
	if err != nil {
		return err
	}
	defer group.Release(seat)
	k.resp.Reused = reused
	return seat.Conn.exchange(ctx, k)
}

// dialFor opens a connection for a call of Do.
func (c *Client) dialFor(ctx context.Context, k *call) (*conn, error) {
	dialCtx, cancel := context.WithDeadline(ctx, k.limit)
	defer cancel()
	start := time.Now()
	cn, parts, err := c.dial(ctx, dialCtx)
	if err == nil {
		k.resp.Connect, k.resp.Parts = time.Since(start), parts
	}
	return cn, err
}

// dial opens a connection: it is open when the server has said its settings. dialCtx is made of ctx, with the
// deadline.
func (c *Client) dial(ctx, dialCtx context.Context) (*conn, transport.Parts, error) {
	opened, failure := c.opener.Open(ctx, dialCtx)
	if failure != nil {
		return nil, transport.Parts{}, failure
	}
	cn, err := c.speak(ctx, dialCtx, &opened)
	if err != nil {
		_ = opened.Raw.Close() // the error says more
	}
	return cn, opened.Parts, err
}

// speak begins to speak HTTP/2 over a connection.
func (c *Client) speak(ctx, dialCtx context.Context, o *transport.Opened) (*conn, error) {
	if o.TLS != nil {
		if got := o.TLS.ConnectionState().NegotiatedProtocol; got != protocol {
			return nil, &transport.Error{Kind: transport.KindNotSpoken, Op: transport.OpHandshake, Err: fmt.Errorf("the server chose %q instead of HTTP/2", got)}
		}
	}
	cn := newConn(c, o.Raw, o.Conn)
	stop := context.AfterFunc(dialCtx, func() { _ = o.Raw.SetDeadline(transport.LongAgo) })
	failure := cn.open()
	if !stop() && failure == nil {
		failure = transport.NewError(opOpen, context.Cause(dialCtx), transport.KindTimeout)
	}
	switch {
	case failure != nil && dialCtx.Err() != nil:
		return nil, transport.NewDialError(ctx, dialCtx, opOpen, failure.Err)
	case failure != nil:
		return nil, failure
	case !c.enlist(cn):
		return nil, &transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed}
	}
	return cn, nil
}

// enlist starts to read from a connection and to write to it; false says that the client is closed.
func (c *Client) enlist(cn *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.conns[cn] = struct{}{}
	c.loops.Go(cn.writeLoop)
	c.loops.Go(func() {
		cn.readLoop()
		c.mu.Lock()
		delete(c.conns, cn)
		c.mu.Unlock()
	})
	return true
}

// Close closes all connections, also under requests, which fail with transport.KindCancelled as later ones do.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	open := make([]*conn, 0, len(c.conns))
	for cn := range c.conns {
		open = append(open, cn)
	}
	for o := range c.openings {
		o.cancel()
	}
	c.mu.Unlock()
	for _, cn := range open {
		cn.fail(&transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed})
	}
	c.loops.Wait()
	return nil
}

// NewSession returns a session without connections.
func (c *Client) NewSession() httpload.Session { return &httpload.Group[*conn]{} }
