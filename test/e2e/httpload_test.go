package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// bin is a go-httpbin server with a client to it, and counts the requests and connections that the
// server saw.
type bin struct {
	*httpload.Client
	server      *httptest.Server
	received    atomic.Int64
	connections atomic.Int64
}

// startBin serves go-httpbin, over TLS if secure is set.
func startBin(t *testing.T, secure bool) *bin {
	t.Helper()
	b := &bin{}
	app := httpbin.New(httpbin.WithMaxDuration(time.Minute), httpbin.WithMaxBodySize(64<<20))
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.received.Add(1)
		app.ServeHTTP(w, r)
	}))
	b.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			b.connections.Add(1)
		}
	}
	b.server.Config.ErrorLog = log.New(io.Discard, "", 0) // tests break connections on purpose
	opts := httpload.Options{}
	if secure {
		b.server.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(b.server.Certificate())
		opts.TLS = &tls.Config{RootCAs: roots}
	} else {
		b.server.Start()
	}
	t.Cleanup(b.server.Close)
	var err error
	if opts.Target, err = url.Parse(b.server.URL); err != nil {
		t.Fatal(err)
	}
	if b.Client, err = httpload.NewClient(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (b *bin) do(t *testing.T, req httpload.Request) *httpload.Response {
	t.Helper()
	resp := new(httpload.Response)
	if err := b.Do(t.Context(), &req, resp); err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.Path, err)
	}
	return resp
}

func (b *bin) get(t *testing.T, path string) *httpload.Response {
	t.Helper()
	return b.do(t, httpload.Request{Method: "GET", Path: path})
}

// bothWays runs a test over plain text and over TLS.
func bothWays(t *testing.T, test func(t *testing.T, b *bin)) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "http", true: "https"}[secure], func(t *testing.T) { test(t, startBin(t, secure)) })
	}
}

func TestHTTPStatus(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bin) {
		for _, code := range []int{200, 201, 202, 204, 205, 301, 304, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 504} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
				resp := b.do(t, httpload.Request{Method: method, Path: fmt.Sprintf("/status/%d", code)})
				if resp.Status != code {
					t.Errorf("%s: status %d, want %d", method, resp.Status, code)
				}
				if (method == "HEAD" || code == 204 || code == 304) && len(resp.Body) > 0 {
					t.Errorf("%s %d: body %q", method, code, resp.Body)
				}
			}
		}
		if n := b.connections.Load(); n != 1 {
			t.Errorf("%d connections for requests one after another", n)
		}
	})
}

// echoed is what go-httpbin says about the request that it received.
type echoed struct {
	Method  string              `json:"method"`
	Args    map[string][]string `json:"args"`
	Headers map[string][]string `json:"headers"`
	Data    string              `json:"data"`
	JSON    any                 `json:"json"`
	URL     string              `json:"url"`
}

func decode(t *testing.T, body []byte) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("%v in %d bytes: %.200q", err, len(body), body)
	}
	return e
}

func TestHTTPRequestEchoed(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bin) {
		body := `{"sku":"a-1","qty":2,"note":"żółć"}`
		resp := b.do(t, httpload.Request{
			Method: "POST", Path: "/post?q=a%20b&q=c%26d&empty=",
			Headers: []httpload.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "x-trace", Value: "1, 2"}},
			Body:    []byte(body),
		})
		e := decode(t, resp.Body)
		if e.Method != "POST" || e.Data != body || fmt.Sprint(e.Args) != "map[empty:[] q:[a b c&d]]" {
			t.Errorf("server read %+v", e)
		}
		if sent, err := json.Marshal(e.JSON); err != nil || !bytes.Contains(sent, []byte(`"note":"żółć"`)) {
			t.Errorf("json %s, %v", sent, err)
		}
		want := map[string]string{
			"Content-Type": "application/json", "X-Trace": "1, 2", "User-Agent": "proofload",
			"Content-Length": fmt.Sprint(len(body)), "Host": strings.SplitN(b.server.URL, "//", 2)[1],
		}
		for name, value := range want {
			if got := strings.Join(e.Headers[name], "|"); got != value {
				t.Errorf("server read %s: %q, want %q", name, got, value)
			}
		}
		if len(e.Headers) != len(want) {
			t.Errorf("server read fields nobody asked for: %v", e.Headers)
		}
	})
}

