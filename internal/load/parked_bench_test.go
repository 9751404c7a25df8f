package load

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// BenchmarkParkedUsers shows what a user of the closed model costs in memory while it does nothing: in a think
// time behind its first request, or waiting for its pace. One operation is one user: run it with
// -benchtime=100000x.
func BenchmarkParkedUsers(b *testing.B) {
	for name, paced := range map[string]bool{"thinking": false, "waiting for their pace": true} {
		b.Run(name, func(b *testing.B) {
			n := float64(b.N)
			phase := usersPhase("p", [3]float64{0, n, max(n/4000, 0.1)}, [3]float64{n, n, 3600})
			if paced {
				phase.Pace = time.Hour
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			all := make(chan struct{})
			url, hangUp := partingServer(b, int64(b.N), func() { close(all) })
			plan := httpPlan(url, 1, phase)
			if !paced {
				f := plan.Flows["f"]
				f.Steps = append(f.Steps, scenario.Step{Think: &scenario.Distribution{Kind: "constant", Value: time.Hour}})
				plan.Flows["f"] = f
			}
			e := prepared(b, Options{Plan: plan, Clock: simClock{time.Now()}, Logger: hclog.NewNullLogger(), Drain: time.Millisecond})
			e.Apply(State{Revision: 1, Ranges: allRanges})
			e.SetLease(never)
			before := memory()
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			select {
			case <-all:
				time.Sleep(time.Second) // until the last answers have been read
			case <-time.After(time.Duration(n/4000+30) * time.Second): // some requests failed: their users are parked all the same
			}
			hangUp() // what connections cost depends on how many it took
			time.Sleep(time.Second)
			after := memory()
			b.ReportMetric(float64(after-before)/n, "B/user")
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
			sum := e.Seal(1 << 20)
			if a := sum.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]; a.Sent != int64(b.N) {
				b.Logf("not comparable: %d iterations, with errors %v", a.Sent, errorsOf(sum))
			}
		})
	}
}

// memory is what the process holds after a collection: heap, stacks, and what the runtime needs to know of them.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse + m.MSpanInuse + m.OtherSys
}

// partingServer is a plainServer that ends all of its connections when it is told to.
func partingServer(b *testing.B, n int64, enough func()) (url string, hangUp func()) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	var served atomic.Int64
	over := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				wg.Go(func() {
					<-over
					_ = c.SetDeadline(time.Now())
				})
				buf := make([]byte, 512)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if served.Add(1) == n {
						enough()
					}
					if _, err := c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")); err != nil {
						return
					}
				}
			})
		}
	})
	hangUp = sync.OnceFunc(func() { close(over) })
	b.Cleanup(func() {
		hangUp()
		_ = listener.Close()
		wg.Wait()
	})
	return "http://" + listener.Addr().String(), hangUp
}
