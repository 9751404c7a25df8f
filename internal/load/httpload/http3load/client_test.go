package http3load_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http3load"
	"proofload/internal/load/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// certificate is one that net/http/httptest keeps for tests, for 127.0.0.1 and example.com.
func certificate(tb testing.TB) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.TLS.Certificates[0], roots
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

func withConn(ctx context.Context, c *quic.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// serve is the server of quic-go. It returns its address and the option that trusts it.
func serve(tb testing.TB, h http.HandlerFunc) (string, func(*http3load.Options)) {
	tb.Helper()
	cert, roots := certificate(tb)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &http3.Server{Handler: h, ConnContext: withConn, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(conn) })
	tb.Cleanup(func() {
		_ = s.Close()
		_ = conn.Close()
		wg.Wait()
	})
	return "https://" + conn.LocalAddr().String(), func(o *http3load.Options) { o.TLS = &tls.Config{RootCAs: roots} }
}

func newClient(tb testing.TB, target string, change ...func(*http3load.Options)) *http3load.Client {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	o := http3load.Options{Target: u}
	for _, f := range change {
		f(&o)
	}
	c, err := http3load.NewClient(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func get(path string) *httpload.Request { return &httpload.Request{Method: "GET", Path: path} }

func wantKind(tb testing.TB, err error, kind transport.Kind) {
	tb.Helper()
	var e *transport.Error
	if !errors.As(err, &e) || e.Kind != kind {
		tb.Fatalf("error = %v, want kind %s", err, kind)
	}
}

// counting counts the connections that a client opens.
func counting(dials *atomic.Int64) func(*http3load.Options) {
	return func(o *http3load.Options) {
		o.Addresses = func(_ context.Context, host string) ([]netip.Addr, error) {
			dials.Add(1)
			a, err := netip.ParseAddr(host)
			return []netip.Addr{a}, err
		}
	}
}

func TestWhatTheServerSees(t *testing.T) {
	addr, trust := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", strings.Join([]string{r.Proto, r.Method, r.Host, r.RequestURI, r.UserAgent(), r.Header.Get("X-Own"), string(body)}, " "))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "made")
	})
	c := newClient(t, addr+"/base/", trust)
	var resp httpload.Response
	for i := range 3 {
		req := &httpload.Request{Method: "POST", Path: "/a?b=c", Absolute: i == 2, Headers: []httpload.Header{{Name: "X-Own", Value: "1"}, {Name: "Host", Value: "shop.test"}}, Body: []byte("text")}
		if err := c.Do(t.Context(), req, &resp); err != nil {
			t.Fatal(err)
		}
		seen, _ := resp.Header("x-seen")
		base := map[bool]string{true: "", false: "/base"}[req.Absolute] // a redirect leads below the host
		if want := "HTTP/3.0 POST shop.test " + base + "/a?b=c proofload 1 text"; string(seen) != want {
			t.Errorf("the server saw %q, want %q", seen, want)
		}
		if resp.Status != 201 || string(resp.Body) != "made" || resp.BodySize != 4 || resp.Truncated {
			t.Errorf("got %d %q (%d bytes)", resp.Status, resp.Body, resp.BodySize)
		}
		if resp.Reused != (i > 0) || (resp.Connect > 0) != (i == 0) || resp.Sent.IsZero() || resp.End.Before(resp.Sent) {
			t.Errorf("request %d: reused %v, connect %v, sent %v, end %v", i, resp.Reused, resp.Connect, resp.Sent, resp.End)
		}
		if resp.BytesOut < 4 || resp.BytesIn < 4 {
			t.Errorf("%d bytes out, %d in", resp.BytesOut, resp.BytesIn)
		}
	}
}

// TestAbsolutePaths: where a redirect leads is not below the target's path.
func TestAbsolutePaths(t *testing.T) {
	addr, trust := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	c := newClient(t, addr+"/base", trust)
	var resp httpload.Response
	for path, want := range map[string]string{"/a?b": "/a?b", "?c": "/?c", "": "/"} {
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: path, Absolute: true}, &resp); err != nil || string(resp.Body) != want {
			t.Errorf("%q: the server saw %q, %v", path, resp.Body, err)
		}
	}
}

func TestBodies(t *testing.T) {
	addr, trust := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%d %x", n, sum.Sum(nil)))
		for range 6 {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	})
	c := newClient(t, addr, trust)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	var resp httpload.Response
	if err := c.Do(t.Context(), &httpload.Request{Method: "PUT", Path: "/", Body: body}, &resp); err != nil {
		t.Fatal(err)
	}
	if got, _ := resp.Header("X-Sum"); string(got) != fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)) {
		t.Errorf("the server got %s", got)
	}
	if resp.BodySize != 6<<20 || len(resp.Body) != httpload.DefaultKeepBody || !resp.Truncated {
		t.Errorf("%d bytes, %d kept, truncated %v", resp.BodySize, len(resp.Body), resp.Truncated)
	}
}