func TestHTTPUpload(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bin) {
		for _, size := range []int{0, 1, 4095, 4096, 32 << 10, 32<<10 + 1, 100_000, 1 << 20} {
			body := bytes.Repeat([]byte{0xff, 0, '\r', '\n', 'x'}, size/5+1)[:size]
			resp := b.do(t, httpload.Request{Method: "PUT", Path: "/put", Body: body})
			data := decode(t, resp.Body).Data
			if size > 0 { // binary data comes back as a data address
				raw, err := base64.URLEncoding.DecodeString(data[strings.IndexByte(data, ',')+1:])
				if err != nil || !bytes.Equal(raw, body) {
					t.Errorf("size %d: server received %d other bytes, %v", size, len(raw), err)
				}
			}
		}
	})
}

// TestHTTPBodies compares bodies of every framing with what the standard library's client reads.
func TestHTTPBodies(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bin) {
		for _, path := range []string{
			"/bytes/0", "/bytes/1?seed=7", "/bytes/4000?seed=7", "/bytes/100000?seed=7",
			"/stream-bytes/100?seed=7&chunk_size=1", "/stream-bytes/100000?seed=7&chunk_size=10000", "/stream-bytes/50000?seed=7&chunk_size=4096",
			"/range/26", "/html", "/json", "/xml", "/image/png", "/image/jpeg", "/encoding/utf8", "/robots.txt", "/deny", "/links/10/0",
		} {
			resp := b.get(t, path)
			theirs, err := b.server.Client().Get(b.server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := io.ReadAll(theirs.Body)
			_ = theirs.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if resp.Status != theirs.StatusCode || !bytes.Equal(resp.Body, want) {
				t.Errorf("%s: %d with %d bytes, net/http reads %d with %d", path, resp.Status, len(resp.Body), theirs.StatusCode, len(want))
			}
			for name, values := range theirs.Header {
				if got, ok := resp.Header(name); name != "Date" && (!ok || string(got) != values[0]) {
					t.Errorf("%s: field %s is %q, want %q", path, name, got, values)
				}
			}
		}
	})
}

func TestHTTPStream(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bin) {
		resp := b.get(t, "/stream/50")
		if v, _ := resp.Header("Transfer-Encoding"); string(v) != "chunked" {
			t.Fatalf("the server does not send chunks: %q", v)
		}
		lines := bytes.Split(bytes.TrimSpace(resp.Body), []byte("\n"))
		if len(lines) != 50 {
			t.Fatalf("%d lines, want 50", len(lines))
		}
		for i, line := range lines {
			var row struct{ ID int }
			if err := json.Unmarshal(line, &row); err != nil || row.ID != i {
				t.Errorf("line %d: id %d, %v", i, row.ID, err)
			}
		}
		resp = b.do(t, httpload.Request{Method: "POST", Path: "/trailers?x-sum=1&x-end=2", Body: []byte("x")})
		if resp.Status != 200 || decode(t, resp.Body).Data == "" {
			t.Errorf("response with trailers: %d %q", resp.Status, resp.Body)
		}
		if resp = b.get(t, "/get"); !resp.Reused {
			t.Error("the connection was not kept after a trailer")
		}
	})
}

// TestHTTPSlow holds against a server that takes its time: the times measured have it in them.
func TestHTTPSlow(t *testing.T) {
	b := startBin(t, false)
	for path, atLeast := range map[string]time.Duration{
		"/delay/0.2": 200 * time.Millisecond,
		"/drip?duration=200ms&numbytes=5&delay=100ms": 250 * time.Millisecond,
	} {
		resp := b.get(t, path)
		if took := resp.End.Sub(resp.Sent); resp.Status != 200 || took < atLeast {
			t.Errorf("%s: %d after %v, want at least %v", path, resp.Status, took, atLeast)
		}
	}
	if resp := b.get(t, "/drip?duration=50ms&delay=0s&numbytes=5&code=503"); resp.Status != 503 || string(resp.Body) != "*****" {
		t.Errorf("drip: %d %q", resp.Status, resp.Body)
	}
}

