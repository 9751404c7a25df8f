package http3load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// The operations of transport.Error.Op.
const (
	opRequest = "request"
	opOpen    = "open stream"
	opWrite   = "write request"
	opRead    = "read response"
)

// Options of a Client. Only Target is needed.
type Options struct {
	// Target is https:// with host[:port][/base].
	Target *url.URL
	// TLS is cloned; the protocol offered is h3 and nothing else.
	TLS *tls.Config
	// Addresses returns where the host may lead, in the order in which they are tried.
	Addresses func(ctx context.Context, host string) ([]netip.Addr, error)
	// Source returns the local address for a connection; invalid: the system chooses.
	Source func(remote netip.Addr) netip.Addr
	// Valid reports whether a connection to that address may take further requests; nil: all may.
	Valid func(net.Addr) bool
	// Fresh opens a connection for each request.
	Fresh bool
	// HandshakeIdleTimeout is how long a server may be silent before its connection is open, which is the only sign of a port
	// that is closed; 0 is 5 s.
	HandshakeIdleTimeout time.Duration
	// MaxBody is the size in bytes from which a body is refused; 0 is httpload.DefaultMaxBody.
	MaxBody int64
}

// Client sends requests to one target. It may be used by any number of goroutines.
type Client struct {
	opts   Options
	end    httpload.Endpoint
	port   uint16
	tls    *tls.Config
	quic   *quic.Config
	http   *http3.Transport
	shared httpload.Group[*conn]

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
}

// NewClient checks the options and returns a client, which must be closed; it connects to nothing.
func NewClient(o Options) (*Client, error) {
	end, err := httpload.NewEndpoint(o.Target)
	if err != nil {
		return nil, fmt.Errorf("http/3 client: %w", err)
	}
	if !end.Secure {
		return nil, errors.New("http/3 client: the target is not https")
	}
	if o.MaxBody <= 0 {
		o.MaxBody = httpload.DefaultMaxBody
	}
	if o.Addresses == nil {
		o.Addresses = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	c := &Client{
		opts: o, end: end, tls: transport.ClientTLS(o.TLS, end.Host, http3.NextProtoH3), conns: map[*conn]struct{}{},
		http: &http3.Transport{DisableCompression: true, MaxResponseHeaderBytes: httpload.DefaultMaxHeader},
	}
	if c.port, err = portOf(end.Addr); err != nil {
		return nil, fmt.Errorf("http/3 client: %w", err)
	}
	c.quic = config.Clone()
	c.quic.HandshakeIdleTimeout = o.HandshakeIdleTimeout
	c.tls.MinVersion = tls.VersionTLS13
	return c, nil
}

func portOf(addr string) (uint16, error) {
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err
}

// call is one execution of Do.
type call struct {
	req   *httpload.Request
	resp  *httpload.Response
	limit time.Time // when the request has failed by timeout
}

// Do sends req and reads the response into resp, whose fields mean what they do for HTTP/1.1. A nil error means a
// complete, valid response of any status; otherwise the error is a *transport.Error. Do returns when the response
// is complete, at the timeout, or soon after ctx has ended.
func (c *Client) Do(ctx context.Context, req *httpload.Request, resp *httpload.Response) error {
	resp.Reset()
	err := c.do(ctx, &call{req: req, resp: resp})
	resp.End = time.Now()
	return err
}

func (c *Client) do(ctx context.Context, k *call) error {
	req, err := c.request(k)
	if err != nil {
		return err
	}
	_, k.limit = k.req.Span(ctx)
	limited, cancel := context.WithDeadline(ctx, k.limit)
	defer cancel()
	for range httpload.MostUnsent {
		if err := limited.Err(); err != nil {
			return ended(ctx, opRequest, err)
		}
		if err := c.once(ctx, limited, k, req); !errors.Is(err, errUnsent) {
			return err
		}
	}
	return &transport.Error{Kind: transport.KindGoAway, Op: opRequest, Err: errors.New("the server gives up every connection before it has a request")}
}

// once sends the request over a connection that has room for it.
func (c *Client) once(ctx, limited context.Context, k *call, req *http.Request) error {
	if c.opts.Fresh {
		cn, err := c.dial(ctx, limited, k)
		if err != nil {
			return err
		}
		defer cn.Leave()
		return cn.exchange(ctx, limited, k, req)
	}
	group := &c.shared
	if k.req.Session != nil {
		group = k.req.Session.(*httpload.Group[*conn])
	}
	seat, reused, err := group.Acquire(limited, k.limit, func() (*conn, error) { return c.dial(ctx, limited, k) })
	if err != nil {
		return err
	}
	defer group.Release(seat)
	k.resp.Reused = reused
	return seat.Conn.exchange(ctx, limited, k, req)
}

// request makes the library's request, or says why there is none.
func (c *Client) request(k *call) (*http.Request, error) {
	r := k.req
	if err := r.Check(); err != nil {
		return nil, err
	}
	u, err := url.ParseRequestURI("https://" + c.end.Authority + c.end.Path(r))
	if err != nil {
		return nil, &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: errors.New("the path cannot be sent")} // which may have a secret in it
	}
	req := &http.Request{Method: r.Method, URL: u, Host: c.end.Authority, Header: http.Header{}, ContentLength: int64(len(r.Body)), Proto: "HTTP/3.0", ProtoMajor: 3}
	req.Header.Set("User-Agent", httpload.DefaultUserAgent)
	first := map[string]bool{}
	for _, h := range r.Headers {
		name := http.CanonicalHeaderKey(h.Name)
		switch name {
		case "Host":
			req.Host = h.Value
			continue
		case "Content-Length": // agrees with the body
			continue
		case "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Transfer-Encoding":
			return nil, &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: fmt.Errorf("header %s is none of HTTP/3", h.Name)}
		case "Te":
			if !strings.EqualFold(h.Value, "trailers") {
				return nil, &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: errors.New("header TE can only be trailers in HTTP/3")}
			}
		}
		if !first[name] {
			first[name] = true
			req.Header.Del(name)
		}
		req.Header.Add(name, h.Value)
	}
	for name, values := range req.Header {
		for _, v := range values {
			k.resp.BytesOut += int64(len(name) + len(v))
		}
	}
	k.resp.BytesOut += int64(len(r.Method) + len(req.Host) + len(u.RequestURI()))
	return req, nil
}

// enlist notes an open connection; false says that the client is closed.
func (c *Client) enlist(cn *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.conns[cn] = struct{}{}
	}
	return !c.closed
}

// Close closes all connections, also under requests, which fail with transport.KindCancelled as later ones do.
func (c *Client) Close() error {
	_ = c.shared.Close()
	c.mu.Lock()
	c.closed = true
	var open []*conn
	for cn := range c.conns {
		open = append(open, cn)
	}
	c.mu.Unlock()
	for _, cn := range open {
		cn.Leave()
	}
	return c.http.Close()
}

// NewSession returns a session without connections.
func (c *Client) NewSession() httpload.Session { return &httpload.Group[*conn]{} }
