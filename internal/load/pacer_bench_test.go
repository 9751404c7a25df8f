package load

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/metric"
)

// BenchmarkPacer shows what starting an arrival costs without a protocol, and how late arrivals are
// at a rate that a real run may have. One operation is one arrival.
func BenchmarkPacer(b *testing.B) {
	const rate = 20000
	seconds := max(float64(b.N)/rate, 0.001)
	clock := simClock{time.Now()}
	p := openPhase("p", [3]float64{rate, rate, seconds})
	e, err := New(Options{Plan: planOf(p), Clock: clock, Logger: hclog.NewNullLogger()})
	if err != nil {
		b.Fatal(err)
	}
	e.program, e.prepared = &fakeProgram{}, true
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	if err := e.Run(context.Background()); err != nil {
		b.Fatal(err)
	}
	used := cpuTime() - cpu
	b.StopTimer()
	s := e.Seal(second(clock.Now()))
	lag := s.Select(metric.ScheduleLag, func(metric.Labels) bool { return true })
	row := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(lag.Quantile(0.5).Microseconds()), "lag-p50-us")
	b.ReportMetric(float64(lag.Quantile(0.99).Microseconds()), "lag-p99-us")
	b.ReportMetric(float64(row.Planned-row.Sent), "not-sent")
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
