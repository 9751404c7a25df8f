package http2load_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is net/http's server, which speaks HTTP/2 in clear text or over TLS.
func serve(tb testing.TB, secure bool, h http.HandlerFunc) (*httptest.Server, func(*http2load.Options)) {
	tb.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols.SetHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 250}
	tb.Cleanup(s.Close)
	if !secure {
		s.Start()
		return s, func(*http2load.Options) {}
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, func(o *http2load.Options) { o.TLS = &tls.Config{RootCAs: roots} }
}

func newClient(tb testing.TB, target string, change ...func(*http2load.Options)) *http2load.Client {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	o := http2load.Options{Target: u}
	for _, f := range change {
		f(&o)
	}
	c, err := http2load.NewClient(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func wantKind(tb testing.TB, err error, kind transport.Kind) {
	tb.Helper()
	var e *transport.Error
	if !errors.As(err, &e) || e.Kind != kind {
		tb.Fatalf("error = %v, want kind %s", err, kind)
	}
}

// raw is a server that says what a test wants.
type raw struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

// serveRaw calls handle for each connection, after its hello and the server's settings.
func serveRaw(t testing.TB, handle func(p *peer)) *raw {
	t.Helper()
	return servePlain(t, func(c net.Conn) {
		hello := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, hello); err != nil || string(hello) != http2.ClientPreface {
			return
		}
		p := &peer{conn: c, framer: http2.NewFramer(c, c)}
		p.encoder = hpack.NewEncoder(&p.block)
		_ = p.framer.WriteSettings()
		handle(p)
	})
}

// servePlain calls handle for each connection.
func servePlain(t testing.TB, handle func(c net.Conn)) *raw {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &raw{listener: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *raw) url() string { return "http://" + s.listener.Addr().String() }

func (s *raw) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// peer is a connection as the server sees it.
type peer struct {
	conn    net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// request reads on until a stream begins; 0 says that the client has gone.
func (p *peer) request() uint32 {
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			return 0
		}
		if h, ok := f.(*http2.HeadersFrame); ok {
			return h.StreamID
		}
	}
}

// hang reads until the client goes.
func (p *peer) hang() {
	for p.request() != 0 {
	}
}

// header writes a header of names and values.
func (p *peer) header(id uint32, end bool, pairs ...string) {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndStream: end, EndHeaders: true})
}

// ok answers with 200 and a body.
func (p *peer) ok(id uint32, body string) {
	p.header(id, false, ":status", "200")
	_ = p.framer.WriteData(id, true, []byte(body))
}

func get(path string) *httpload.Request { return &httpload.Request{Method: "GET", Path: path} }
