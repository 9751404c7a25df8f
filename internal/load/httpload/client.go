package httpload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"proofload/internal/load/transport"
	"proofload/internal/scenario"
)

// Defaults of Options.
const (
	DefaultMaxIdle     = scenario.DefaultMaxInFlight
	DefaultIdleTimeout = 30 * time.Second // below the 60 s and more after which most servers close
	DefaultMaxBody     = 64 << 20
	DefaultKeepBody    = 4 << 20
	DefaultMaxHeader   = 64 << 10
	DefaultUserAgent   = "proofload"
)

// Options of a Client. Only Target is needed.
type Options struct {
	// Target is scheme://host[:port][/base] with scheme http or https, without user, query and fragment.
	Target *url.URL
	// TLS is the configuration for https; ServerName is by default the target's host. The protocol
	// offered is http/1.1 and nothing else. It is cloned.
	TLS *tls.Config
	// Dial opens connections; by default a net.Dialer, which resolves the name for each connection
	// and tries its addresses as RFC 6555 says.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Valid reports whether an idle connection may still be used; nil: all may.
	Valid func(net.Conn) bool
	// Collector takes the connections of requests that may be collected. nil: none may.
	Collector *transport.Collector
	// Fresh opens a connection for each request, and tells the server that it is the only one on it.
	Fresh bool
	// MaxIdle is the number of idle connections that are kept; negative keeps none.
	MaxIdle int
	// IdleTimeout is how long an idle connection may be reused.
	IdleTimeout time.Duration
	// MaxBody is the size in bytes from which a body is refused with transport.KindBody.
	MaxBody int64
	// KeepBody is the number of bytes of a body that are kept in Response.Body; the rest is read,
	// counted and dropped.
	KeepBody int
	// MaxHeader is the size in bytes from which a response head, or a body's trailer, is refused.
	MaxHeader int
	// UserAgent is sent unless a request has its own.
	UserAgent string
}

// Client sends requests to one target. It may be used by any number of goroutines.
type Client struct {
	opts      Options
	opener    transport.Opener
	base      []byte // path of the target without the last slash
	hostLine  []byte
	agentLine []byte
	pool      pool
	collected pool // of connections that are the collector's
}

// NewClient checks the options and returns a client; it connects to nothing.
func NewClient(opts Options) (*Client, error) {
	e, err := NewEndpoint(opts.Target)
	if err != nil {
		return nil, fmt.Errorf("http client: %w", err)
	}
	setDefaults(&opts)
	if !allIn(opts.UserAgent, inValue) {
		return nil, errors.New("http client: user agent has a control character")
	}
	c := &Client{
		opts:      opts,
		opener:    transport.Opener{Dial: opts.Dial, Network: "tcp", Addr: e.Addr},
		base:      []byte(e.Base),
		hostLine:  []byte("Host: " + e.Authority + "\r\n"),
		agentLine: []byte("User-Agent: " + opts.UserAgent + "\r\n"),
		pool:      pool{max: opts.MaxIdle},
		collected: pool{max: opts.MaxIdle},
	}
	if e.Secure {
		c.opener.TLS = transport.ClientTLS(opts.TLS, e.Host, "http/1.1")
		c.opener.Below = func(nc net.Conn) net.Conn { return &plainEnd{Conn: transport.Prompt(nc)} }
	}
	return c, nil
}