// TestManyAtOnce: none gets another's answer, and the server counts what was sent.
func TestManyAtOnce(t *testing.T) {
	var seen, dials atomic.Int64
	addr, trust := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		_, _ = io.WriteString(w, r.URL.Path)
	})
	c := newClient(t, addr, trust, counting(&dials))
	var wg sync.WaitGroup
	const users, each = 60, 10
	for u := range users {
		wg.Go(func() {
			var resp httpload.Response
			for i := range each {
				path := fmt.Sprintf("/%d/%d", u, i)
				if err := c.Do(t.Context(), get(path), &resp); err != nil || string(resp.Body) != path {
					t.Errorf("%s: %q, %v", path, resp.Body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if seen.Load() != users*each || dials.Load() != 1 {
		t.Errorf("the server saw %d requests, %d were sent, over %d connections", seen.Load(), users*each, dials.Load())
	}
}

func TestConnections(t *testing.T) {
	addr, trust := serve(t, func(http.ResponseWriter, *http.Request) {})
	var dials atomic.Int64
	c := newClient(t, addr, trust, counting(&dials))
	one, two := c.NewSession(), c.NewSession()
	var resp httpload.Response
	for _, session := range []httpload.Session{one, two, nil, one, two, nil} {
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Session: session}, &resp); err != nil {
			t.Fatal(err)
		}
	}
	if dials.Load() != 3 {
		t.Errorf("%d connections of two sessions and the others", dials.Load())
	}
	_, _ = one.Close(), two.Close()
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Session: one}, &resp), transport.KindCancelled)
	dials.Store(0)
	fresh := newClient(t, addr, trust, counting(&dials), func(o *http3load.Options) { o.Fresh = true })
	for range 3 {
		if err := fresh.Do(t.Context(), get("/"), &resp); err != nil || resp.Reused || resp.Connect == 0 {
			t.Fatalf("reused %v, connect %v, %v", resp.Reused, resp.Connect, err)
		}
	}
	if dials.Load() != 3 {
		t.Errorf("%d connections for 3 requests", dials.Load())
	}
}

// TestMisbehavingServer: each failure has its kind, is no success, and the next request is answered.
func TestMisbehavingServer(t *testing.T) {
	release := make(chan struct{})
	addr, trust := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/reset-in-the-body":
			_, _ = io.WriteString(w, "abc")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/short":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "abc")
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/silent":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/connection":
			_ = r.Context().Value(connKey{}).(*quic.Conn).CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "too much")
		}
	})
	defer close(release)
	c := newClient(t, addr, trust, func(o *http3load.Options) { o.MaxBody = 1 << 20 })
	var resp httpload.Response
	for path, kind := range map[string]transport.Kind{
		"/reset": transport.KindStreamReset, "/reset-in-the-body": transport.KindStreamReset, "/short": transport.KindLength,
		"/silent": transport.KindTimeout, "/connection": transport.KindGoAway, "/endless": transport.KindBody,
	} {
		timeout := time.Minute
		if kind == transport.KindTimeout {
			timeout = 50 * time.Millisecond
		}
		err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: path, Timeout: timeout, Discard: true}, &resp)
		var e *transport.Error
		if !errors.As(err, &e) || e.Kind != kind || resp.Sent.IsZero() || resp.End.IsZero() {
			t.Errorf("%s: %v, want kind %s", path, err, kind)
		}
		if err := c.Do(t.Context(), get("/"), &resp); err != nil || resp.Status != 200 {
			t.Errorf("after %s: %d, %v", path, resp.Status, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(50*time.Millisecond, cancel)
	defer timer.Stop()
	wantKind(t, c.Do(ctx, get("/silent"), &resp), transport.KindCancelled)
	_ = c.Close()
	wantKind(t, c.Do(t.Context(), get("/"), &resp), transport.KindCancelled)
}

// TestNoConnection: what keeps a connection from being opened has the kind that it has over TCP.
func TestNoConnection(t *testing.T) {
	addr, trust := serve(t, func(http.ResponseWriter, *http.Request) {})
	var resp httpload.Response
	wantKind(t, newClient(t, addr).Do(t.Context(), get("/"), &resp), transport.KindTLSAuthority)
	if !resp.Sent.IsZero() {
		t.Error("it counts as sent")
	}
	wrong := newClient(t, addr, trust, func(o *http3load.Options) { o.TLS.ServerName = "other.test" })
	wantKind(t, wrong.Do(t.Context(), get("/"), &resp), transport.KindTLSName)
	late := newClient(t, addr, trust, func(o *http3load.Options) {
		o.TLS.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
	})
	wantKind(t, late.Do(t.Context(), get("/"), &resp), transport.KindTLSExpired)

	cert, roots := certificate(t)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: socket}
	defer func() { _, _ = tr.Close(), socket.Close() }()
	l, err := tr.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"other"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := newClient(t, "https://"+l.Addr().String(), func(o *http3load.Options) { o.TLS = &tls.Config{RootCAs: roots} })
	wantKind(t, other.Do(t.Context(), get("/"), &resp), transport.KindNotSpoken)

	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	mute := newClient(t, "https://"+silent.LocalAddr().String())
	wantKind(t, mute.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: 50 * time.Millisecond}, &resp), transport.KindTimeout)
}

func TestRequestsThatAreNone(t *testing.T) {
	c := newClient(t, "https://127.0.0.1:1")
	var resp httpload.Response
	for _, h := range []httpload.Header{{Name: "Connection", Value: "close"}, {Name: "TE", Value: "gzip"}, {Name: "a b", Value: "c"}} {
		wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Headers: []httpload.Header{h}}, &resp), transport.KindRequest)
	}
}
