package load

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// BenchmarkEngineHTTP shows what one request costs, with the whole engine around it and an
// in-process server with connections that are kept alive on the other side. The processor time of
// the server is in it. One operation is one request.
func BenchmarkEngineHTTP(b *testing.B) {
	b.Run("closed, as fast as it goes", func(b *testing.B) {
		benchmarkEngine(b, usersPhase("p", [3]float64{16, 16, 3600}))
	})
	b.Run("open, 5000 per second", func(b *testing.B) {
		benchmarkEngine(b, openPhase("p", [3]float64{5000, 5000, max(float64(b.N)/5000, 0.001)}))
	})
}

func benchmarkEngine(b *testing.B, p scenario.Phase) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	url := plainServer(b, int64(b.N), cancel)
	clock := simClock{time.Now()}
	e := prepared(b, Options{Plan: httpPlan(url, 1, p), Clock: clock, Logger: hclog.NewNullLogger(), Drain: time.Second})
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	if err := e.Run(ctx); err != nil {
		b.Fatal(err)
	}
	used := cpuTime() - cpu
	b.StopTimer()
	s := e.Seal(second(clock.Now()))
	all := func(metric.Labels) bool { return true }
	sent, failed := s.Requests()
	lag := s.Select(metric.ScheduleLag, all)
	b.ReportMetric(float64(used.Nanoseconds())/float64(sent), "cpu-ns/req")
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(lag.Quantile(0.99).Microseconds()), "lag-p99-us")
	b.ReportMetric(float64(s.Select(metric.ResponseTime, all).Quantile(0.5).Microseconds()), "response-p50-us")
	if failed > int64(b.N)/100+16 {
		b.Errorf("%d of %d requests failed", failed, sent)
	}
}

// plainServer answers every read with the same response, which costs next to nothing; it calls
// enough after the given number of answers.
func plainServer(b *testing.B, n int64, enough func()) string {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	var served atomic.Int64
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 4096)
				answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if served.Add(1) == n {
						enough()
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			})
		}
	})
	b.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return "http://" + listener.Addr().String()
}
