package httpload_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// wellFormed are answers that are right, and what the client makes of them.
func wellFormed() []formed {
	return []formed{
		{"length", "GET", ok200 + "Content-Length: 5\r\n\r\nhello", false, 200, "hello", true},
		{"empty", "GET", ok200 + "Content-Length: 0\r\n\r\n", false, 200, "", true},
		{"length given twice", "GET", ok200 + "Content-Length: 1\r\nContent-Length: 01\r\n\r\nx", false, 200, "x", true},
		{"list of equal lengths", "GET", ok200 + "Content-Length: 1, 1\t,1\r\n\r\nx", false, 200, "x", true},
		{"zeros before a length", "GET", ok200 + "Content-Length: 00000000000000000000001\r\n\r\nx", false, 200, "x", true},
		{"zeros before a chunk size", "GET", ok200 + "Transfer-Encoding: chunked\r\n\r\n00000000000000000001\r\nx\r\n000\r\n\r\n", false, 200, "x", true},
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", false, 200, "x", true},
		{"line feeds only", "GET", "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", false, 200, "x", true},
		{"chunks", "GET", chunks("3\r\nabc\r\n002;ext=\"1\"\r\nde\r\n0\r\n\r\n"), false, 200, "abcde", true},
		{"chunks and trailer", "GET", chunks("A\r\n0123456789\r\n0\r\nDigest: x\r\nB:\r\n\r\n"), false, 200, "0123456789", true},
		{"chunks and length", "GET", ok200 + "Content-Length: 2\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", false, 200, "x", false},
		{"until close", "GET", ok200 + "\r\nall of it", true, 200, "all of it", false},
		{"until close, nothing", "GET", ok200 + "\r\n", true, 200, "", false},
		{"connection: close", "GET", ok200 + "Connection: foo, Close\r\nContent-Length: 1\r\n\r\nx", false, 200, "x", false},
		{"http 1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, 200, "x", false},
		{"http 1.0 kept alive", "GET", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", false, 200, "x", true},
		{"head", "HEAD", ok200 + "Content-Length: 500\r\n\r\n", false, 200, "", true},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true},
		{"not modified with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, 304, "", true},
		{"informational first", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + ok200 + "Content-Length: 1\r\n\r\nx", false, 200, "x", true},
		{"not found", "GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", false, 404, "nope", true},
		{"unusual status", "GET", "HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n", false, 799, "", true},
		{"keep-alive of zero", "GET", ok200 + "Keep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n", false, 200, "", true},
	}
}

// formed is a well-formed answer; last says that the server closes after it, kept that the client keeps the connection.
type formed struct {
	name   string
	method string
	text   string
	last   bool
	status int
	body   string
	kept   bool
}

func TestWellFormedResponse(t *testing.T) {
	for _, tt := range wellFormed() {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, answer(tt.text, tt.last))
			c := newClient(t, s.url())
			var resp httpload.Response
			if err := c.Do(t.Context(), &httpload.Request{Method: tt.method, Path: "/"}, &resp); err != nil {
				t.Fatal(err)
			}
			if resp.Status != tt.status || string(resp.Body) != tt.body || resp.BodySize != int64(len(tt.body)) || resp.Truncated {
				t.Errorf("got %d %q (%d bytes, truncated %v), want %d %q", resp.Status, resp.Body, resp.BodySize, resp.Truncated, tt.status, tt.body)
			}
			if kept := c.Idle() == 1; kept != tt.kept {
				t.Errorf("connection kept = %v, want %v", kept, tt.kept)
			}
			if resp.BytesIn != int64(len(tt.text)) {
				t.Errorf("%d bytes in, want %d", resp.BytesIn, len(tt.text))
			}
		})
	}
}

// TestSplitResponse delivers responses in two parts at each position: no state of the parser may
// depend on where a segment ends.
func TestSplitResponse(t *testing.T) {
	text := "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + chunks("3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n")
	for cut := 1; cut < len(text); cut++ {
		client, server := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = server.Close() }()
			if readRequest(bufio.NewReader(server)) {
				_, _ = io.WriteString(server, text[:cut])
				_, _ = io.WriteString(server, text[cut:])
			}
		})
		c := newClient(t, "http://pipe.example", func(o *httpload.Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { return client, nil }
		})
		var resp httpload.Response
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil || string(resp.Body) != "abcde" {
			t.Errorf("cut at %d: %q, %v", cut, resp.Body, err)
		}
		_ = c.Close()
		wg.Wait()
	}
}