func setDefaults(o *Options) {
	if o.MaxIdle == 0 {
		o.MaxIdle = DefaultMaxIdle
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.KeepBody <= 0 {
		o.KeepBody = DefaultKeepBody
	}
	if o.MaxHeader <= 0 {
		o.MaxHeader = DefaultMaxHeader
	}
	if o.UserAgent == "" {
		o.UserAgent = DefaultUserAgent
	}
}

// Endpoint is what the address of a target says.
type Endpoint struct {
	Host      string // without brackets, in ASCII
	Addr      string // host:port to dial
	Authority string // the value of the field Host
	Base      string // path without the last slash, escaped
	Secure    bool   // https
}

// ports are those that the schemes of HTTP stand for.
var ports = map[string]string{"http": "80", "https": "443"}

// NewEndpoint takes an address apart, or says why it cannot be a target's.
func NewEndpoint(u *url.URL) (Endpoint, error) {
	if u == nil {
		return Endpoint{}, errors.New("no target")
	}
	host, port, err := transport.Address(u, ports)
	if err != nil {
		return Endpoint{}, fmt.Errorf("target %s: %w", u.Redacted(), err)
	}
	base := strings.TrimRight(u.EscapedPath(), "/")
	if !allIn(base, inTarget) {
		return Endpoint{}, fmt.Errorf("target %s: path has a character that must be escaped", u.Redacted())
	}
	return Endpoint{
		Host: host, Addr: net.JoinHostPort(host, port), Authority: hostField(host, u.Port()), Base: base, Secure: u.Scheme == "https",
	}, nil
}

// Path returns the path of a request as it is sent, whole and with its query.
func (e *Endpoint) Path(r *Request) string {
	base := e.Base
	if r.Absolute {
		base = ""
	}
	if base == "" && (r.Path == "" || r.Path[0] == '?') {
		base = "/"
	}
	if base == "" {
		return r.Path
	}
	return base + r.Path
}

// hostField is the value of the Host field: brackets around IPv6, no zone, the port if it was given.
func hostField(host, port string) string {
	if zone := strings.IndexByte(host, '%'); zone >= 0 {
		host = host[:zone]
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return host
}

// call is one execution of Do.
type call struct {
	req   *Request
	resp  *Response
	own   traits
	pool  *pool     // where connections come from and go to
	limit time.Time // when the request has failed by timeout
	now   time.Time // zero: since it was known, something has taken time

	collect bool // the connection is the collector's
}

// instant returns the present. Looking at the clock for each thing that is done at once would cost more than most of them.
func (k *call) instant() time.Time {
	if k.now.IsZero() {
		return time.Now()
	}
	return k.now
}

// Do sends req and reads the response into resp. A nil error means a complete, valid response of
// any status; otherwise the error is an *transport.Error. Do returns when the response is complete, at the
// timeout, or soon after ctx has ended. To stay free of allocations it leaves its watch over ctx
// with the connection: use one context for many requests rather than one for each, and
// Request.Timeout rather than context.WithTimeout.
func (c *Client) Do(ctx context.Context, req *Request, resp *Response) error {
	resp.reset()
	k := call{req: req, resp: resp}
	if err := c.do(ctx, &k); err != nil {
		resp.End = time.Now()
		return err
	}
	return nil
}

func (c *Client) do(ctx context.Context, k *call) *transport.Error {
	own, failure := k.req.check()
	if failure != nil {
		return failure
	}
	k.own, k.pool = own, &c.pool
	switch {
	case k.req.Session != nil:
		k.pool = &k.req.Session.(*session).pool
	case k.req.Collect && c.collects(k.req):
		k.pool, k.collect = &c.collected, true
	}
	k.now, k.limit = k.req.Span(ctx)
	for now := k.now; ; k.now = (time.Time{}) {
		if err := ctx.Err(); err != nil {
			return transport.NewError(opRequest, err, transport.KindCancelled)
		}
		cn, failure := c.conn(ctx, k, now)
		if failure != nil {
			return failure
		}
		again, failure := c.roundTrip(cn, k)
		if !again {
			return failure
		}
	}
}

// Collects reports whether connections may be the collector's.
func (c *Client) Collects() bool {
	return c.opts.Collector != nil && c.opener.TLS == nil && !c.opts.Fresh
}

// collects reports whether the connection of a request may be the collector's.
func (c *Client) collects(req *Request) bool { return c.Collects() && len(req.Body) <= inlineBody }

// conn takes an idle connection or opens one, and puts it under the watch of ctx.
func (c *Client) conn(ctx context.Context, k *call, now time.Time) (*conn, *transport.Error) {
	if cn := c.idle(ctx, k, now); cn != nil {
		return cn, nil
	}
	if c.pool.isClosed() {
		return nil, &transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed}
	}
	k.resp.Reused, k.now = false, time.Time{}
	return c.dial(ctx, k)
}

// idle takes a connection that is open, and puts it under the watch of ctx; nil: there is none.
func (c *Client) idle(ctx context.Context, k *call, now time.Time) *conn {
	for _, from := range [...]*pool{k.pool, c.other(k)} {
		if from == nil {
			break
		}
		for cn := from.get(now); cn != nil; cn = from.get(now) {
			if (c.opts.Valid == nil || c.opts.Valid(cn.net)) && c.adapt(cn, k) && cn.watch.Over(ctx, cn.net) {
				k.resp.Reused, k.resp.Connect, k.resp.Parts = true, 0, transport.Parts{}
				cn.limit = k.limit
				return cn
			}
			cn.close()
			k.now = time.Time{}
		}
	}
	return nil
}

// other returns the pool from which a connection may be had when its own has none: so that there are not more of them
// because some are the collector's.
func (c *Client) other(k *call) *pool {
	switch {
	case c.opts.Collector == nil:
		return nil
	case k.pool == &c.collected:
		return &c.pool
	case k.pool == &c.pool:
		return &c.collected
	}
	return nil
}

// roundTrip sends the request over cn and reads the response. again says that an idle connection
// turned out to be dead before anything was written.
func (c *Client) roundTrip(cn *conn, k *call) (again bool, failure *transport.Error) {
	large := c.compose(cn, k)
	failure = cn.send(k, !large)
	if cn.stale {
		cn.close()
		return true, nil
	}
	var keep bool
	switch {
	case failure != nil:
		keep, failure = false, c.rescue(cn, k, failure)
	case large:
		keep, failure = c.exchangeLarge(cn, k)
	default:
		keep, failure = c.readResponse(cn, k)
		cn.date(k.resp)
	}
	return false, c.settle(cn, k, keep, failure)
}

// compose writes the request into cn.out, without a body that is too large for that.
func (c *Client) compose(cn *conn, k *call) (large bool) {
	k.resp.BytesOut = 0
	cn.in, cn.interim, cn.begun = 0, 0, time.Time{}
	cn.out = c.appendHead(cn.out[:0], k.req, k.own)
	if large = len(k.req.Body) > inlineBody; !large {
		cn.out = append(cn.out, k.req.Body...)
	}
	return large
}

// settle parts with the connection after a request.
func (c *Client) settle(cn *conn, k *call, keep bool, failure *transport.Error) *transport.Error {
	k.resp.BytesIn = cn.in
	if failure != nil {
		cn.close()
		return failure
	}
	c.release(cn, k, keep)
	return nil
}

// rescue looks for a response after a request could not be written as a whole: a server that
// refuses a request early, and closes, has answered all the same.
func (c *Client) rescue(cn *conn, k *call, unsent *transport.Error) *transport.Error {
	if unsent.Op != opWrite || unsent.Kind != transport.KindReset || k.resp.BytesOut == 0 {
		return unsent
	}
	if _, failure := c.readResponse(cn, k); failure != nil {
		if failure.Kind == transport.KindNotSpoken { // and does not want to hear anything else
			return failure
		}
		return unsent
	}
	cn.date(k.resp)
	return nil
}

// readResponse reads the final head and its body, and says whether the connection can be kept.
func (c *Client) readResponse(cn *conn, k *call) (keepAlive bool, failure *transport.Error) {
	m, failure := cn.readHead(k.resp, c.opts.MaxHeader)
	if failure != nil {
		return false, failure
	}
	if k.req.Method == "HEAD" {
		m.framing = noBody
	}
	keep := c.opts.KeepBody
	if k.req.Discard {
		keep = 0
	}
	b := body{conn: cn, resp: k.resp, keep: keep, max: c.opts.MaxBody, maxTrailer: c.opts.MaxHeader}
	failure = b.read(&m)
	k.resp.Truncated = !k.req.Discard && k.resp.BodySize > int64(len(k.resp.Body))
	return m.keepAlive && m.framing != untilClose, failure
}

// release puts the connection back, if it may be used again.
func (c *Client) release(cn *conn, k *call, keep bool) {
	if !keep || c.opts.Fresh || k.own.close || cn.r != cn.w || cn.watch.Ended() {
		cn.close()
		return
	}
	idle := c.opts.IdleTimeout
	if cn.announced > 0 {
		idle = min(idle, cn.announced)
	}
	cn.rest(k.resp.End.Add(idle))
	if others := k.pool.put(cn, k.resp.End); others {
		if o := c.other(k); o != nil {
			o.prune(k.resp.End)
		}
	}
}

// Close closes the idle connections. Requests in flight go on, and their connections are closed
// when they have ended; later requests fail with transport.KindCancelled.
func (c *Client) Close() error {
	c.pool.drain(true)
	c.collected.drain(true)
	return nil
}
