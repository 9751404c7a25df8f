package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"time"
)

// Opener opens connections to one address, and notes how long the parts of that take. It may be used concurrently.
type Opener struct {
	// Dial is by default a net.Dialer's, which asks for the name each time.
	Dial          func(ctx context.Context, network, addr string) (net.Conn, error)
	Network, Addr string
	TLS           *tls.Config             // nil: in clear text
	Below         func(net.Conn) net.Conn // wraps what was dialled before anything is written; nil: nothing does
}

// Opened is a connection that an Opener has opened.
type Opened struct {
	Conn  net.Conn  // with TLS, that of TLS
	Raw   net.Conn  // as it was dialled
	TLS   *tls.Conn // nil: in clear text
	Parts Parts
}

// Parts is how long parts of opening a connection took, those that there were: an address need not be asked for, and
// the handshake of QUIC is that of TLS as well.
type Parts struct {
	DNS time.Duration // asking for the addresses of the name; 0: it was not asked for
	TLS time.Duration // the TLS handshake; 0: there was none
}

// PlainDialer returns a dialer without keep-alive probes, which would cost four system calls per connection: whatever
// waits for a connection has a limit of its own, and idle ones are not kept for long. Names are asked of the resolver;
// nil: the system's.
func PlainDialer(resolver *net.Resolver) net.Dialer {
	return net.Dialer{KeepAlive: -1, Resolver: resolver}
}

var plainDialer = PlainDialer(nil)

// Open opens a connection, which limited limits: it is made of ctx, whose end is told from a timeout. What is of
// httptrace in limited is told of the lookup.
func (o *Opener) Open(ctx, limited context.Context) (Opened, *Error) {
	var out Opened
	dial := o.Dial
	if dial == nil {
		dial = plainDialer.DialContext
	}
	nc, err := dial(out.Parts.Over(limited), o.Network, o.Addr)
	if err != nil {
		return Opened{}, NewDialError(ctx, limited, OpDial, err)
	}
	out.Conn, out.Raw = nc, nc
	if o.Below != nil {
		out.Conn = o.Below(nc)
	}
	if o.TLS == nil {
		return out, nil
	}
	out.TLS = tls.Client(out.Conn, o.TLS)
	start := time.Now()
	if err := out.TLS.HandshakeContext(limited); err != nil {
		_ = nc.Close() // the handshake's error is the one that says something
		return Opened{}, NewDialError(ctx, limited, OpHandshake, err)
	}
	out.Conn, out.Parts.TLS = out.TLS, time.Since(start)
	return out, nil
}

// Over returns a context over which lookups are noted in p, one at a time: who dials over it and looks at p when that
// is over needs no lock.
func (p *Parts) Over(ctx context.Context) context.Context {
	var asked time.Time
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { asked = time.Now() },
		DNSDone:  func(httptrace.DNSDoneInfo) { p.DNS += time.Since(asked) },
	})
}
