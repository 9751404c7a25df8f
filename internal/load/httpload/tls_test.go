package httpload_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.NegotiatedProtocol)
	}))
	s.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())

	t.Run("trusted", func(t *testing.T) {
		var dials atomic.Int64
		c := newClient(t, s.URL, counting(&dials), func(o *httpload.Options) { o.TLS = &tls.Config{RootCAs: roots} })
		var resp httpload.Response
		for i := range 3 {
			if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
				t.Fatal(err)
			}
			if string(resp.Body) != "HTTP/1.1 http/1.1" || resp.Reused != (i > 0) || (resp.Connect > 0) != (i == 0) {
				t.Errorf("request %d: %q, reused %v, connect %v", i, resp.Body, resp.Reused, resp.Connect)
			}
		}
		if dials.Load() != 1 {
			t.Errorf("%d dials", dials.Load())
		}
		_ = c.Close()
	})
	t.Run("not trusted", func(t *testing.T) {
		c := newClient(t, s.URL)
		var resp httpload.Response
		e := wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindTLSAuthority)
		if e.Op != "tls handshake" || !resp.Sent.IsZero() {
			t.Errorf("op %q, sent %v", e.Op, resp.Sent)
		}
	})
	t.Run("wrong name", func(t *testing.T) {
		c := newClient(t, s.URL, func(o *httpload.Options) { o.TLS = &tls.Config{RootCAs: roots, ServerName: "other.test"} })
		var resp httpload.Response
		wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindTLSName)
	})
	t.Run("server speaks plain text", func(t *testing.T) {
		plain := serveRaw(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, ok200+"\r\n"); hang(c) })
		c := newClient(t, strings.Replace(plain.url(), "http:", "https:", 1))
		var resp httpload.Response
		wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindNotSpoken)
	})
	t.Run("expired", func(t *testing.T) {
		late := time.Now().AddDate(100, 0, 0)
		c := newClient(t, s.URL, func(o *httpload.Options) {
			o.TLS = &tls.Config{RootCAs: roots, Time: func() time.Time { return late }}
		})
		var resp httpload.Response
		wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindTLSExpired)
	})
	t.Run("no version in common", func(t *testing.T) {
		old := httptest.NewUnstartedServer(http.NotFoundHandler())
		old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
		old.Config.ErrorLog = quiet()
		old.StartTLS()
		defer old.Close()
		c := newClient(t, old.URL, func(o *httpload.Options) { o.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13} })
		var resp httpload.Response
		wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindTLS)
	})
	t.Run("handshake hangs", func(t *testing.T) {
		plain := serveRaw(t, hang)
		c := newClient(t, strings.Replace(plain.url(), "http:", "https:", 1))
		var resp httpload.Response
		e := wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: 20 * time.Millisecond}, &resp), transport.KindTimeout)
		if e.Op != "tls handshake" {
			t.Errorf("op %q", e.Op)
		}
	})
	t.Run("client certificate wanted", func(t *testing.T) {
		strict := httptest.NewUnstartedServer(http.NotFoundHandler())
		strict.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		strict.Config.ErrorLog = quiet()
		strict.StartTLS()
		defer strict.Close()
		c := newClient(t, strict.URL, func(o *httpload.Options) { o.TLS = &tls.Config{RootCAs: roots} })
		var resp httpload.Response
		wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindTLS)
	})
}

// TestTLSIdleClose shows that the probe also works below TLS.
func TestTLSIdleClose(t *testing.T) {
	s, trusted := serveTLS(t, http.NotFoundHandler())
	c := newClient(t, s.URL, trusted)
	var resp httpload.Response
	for i := range 20 {
		if err := c.Do(t.Context(), &httpload.Request{Method: "POST", Body: []byte("x")}, &resp); err != nil || resp.Reused {
			t.Fatalf("round %d: reused %v, %v", i, resp.Reused, err)
		}
		s.CloseClientConnections()
	}
}

// TestTLSTruncated: a body that ends with the connection must end with TLS's own farewell, or
// anybody could have cut it short.
func TestTLSTruncated(t *testing.T) {
	s, trusted := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(nc, ok200+"\r\nall of it")
		if r.URL.Path == "/cut" {
			nc = nc.(*tls.Conn).NetConn()
		}
		_ = nc.Close()
	}))
	c := newClient(t, s.URL, trusted)
	var resp httpload.Response
	if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/whole"}, &resp); err != nil || string(resp.Body) != "all of it" {
		t.Errorf("%q, %v", resp.Body, err)
	}
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/cut"}, &resp), transport.KindClosed)
}

// TestTLSCancelAndTimeout: both interrupt a request over TLS, small or large.
func TestTLSCancelAndTimeout(t *testing.T) {
	// A server that has not read the whole body does not notice that its client left, so the test lets go itself.
	done := make(chan struct{})
	s, trusted := serveTLS(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	t.Cleanup(func() { close(done) })
	for _, size := range []int{0, 1 << 20} {
		c := newClient(t, s.URL, trusted)
		var resp httpload.Response
		req := httpload.Request{Method: "POST", Body: make([]byte, size), Timeout: 200 * time.Millisecond}
		wantKind(t, c.Do(t.Context(), &req, &resp), transport.KindTimeout)
		ctx, cancel := context.WithCancel(t.Context())
		req.Timeout = time.Minute
		timer := time.AfterFunc(200*time.Millisecond, cancel)
		wantKind(t, c.Do(ctx, &req, &resp), transport.KindCancelled)
		timer.Stop()
		cancel()
	}
}

// serveTLS starts a server and returns it with the option that trusts it.
func serveTLS(t *testing.T, h http.Handler) (*httptest.Server, func(*httpload.Options)) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, func(o *httpload.Options) { o.TLS = &tls.Config{RootCAs: roots} }
}