func TestRequestOnTheWire(t *testing.T) {
	var got atomic.Pointer[string]
	s := serveRaw(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		var b strings.Builder
		req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(r, &b)))
		if err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
			text := b.String()
			got.Store(&text)
			_, _ = io.WriteString(c, ok200+"Content-Length: 0\r\n\r\n")
		}
	})
	host := strings.TrimPrefix(s.url(), "http://")
	cases := []struct {
		name string
		base string
		req  httpload.Request
		want string
	}{
		{"plain", "", httpload.Request{Method: "GET", Path: "/a?b=c%20d"}, "GET /a?b=c%20d HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: proofload\r\n\r\n"},
		{"empty path", "", httpload.Request{Method: "GET"}, "GET / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: proofload\r\n\r\n"},
		{"query only", "", httpload.Request{Method: "GET", Path: "?x=1"}, "GET /?x=1 HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: proofload\r\n\r\n"},
		{"base", "/api%20x/", httpload.Request{Method: "GET", Path: "/a"}, "GET /api%20x/a HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: proofload\r\n\r\n"},
		{"base alone", "/api", httpload.Request{Method: "GET"}, "GET /api HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: proofload\r\n\r\n"},
		{"body", "", httpload.Request{Method: "POST", Path: "/", Body: []byte("hi")}, "POST / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: proofload\r\nContent-Length: 2\r\n\r\nhi"},
		{"post without a body", "", httpload.Request{Method: "POST", Path: "/"}, "POST / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: proofload\r\nContent-Length: 0\r\n\r\n"},
		{"own fields", "", httpload.Request{Method: "PUT", Path: "/", Body: []byte("x"), Headers: []httpload.Header{
			{Name: "HOST", Value: "shop.example"}, {Name: "user-agent", Value: "me"}, {Name: "Content-length", Value: "1"}, {Name: "X", Value: "ä"},
		}}, "PUT / HTTP/1.1\r\nHOST: shop.example\r\nuser-agent: me\r\nContent-length: 1\r\nX: ä\r\n\r\nx"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, s.url()+tt.base)
			var resp httpload.Response
			if err := c.Do(t.Context(), &tt.req, &resp); err != nil {
				t.Fatal(err)
			}
			if *got.Load() != tt.want || resp.BytesOut != int64(len(tt.want)) {
				t.Errorf("sent (%d bytes)\n%q, want\n%q", resp.BytesOut, *got.Load(), tt.want)
			}
		})
	}
}

func TestRequestRefused(t *testing.T) {
	field := func(name, value string) httpload.Request {
		return httpload.Request{Method: "GET", Path: "/", Headers: []httpload.Header{{Name: name, Value: value}}}
	}
	cases := map[string]httpload.Request{
		"line break in a value":     field("a", "b\r\nc: d"),
		"line feed in a value":      field("a", "b\nc"),
		"nul in a value":            field("a", "b\x00"),
		"line break in a name":      field("a\r\nb", "c"),
		"empty name":                field("", "c"),
		"blank in a name":           field("a b", "c"),
		"length that does not fit":  field("content-length", "3"),
		"transfer encoding":         field("Transfer-Encoding", "chunked"),
		"two hosts":                 {Method: "GET", Path: "/", Headers: []httpload.Header{{Name: "host", Value: "a"}, {Name: "Host", Value: "b"}}},
		"no method":                 {Path: "/"},
		"blank in the method":       {Method: "GET /", Path: "/"},
		"connect":                   {Method: "CONNECT", Path: "/"},
		"blank in the path":         {Method: "GET", Path: "/a b"},
		"line break in the path":    {Method: "GET", Path: "/a\r\nX: y"},
		"fragment":                  {Method: "GET", Path: "/a#b"},
		"beyond ascii in the path":  {Method: "GET", Path: "/ä"},
		"path without a slash":      {Method: "GET", Path: "a"},
		"absolute address in path":  {Method: "GET", Path: "http://elsewhere/"},
		"at sign that moves a host": {Method: "GET", Path: "@elsewhere/"},
	}
	var dials atomic.Int64
	c := newClient(t, "http://127.0.0.1:1", func(o *httpload.Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, errors.New("not reached")
		}
	})
	for name, req := range cases {
		t.Run(name, func(t *testing.T) {
			var resp httpload.Response
			e := wantKind(t, c.Do(t.Context(), &req, &resp), transport.KindRequest)
			if !resp.Sent.IsZero() || transport.IsGenerator(e.Kind) {
				t.Errorf("sent %v, generator %v", resp.Sent, transport.IsGenerator(e.Kind))
			}
			if strings.Contains(e.Error(), "c: d") {
				t.Errorf("error repeats a value: %v", e)
			}
		})
	}
	if dials.Load() != 0 {
		t.Errorf("%d connections were tried", dials.Load())
	}
}

