package http2load_test

import (
	"io"
	"net/http"
	"syscall"
	"testing"

	"golang.org/x/net/http2"

	"proofload/internal/load/httpload"
)

// BenchmarkDo is the client against a server that costs next to nothing, with one request at a time and many.
func BenchmarkDo(b *testing.B) {
	s := serveEcho(b)
	for name, users := range map[string]int{"one": 1, "64 users": 64} {
		b.Run(name, func(b *testing.B) {
			c := newClient(b, s)
			b.ReportAllocs()
			start := cpuTime()
			if users > 1 {
				b.SetParallelism(users / 2)
			}
			b.RunParallel(func(pb *testing.PB) {
				var resp httpload.Response
				req := httpload.Request{Method: "GET", Path: "/cart", Headers: []httpload.Header{{Name: "authorization", Value: "Bearer x"}}}
				for pb.Next() {
					if err := c.Do(b.Context(), &req, &resp); err != nil || resp.Status != 200 {
						b.Errorf("status %d, %v", resp.Status, err)
						return
					}
				}
			})
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkLibrary is the same with the client of golang.org/x/net.
func BenchmarkLibrary(b *testing.B) {
	s := serveEcho(b)
	b.Run("64 users", func(b *testing.B) {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		defer tr.CloseIdleConnections()
		b.ReportAllocs()
		start := cpuTime()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				req, _ := http.NewRequestWithContext(b.Context(), "GET", s+"/cart", nil)
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
		b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
	})
}

func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// serveEcho answers each request with the same few bytes.
func serveEcho(tb testing.TB) string {
	tb.Helper()
	s := serveRaw(tb, func(p *peer) {
		for {
			f, err := p.framer.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.HeadersFrame:
				p.ok(f.StreamID, `{"total":12.5}`)
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = p.framer.WriteSettingsAck()
				}
			}
		}
	})
	return s.url()
}
