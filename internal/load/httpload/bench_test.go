package httpload_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"proofload/internal/load/httpload"
)

// hello is the server of the benchmarks: net/http, answering at once.
func hello(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"total":12.5}`)
	}))
	tb.Cleanup(s.Close)
	return s.URL
}

// echoServer answers each read that ends a head with the same bytes. It costs next to nothing, so
// that a benchmark against it shows the client.
func echoServer(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { answerAll(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

func answerAll(c net.Conn) {
	defer func() { _ = c.Close() }()
	buf := make([]byte, 4096)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"total\":12.5}")
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func newClient(tb testing.TB, target string, change ...func(*httpload.Options)) *httpload.Client {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	opts := httpload.Options{Target: u}
	for _, f := range change {
		f(&opts)
	}
	c, err := httpload.NewClient(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// counting counts the connections that a client opens.
func counting(dials *atomic.Int64) func(*httpload.Options) {
	return func(o *httpload.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, addr)
		}
	}
}

// reportCPU adds the processor time per request, of client and server together.
func reportCPU(b *testing.B) {
	b.Helper()
	start := cpuTime()
	b.Cleanup(func() { b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op") })
}

func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkDo(b *testing.B) {
	b.Run("bare server", func(b *testing.B) { benchmarkOurs(b, echoServer(b)) })
	b.Run("net/http server", func(b *testing.B) { benchmarkOurs(b, hello(b)) })
}

func benchmarkOurs(b *testing.B, target string) {
	c := newClient(b, target)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	req := httpload.Request{Method: "GET", Path: "/cart", Headers: []httpload.Header{{Name: "authorization", Value: "Bearer x"}}}
	b.ReportAllocs()
	reportCPU(b)
	b.RunParallel(func(pb *testing.PB) {
		var resp httpload.Response
		for pb.Next() {
			if err := c.Do(ctx, &req, &resp); err != nil || resp.Status != 200 {
				b.Errorf("status %d, %v", resp.Status, err)
				return
			}
		}
	})
}

// BenchmarkNetHTTP is the same work with the client of the standard library.
func BenchmarkNetHTTP(b *testing.B) {
	b.Run("bare server", func(b *testing.B) { benchmarkTheirs(b, echoServer(b)) })
	b.Run("net/http server", func(b *testing.B) { benchmarkTheirs(b, hello(b)) })
}

func benchmarkTheirs(b *testing.B, target string) {
	tr := &http.Transport{MaxIdleConnsPerHost: 1000}
	defer tr.CloseIdleConnections()
	b.ReportAllocs()
	reportCPU(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), "GET", target+"/cart", strings.NewReader(""))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer x")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}