func TestTargetRefused(t *testing.T) {
	for _, target := range []string{
		"ftp://a", "http://", "http://:80", "http://a:0", "http://a:70000", "http://u:p@a", "http://a/?q=1", "http://a/#f", "a:80",
	} {
		u, err := url.Parse(target)
		if err != nil {
			continue
		}
		if _, err := httpload.NewClient(httpload.Options{Target: u}); err == nil {
			t.Errorf("%s: no error", target)
		} else if strings.Contains(err.Error(), ":p@") {
			t.Errorf("%s: error shows the password: %v", target, err)
		}
	}
	if _, err := httpload.NewClient(httpload.Options{}); err == nil {
		t.Error("no target: no error")
	}
}

func TestDialAddressAndHost(t *testing.T) {
	cases := []struct{ target, addr, host string }{
		{"http://shop.example", "shop.example:80", "shop.example"},
		{"https://shop.example", "shop.example:443", "shop.example"},
		{"http://shop.example:8080/x", "shop.example:8080", "shop.example:8080"},
		{"http://[::1]:81", "[::1]:81", "[::1]:81"},
		{"http://[fe80::1%25eth0]", "[fe80::1%eth0]:80", "[fe80::1]"},
		{"http://bücher.example", "xn--bcher-kva.example:80", "xn--bcher-kva.example"},
		{"http://my_service:80", "my_service:80", "my_service:80"},
	}
	for _, tt := range cases {
		t.Run(tt.target, func(t *testing.T) {
			var addr string
			client, server := net.Pipe()
			defer func() { _ = client.Close() }()
			c := newClient(t, strings.Replace(tt.target, "https:", "http:", 1), func(o *httpload.Options) {
				o.Target, _ = url.Parse(tt.target)
				o.TLS = &tls.Config{}
				o.Dial = func(_ context.Context, _, a string) (net.Conn, error) {
					addr = a
					if strings.HasPrefix(tt.target, "https:") {
						return nil, errors.New("enough seen")
					}
					return client, nil
				}
			})
			var host string
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { _ = server.Close() }()
				_ = server.SetDeadline(time.Now().Add(5 * time.Second))
				if req, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
					host = req.Host
				}
			})
			var resp httpload.Response
			_ = c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp)
			_ = client.Close()
			wg.Wait()
			if addr != tt.addr || (host != tt.host && !strings.HasPrefix(tt.target, "https:")) {
				t.Errorf("dialled %s for host %s, want %s for %s", addr, host, tt.addr, tt.host)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6 on loopback: %v", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	c := newClient(t, s.URL)
	var resp httpload.Response
	if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil || string(resp.Body) != l.Addr().String() {
		t.Errorf("body %q, %v; want %s", resp.Body, err, l.Addr())
	}
	_ = c.Close()
}

