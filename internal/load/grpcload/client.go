package grpcload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/transport"
)

// Defaults of Options.
const (
	DefaultConnections = 4
	DefaultMaxMessage  = 64 << 20
	DefaultUserAgent   = "proofload"
)

// Windows of flow control. They are fixed, because to find better ones costs pings on every connection.
const (
	streamWindow     = 1 << 20
	connectionWindow = 4 << 20
)

// Options of a Client. Only Target is needed.
type Options struct {
	// Target is grpc://host[:port] or grpcs://host[:port]; the ports left out are 80 and 443.
	Target *url.URL
	// TLS is the configuration for grpcs; ServerName is by default the target's host. It is cloned.
	TLS *tls.Config
	// Dial opens connections; by default a net.Dialer, which resolves the name for each connection.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Valid reports whether an open connection may take further calls; nil: all may.
	Valid func(net.Conn) bool
	// Connections is how many connections share the calls.
	Connections int
	// Fresh opens a connection for every call, and closes it afterwards.
	Fresh bool
	// MaxMessage is the size in bytes from which a message that was received is refused with
	// transport.KindBody.
	MaxMessage int
	// UserAgent is what a unary call says; of a stream the library adds its own to it.
	UserAgent string
}

// Client makes calls to one target. It may be used by any number of goroutines.
type Client struct {
	opts   Options
	addr   string
	berths []*berth // of streams; none when every call has its own
	next   atomic.Uint32

	authority string
	fast      *http2load.Client
	unary     []*http2load.Link // of unary calls; none when every call has its own
	turn      atomic.Uint32     // of these
}

// link is one connection to the target, which is opened when it is needed and again after it was lost.
type link struct {
	conn    *grpc.ClientConn
	streams int // that it carries; guarded by the lock of its berth
	trace
}

// NewClient checks the options and returns a client; it connects to nothing.
func NewClient(opts Options) (*Client, error) {
	if opts.Target == nil {
		return nil, errors.New("grpc client: no target")
	}
	addr, err := endpoint(opts.Target)
	if err != nil {
		return nil, fmt.Errorf("grpc client: target %s: %w", opts.Target.Redacted(), err)
	}
	setDefaults(&opts)
	c := &Client{opts: opts, addr: addr, authority: addr}
	if err := c.speed(); err != nil {
		return nil, fmt.Errorf("grpc client: %w", err)
	}
	if opts.Fresh {
		opts.Connections = 0
	}
	for range opts.Connections {
		c.unary = append(c.unary, c.fast.NewLink())
		c.berths = append(c.berths, &berth{client: c})
	}
	return c, nil
}

// speed makes the client of unary calls.
func (c *Client) speed() error {
	web := &url.URL{Scheme: "http", Host: c.addr}
	var cfg *tls.Config
	if c.opts.Target.Scheme == "grpcs" {
		host, _, err := net.SplitHostPort(c.addr)
		if err != nil {
			return err
		}
		cfg = transport.ClientTLS(c.opts.TLS, host)
		web.Scheme, c.authority = "https", cfg.ServerName
	}
	var err error
	c.fast, err = http2load.NewClient(http2load.Options{Target: web, TLS: cfg, Dial: c.opts.Dial, Valid: c.opts.Valid})
	return err
}

// open makes a link, which connects to nothing before it is used.
func (c *Client) open() (*link, error) {
	l := &link{}
	var err error
	if l.conn, err = dial(l, c.addr, c.opts); err != nil {
		return nil, fmt.Errorf("grpc client: %w", err)
	}
	return l, nil
}

func setDefaults(o *Options) {
	if o.Connections <= 0 {
		o.Connections = DefaultConnections
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.UserAgent == "" {
		o.UserAgent = DefaultUserAgent
	}
	if o.Dial == nil {
		plain := transport.PlainDialer(nil)
		o.Dial = plain.DialContext
	}
}

// endpoint returns what to dial, or why the target cannot be one.
func endpoint(u *url.URL) (string, error) {
	host, port, err := transport.Address(u, map[string]string{"grpc": "80", "grpcs": "443"})
	switch {
	case err != nil:
		return "", err
	case strings.Trim(u.Path, "/") != "":
		return "", errors.New("has more than host and port")
	}
	return net.JoinHostPort(host, port), nil
}

// dial prepares a connection with everything off that a load generator must not have: proxies, configuration
// from outside, retries by policy, idling, and pings that measure bandwidth.
func dial(l *link, addr string, opts Options) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(newCredentials(&l.trace, addr, &opts)),
		grpc.WithContextDialer(l.dialer(opts.Dial)),
		grpc.WithStatsHandler(watcher{}),
		grpc.WithUserAgent(opts.UserAgent),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 20 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(opts.MaxMessage), grpc.MaxCallSendMsgSize(1<<31-1)),
	)
}

// Session is a connection apart from those that all share, such as that of one user, and one more if it makes
// unary calls and streams. It must be closed. It may be used like the client.
type Session struct {
	unary  *http2load.Link
	stream berth
}

// NewSession returns a session, which connects to nothing before it is used.
func (c *Client) NewSession() *Session {
	return &Session{unary: c.fast.NewLink(), stream: berth{client: c}}
}

// Close closes the connections; calls in flight fail with transport.KindCancelled.
func (s *Session) Close() error {
	s.unary.Close()
	return s.stream.close()
}

// link returns the connection for a stream, and what to do with it afterwards.
func (c *Client) link(s *Session) (l *link, after func(), err error) {
	switch {
	case s != nil:
		return s.stream.take()
	case c.opts.Fresh:
		l, err := c.open()
		if err != nil {
			return nil, nil, err
		}
		return l, func() { _ = l.end() }, nil // nobody else has it
	}
	return c.berths[int(c.next.Add(1)-1)%len(c.berths)].take()
}

func nothing() {}

func (l *link) end() error {
	l.close()
	return l.conn.Close()
}

// Close closes the connections; calls in flight fail with transport.KindCancelled.
func (c *Client) Close() error {
	var errs []error
	for _, b := range c.berths {
		errs = append(errs, b.close())
	}
	for _, l := range c.unary {
		l.Close()
	}
	errs = append(errs, c.fast.Close())
	return errors.Join(errs...)
}

// Operations, as errors name them.
const (
	opConnect = "connect"
	opCall    = "grpc call"
	opRequest = "request"
)
