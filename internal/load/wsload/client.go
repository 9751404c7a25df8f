package wsload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http/httpguts"

	"proofload/internal/load/transport"
	"proofload/internal/scenario"
)

// Defaults of Options.
const (
	DefaultMaxMessage = 64 << 20
	DefaultUserAgent  = "proofload"
)

// Options of a Client. Only Target is needed.
type Options struct {
	// Target is scheme://host[:port][/base] with scheme ws or wss, without user, query and fragment.
	Target *url.URL
	// TLS is the configuration for wss; ServerName is by default the target's host. It is cloned.
	TLS *tls.Config
	// Dial opens connections; by default a net.Dialer, which resolves the name for each of them.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxMessage is the size in bytes from which a message is refused with transport.KindBody.
	MaxMessage int64
	// UserAgent is sent unless an opening has its own.
	UserAgent string
}

// Client opens connections to one target. It may be used by any number of goroutines.
type Client struct {
	opts   Options
	origin string // scheme://host[:port]/base without the last slash
	opener transport.Opener
}

// NewClient checks the options and returns a client; it connects to nothing.
func NewClient(opts Options) (*Client, error) {
	if opts.Target == nil {
		return nil, errors.New("websocket client: no target")
	}
	if opts.MaxMessage <= 0 {
		opts.MaxMessage = DefaultMaxMessage
	}
	if opts.UserAgent == "" {
		opts.UserAgent = DefaultUserAgent
	}
	host, port, err := transport.Address(opts.Target, map[string]string{"ws": "80", "wss": "443"})
	if err != nil {
		return nil, fmt.Errorf("websocket client: target %s: %w", opts.Target.Redacted(), err)
	}
	c := &Client{opts: opts, opener: transport.Opener{Dial: opts.Dial, Network: "tcp", Addr: net.JoinHostPort(host, port)}}
	c.origin = opts.Target.Scheme + "://" + opts.Target.Host + strings.TrimRight(opts.Target.EscapedPath(), "/")
	if opts.Target.Scheme == "wss" {
		c.opener.TLS = transport.ClientTLS(opts.TLS, host, "http/1.1")
	}
	return c, nil
}

// Opening is the request that a connection begins with.
type Opening struct {
	Path         string // escaped, with its query; appended to the target's base
	Headers      []Header
	Subprotocols []string
	Timeout      time.Duration // of connecting and the handshake together; 0: scenario.DefaultTimeout
}

// Header is one header of an opening. Host replaces the name that the target's URL has.
type Header struct{ Name, Value string }

// Opened is what is known of an opening, also when it failed.
type Opened struct {
	Sent    time.Time       // just before the handshake was written; zero: nothing was
	Ready   time.Time       // when the server had agreed
	Connect time.Duration   // for name, connection, TLS and handshake together; 0 unless all went well
	Parts   transport.Parts // of that
	Status  int             // of the answer; 0: there was none
	In, Out int64           // bytes
}

// Open connects and does the handshake, and returns a connection that must be closed. It is not used
// beyond ctx: when that ends, whatever goes on fails with transport.KindCancelled. The error is a
// *transport.Error; what is known is in got.
func (c *Client) Open(ctx context.Context, o *Opening, got *Opened) (*Conn, error) {
	// A stack does not shrink before the conversation is over, and an opening needs twice as much as all that follows.
	var conn *Conn
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { conn, err = c.open(ctx, o, got) })
	wg.Wait()
	return conn, err
}

func (c *Client) open(ctx context.Context, o *Opening, got *Opened) (*Conn, error) {
	*got = Opened{}
	header, host, failure := c.header(o)
	if failure != nil {
		return nil, failure
	}
	start := time.Now()
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = scenario.DefaultTimeout
	}
	h := &handshake{client: c, got: got, limit: start.Add(timeout), outer: ctx}
	ws, _, err := websocket.Dial(ctx, c.origin+o.Path, &websocket.DialOptions{ //nolint:bodyclose // the body is the connection, or there is none
		HTTPClient: &http.Client{Transport: h, CheckRedirect: refuseRedirect},
		HTTPHeader: header, Host: host, Subprotocols: o.Subprotocols, CompressionMode: websocket.CompressionDisabled,
	})
	if h.link != nil {
		got.In, got.Out = h.link.in, h.link.out
	}
	if err != nil {
		return nil, h.fail(err)
	}
	ws.SetReadLimit(-1) // Receive has its own, which does not end the connection without saying why
	got.Ready = time.Now()
	got.Connect = got.Ready.Sub(start)
	h.link.begin()
	return &Conn{ws: ws, link: h.link, max: c.opts.MaxMessage}, nil
}

// refuseRedirect makes an answer of a redirect what it is here: a server that did not switch protocols.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// header returns the headers of an opening and the host if it names one, or why it cannot be sent.
func (c *Client) header(o *Opening) (http.Header, string, *transport.Error) {
	refuse := func(format string, args ...any) *transport.Error {
		return &transport.Error{Kind: transport.KindRequest, Op: opOpen, Err: fmt.Errorf(format, args...)}
	}
	if !strings.HasPrefix(o.Path, "/") {
		return nil, "", refuse("path %q does not begin with /", o.Path)
	}
	if _, err := url.ParseRequestURI(o.Path); err != nil {
		return nil, "", refuse("path %q cannot be sent", o.Path)
	}
	host := ""
	header := http.Header{"User-Agent": {c.opts.UserAgent}}
	given := map[string]bool{}
	for _, h := range o.Headers {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return nil, "", refuse("header %s has a value that cannot be sent", h.Name)
		}
		name := http.CanonicalHeaderKey(h.Name)
		switch {
		case name == "Host":
			host = h.Value
		case given[name]:
			header.Add(name, h.Value)
		default:
			header.Set(name, h.Value)
			given[name] = true
		}
	}
	return header, host, nil
}