func TestHeaders(t *testing.T) {
	s := serveRaw(t, answer(ok200+"Content-Length: 0\r\nX-One:  a b \t\r\nx-two:\r\nX-ONE: second\r\n\r\n", false))
	c := newClient(t, s.url())
	var resp httpload.Response
	if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
		t.Fatal(err)
	}
	if v, ok := resp.Header("x-one"); !ok || string(v) != "a b" {
		t.Errorf("x-one = %q, %v", v, ok)
	}
	if v, ok := resp.Header("X-Two"); !ok || len(v) != 0 {
		t.Errorf("x-two = %q, %v", v, ok)
	}
	if _, ok := resp.Header("x-three"); ok {
		t.Error("x-three is there")
	}
	var all []string
	for n, v := range resp.Headers() {
		all = append(all, string(n)+"="+string(v))
	}
	if got, want := strings.Join(all, ","), "Content-Length=0,X-One=a b,x-two=,X-ONE=second"; got != want {
		t.Errorf("headers %s, want %s", got, want)
	}
}

func TestBodyKeptAndDropped(t *testing.T) {
	const size = 300_000
	whole := bytes.Repeat([]byte("0123456789"), size/10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		_, _ = w.Write(whole)
	}))
	defer s.Close()
	for _, path := range []string{"/length", "/chunked"} {
		for _, keep := range []int{1, 1000, size - 1, size, size + 1} {
			c := newClient(t, s.URL, func(o *httpload.Options) { o.KeepBody = keep })
			var resp httpload.Response
			for range 2 {
				if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: path}, &resp); err != nil {
					t.Fatal(err)
				}
				if want := whole[:min(keep, size)]; !bytes.Equal(resp.Body, want) || resp.BodySize != size || resp.Truncated != (keep < size) {
					t.Errorf("%s keep %d: %d of %d bytes, truncated %v", path, keep, len(resp.Body), resp.BodySize, resp.Truncated)
				}
			}
			if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: path, Discard: true}, &resp); err != nil {
				t.Fatal(err)
			}
			if len(resp.Body) != 0 || resp.BodySize != size || resp.Truncated || !resp.Reused {
				t.Errorf("%s discarded: %d of %d bytes, truncated %v, reused %v", path, len(resp.Body), resp.BodySize, resp.Truncated, resp.Reused)
			}
			_ = c.Close()
		}
	}
}

func TestNoAllocations(t *testing.T) {
	c := newClient(t, echoServer(t)) // which does not allocate either: it runs in this process
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := httpload.Request{Method: "GET", Path: "/", Headers: []httpload.Header{{Name: "authorization", Value: "Bearer x"}}}
	var resp httpload.Response
	run := func() {
		if err := c.Do(ctx, &req, &resp); err != nil {
			t.Fatal(err)
		}
		if v, ok := resp.Header("content-type"); !ok || len(v) == 0 {
			t.Fatal("no content type")
		}
	}
	run()
	if n := testing.AllocsPerRun(200, run); n > 0 {
		t.Errorf("%v allocations per request", n)
	}
	_ = c.Close()
}

func TestErrnoKinds(t *testing.T) {
	cases := map[syscall.Errno]transport.Kind{
		syscall.EMFILE:        transport.KindTooManyFiles,
		syscall.ENFILE:        transport.KindTooManyFiles,
		syscall.EADDRNOTAVAIL: transport.KindNoPorts,
		syscall.EADDRINUSE:    transport.KindNoPorts,
		syscall.EAGAIN:        transport.KindNoPorts,
		syscall.ENOBUFS:       transport.KindNoBuffers,
		syscall.ECONNREFUSED:  transport.KindConnect,
		syscall.ENETUNREACH:   transport.KindConnect,
		syscall.EHOSTUNREACH:  transport.KindConnect,
		syscall.ECONNRESET:    transport.KindReset,
		syscall.ETIMEDOUT:     transport.KindTimeout,
	}
	generator := map[transport.Kind]bool{transport.KindTooManyFiles: true, transport.KindNoPorts: true, transport.KindNoBuffers: true}
	for errno, kind := range cases {
		c := newClient(t, "http://127.0.0.1:1", func(o *httpload.Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("socket: %w", errno)}
			}
		})
		var resp httpload.Response
		e := wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), kind)
		if transport.IsGenerator(e.Kind) != generator[kind] || !errors.Is(e, errno) {
			t.Errorf("%v: generator %v, error %v", errno, transport.IsGenerator(e.Kind), e)
		}
	}
}
