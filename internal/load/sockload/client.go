package sockload

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

// DefaultMaxBytes is the default of Options.MaxBytes.
const DefaultMaxBytes = 4 << 20

// The operations of transport.Error.Op.
const (
	opSend    = "send"
	opReceive = "receive"
)

// Options of a Client. Only Target is needed.
type Options struct {
	// Target is scheme://host:port with scheme tcp, tls or udp, and nothing else.
	Target *url.URL
	// TLS is the configuration for tls; ServerName is by default the target's host. It is cloned.
	TLS *tls.Config
	// Dial opens connections; by default a net.Dialer, which resolves the name for each of them.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Valid reports whether a connection that was kept may still be used; nil: all may.
	Valid func(net.Conn) bool
	// MaxBytes is how many bytes may come before one expectation is met.
	MaxBytes int
}

// Client opens connections to one target. It may be used by any number of goroutines.
type Client struct {
	opts   Options
	opener transport.Opener
}

// NewClient checks the options and returns a client; it connects to nothing.
func NewClient(opts Options) (*Client, error) {
	if opts.Target == nil {
		return nil, errors.New("socket client: no target")
	}
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	host, port, err := transport.Address(opts.Target, map[string]string{"tcp": "", "tls": "", "udp": ""})
	if err == nil && strings.Trim(opts.Target.Path, "/") != "" {
		err = errors.New("has a path, and a connection has none")
	}
	if err != nil {
		return nil, fmt.Errorf("socket client: target %s: %w", opts.Target.Redacted(), err)
	}
	c := &Client{opts: opts, opener: transport.Opener{Dial: opts.Dial, Network: "tcp", Addr: net.JoinHostPort(host, port)}}
	switch opts.Target.Scheme {
	case "udp":
		c.opener.Network = "udp"
	case "tls":
		c.opener.TLS = transport.ClientTLS(opts.TLS, host)
	}
	return c, nil
}

// Datagrams reports whether connections have bounds between messages: those of UDP.
func (c *Client) Datagrams() bool { return c.opener.Network == "udp" }

// Opened is what is known of an opening, also when it failed.
type Opened struct {
	Ready   time.Time       // when the connection was open
	Connect time.Duration   // for name, connection and TLS together; 0 unless all went well
	Parts   transport.Parts // of that
}

// Open opens a connection, which must be closed; timeout 0 is scenario.DefaultTimeout. A connection of UDP opens
// without a packet. It is not used beyond ctx: when that ends, whatever goes on fails with
// transport.KindCancelled. The error is a *transport.Error.
func (c *Client) Open(ctx context.Context, timeout time.Duration, got *Opened) (*Conn, error) {
	*got = Opened{}
	start := time.Now()
	if timeout <= 0 {
		timeout = scenario.DefaultTimeout
	}
	limited, cancel := context.WithDeadline(ctx, start.Add(timeout))
	defer cancel()
	opened, failure := c.opener.Open(ctx, limited)
	if failure != nil {
		return nil, failure
	}
	got.Ready = time.Now()
	got.Connect, got.Parts = got.Ready.Sub(start), opened.Parts
	conn := &Conn{net: opened.Conn, raw: opened.Raw, datagrams: c.Datagrams(), secure: opened.TLS != nil, max: c.opts.MaxBytes, valid: c.opts.Valid}
	conn.watch.Over(ctx, conn.net)
	return conn, nil
}
