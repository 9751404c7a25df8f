package grpcload

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/load/transport"
)

// trace is what was seen of a connection on its way: the library tells of it in words only.
type trace struct {
	mu      sync.Mutex
	current net.Conn      // the last that was opened; nil: none was
	opening error         // why it could not be opened, the last time; nil: it was
	broken  error         // why it broke, the last time
	began   time.Time     // of the dial
	took    time.Duration // to open it; given to one call
	parts   transport.Parts
	closed  bool // by Close
	goaways int  // how many times a server has given a connection up

	resolving bool // its name is being looked up
}

// dialer notes how a dial went, and watches the connection.
func (t *trace) dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		began := time.Now()
		var parts transport.Parts
		nc, err := dial(parts.Over(t.watchLookup(ctx)), "tcp", addr)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.began, t.resolving = began, false
		if err != nil {
			t.opening = transport.NewError(transport.OpDial, err, transport.KindConnect)
			return nil, err
		}
		t.took, t.parts, t.current = time.Since(began), parts, nc
		return &watched{Conn: nc, trace: t}, nil
	}
}

// watchLookup notes when the name is being looked up: the library goes on with that beyond the deadline of a call.
func (t *trace) watchLookup(ctx context.Context) context.Context {
	note := func(resolving bool) {
		t.mu.Lock()
		t.resolving = resolving
		t.mu.Unlock()
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { note(true) },
		DNSDone:  func(httptrace.DNSDoneInfo) { note(false) },
	})
}

// leads reports whether the connection may take further streams; one that is not there yet, or is opened anew, may.
func (t *trace) leads(valid func(net.Conn) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current == nil || valid == nil || valid(t.current)
}

// takeConnect returns how long the connection took to open, to the first who asks.
func (t *trace) takeConnect() (took time.Duration, parts transport.Parts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	took, parts = t.took, t.parts
	t.took, t.parts = 0, transport.Parts{}
	return took, parts
}

// causes is why a connection is not there.
type causes struct {
	opening error // it could not be opened
	broken  error // it broke
	closed  bool  // Close was called

	resolving bool // it waits for the resolver
}

func (t *trace) causes() causes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return causes{t.opening, t.broken, t.closed, t.resolving}
}

// gaveUp notes that a server gives a connection up.
func (t *trace) gaveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.goaways++
}

// givenUp returns how many times a server has given a connection up so far.
func (t *trace) givenUp() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.goaways
}

func (t *trace) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// broke notes why a connection broke. That this side has closed it says nothing.
func (t *trace) broke(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = err
}

// watched is a connection whose errors are noted.
type watched struct {
	net.Conn
	trace *trace
	broke sync.Once // the first error says why; those after it, that it is so
}

// Read implements net.Conn.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.broke.Do(func() { w.trace.broke(err) })
	}
	return n, err
}

// Write implements net.Conn.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if err != nil {
		w.broke.Do(func() { w.trace.broke(err) })
	}
	return n, err
}

// noted are credentials that note why a handshake failed, and how long it took, and watch the frames of the
// connection.
type noted struct {
	credentials.TransportCredentials
	trace *trace
}

// newCredentials returns those of a connection to addr.
func newCredentials(t *trace, addr string, opts *Options) credentials.TransportCredentials {
	if opts.Target.Scheme != "grpcs" {
		return noted{insecure.NewCredentials(), t}
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return noted{credentials.NewTLS(transport.ClientTLS(opts.TLS, host, "h2")), t}
}

// ClientHandshake implements credentials.TransportCredentials.
func (n noted) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	start := time.Now()
	nc, info, err := n.TransportCredentials.ClientHandshake(ctx, authority, raw)
	n.trace.mu.Lock()
	defer n.trace.mu.Unlock()
	if err != nil {
		n.trace.opening = handshakeError(err)
		return nil, nil, err
	}
	// No earlier: a call that ended for what is noted here may not have asked yet when the next dial begins.
	n.trace.opening = nil
	n.trace.took = time.Since(n.trace.began)
	if n.Info().SecurityProtocol == "tls" {
		n.trace.parts.TLS = time.Since(start)
	}
	return &framed{Conn: nc, trace: n.trace}, info, nil
}

// handshakeError tells a peer without HTTP/2 from one without trust.
func handshakeError(err error) error {
	if strings.Contains(err.Error(), "ALPN") || strings.Contains(err.Error(), "no application protocol") {
		return &transport.Error{Kind: transport.KindNotSpoken, Op: transport.OpHandshake, Err: err}
	}
	return transport.NewError(transport.OpHandshake, err, transport.KindTLS)
}

// Clone implements credentials.TransportCredentials.
func (n noted) Clone() credentials.TransportCredentials {
	return noted{n.TransportCredentials.Clone(), n.trace}
}