func TestHTTPTimeout(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bin) {
		b.get(t, "/get")
		for _, path := range []string{"/delay/30", "/drip?duration=30s&delay=0s&numbytes=30"} {
			var resp httpload.Response
			err := b.Do(t.Context(), &httpload.Request{Method: "GET", Path: path, Timeout: 100 * time.Millisecond}, &resp)
			var e *transport.Error
			if !asError(err, &e) || e.Kind != transport.KindTimeout {
				t.Errorf("%s: %v, want a timeout", path, err)
			}
			if resp := b.get(t, "/get"); resp.Status != 200 || resp.Reused {
				t.Errorf("after a timeout: %d, reused %v", resp.Status, resp.Reused)
			}
		}
	})
}

func asError(err error, target **transport.Error) bool {
	e, ok := errors.AsType[*transport.Error](err)
	*target = e
	return ok
}

// TestHTTPOpaque: nothing is decoded, followed or remembered behind the scenario's back.
func TestHTTPOpaque(t *testing.T) {
	b := startBin(t, false)
	resp := b.get(t, "/gzip")
	r, err := gzip.NewReader(bytes.NewReader(resp.Body))
	if err != nil {
		t.Fatalf("body was not left as sent: %v", err)
	}
	if text, err := io.ReadAll(r); err != nil || !bytes.Contains(text, []byte("gzipped")) {
		t.Errorf("%q, %v", text, err)
	}
	if v, _ := resp.Header("content-encoding"); string(v) != "gzip" {
		t.Errorf("content-encoding %q", v)
	}
	before := b.received.Load()
	resp = b.get(t, "/redirect/3")
	if v, ok := resp.Header("location"); resp.Status != 302 || !ok || string(v) != "/relative-redirect/2" && string(v) != "/redirect/2" {
		t.Errorf("redirect: %d to %q", resp.Status, v)
	}
	resp = b.get(t, "/cookies/set?a=1")
	if v, _ := resp.Header("set-cookie"); resp.Status != 302 || !strings.HasPrefix(string(v), "a=1") {
		t.Errorf("cookie: %d %q", resp.Status, v)
	}
	if resp = b.get(t, "/cookies"); bytes.Contains(resp.Body, []byte(`"a"`)) {
		t.Errorf("a cookie was remembered: %s", resp.Body)
	}
	if n := b.received.Load() - before; n != 3 {
		t.Errorf("server received %d requests for 3", n)
	}
}

func TestHTTPAuthorization(t *testing.T) {
	b := startBin(t, false)
	if resp := b.get(t, "/basic-auth/u/p"); resp.Status != 401 {
		t.Errorf("without a password: %d", resp.Status)
	}
	auth := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p"))
	resp := b.do(t, httpload.Request{Method: "GET", Path: "/basic-auth/u/p", Headers: []httpload.Header{{Name: "authorization", Value: auth}}})
	if resp.Status != 200 {
		t.Errorf("with the password: %d", resp.Status)
	}
}

// TestHTTPCounts runs mixed requests from many goroutines, some of which fail, and compares the
// number that the server received with the number that says it was sent.
func TestHTTPCounts(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bin) {
		paths := []string{"/get", "/status/503", "/bytes/5000", "/stream/3", "/drip?duration=10ms&delay=0s&numbytes=2", "/delay/5", "/response-headers?Connection=close"}
		const goroutines, each = 16, 30
		var sent, failed atomic.Int64
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				var resp httpload.Response
				for i := range each {
					req := httpload.Request{Method: "GET", Path: paths[(g+i)%len(paths)], Timeout: 20 * time.Second}
					if req.Path == "/delay/5" {
						req.Timeout = 100 * time.Millisecond
					}
					if b.Do(t.Context(), &req, &resp) != nil {
						failed.Add(1)
					}
					if !resp.Sent.IsZero() {
						sent.Add(1)
					}
				}
			})
		}
		wg.Wait()
		// A request that was given up may still be on its way through the server.
		for wait := time.Now().Add(10 * time.Second); b.received.Load() < sent.Load() && time.Now().Before(wait); {
			time.Sleep(time.Millisecond)
		}
		if sent.Load() != b.received.Load() || failed.Load() == 0 {
			t.Errorf("sent %d, received %d, failed %d", sent.Load(), b.received.Load(), failed.Load())
		}
	})
}
