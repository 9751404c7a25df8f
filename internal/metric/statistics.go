package metric

import (
	"time"

	"proofload/internal/metric/hist"
)

// Selector says which series a question is about.
type Selector struct {
	Metric string
	Match  func(Labels) bool // nil matches all
}

// Statistics describe the values of some series over some seconds. Numbers are in seconds for
// durations and otherwise in the unit of the metric. Without values all of them but Seconds are 0.
type Statistics struct {
	Seconds time.Duration //nolint:staticcheck // the number of seconds looked at, as a length of what was looked at, pauses excluded
	Count   uint64        // number of values; of counters, the sum of their deltas
	Sum     float64       // of counters, the same as Count
	// Of counters, the following are 0.
	Mean, Stddev, Min, Max   float64 // the deviation is that of the population
	P50, P90, P95, P99, P999 float64
	// Rate is Count per second, ErrorRatio the share of the values whose label outcome is failed.
	Rate, ErrorRatio float64
	// Trend is the slope per second of the line of least squares through all values, each placed at the
	// beginning of its second; of counters, through the deltas of the seconds. 0 within one second.
	Trend float64
}

// gather collects what Statistics are computed from.
type gather struct {
	all    *hist.Histogram
	count  int64 // of counters
	failed uint64
	active time.Duration
	trend  Trend
}

func newGather() *gather { return &gather{all: hist.New()} }

func (g *gather) statistics() Statistics {
	s := Statistics{Seconds: g.active, Count: g.all.Count() + uint64(g.count), Sum: g.all.Sum() + float64(g.count)}
	if s.Count == 0 {
		return s
	}
	if !g.all.Empty() {
		q := g.all.QuantileValue
		s.Mean, s.Stddev, s.Min, s.Max = g.all.Mean(), g.all.Stddev(), g.all.MinValue(), g.all.MaxValue()
		s.P50, s.P90, s.P95, s.P99, s.P999 = q(0.5), q(0.9), q(0.95), q(0.99), q(0.999)
	}
	if g.active > 0 {
		s.Rate = float64(s.Count) / g.active.Seconds()
	}
	s.ErrorRatio = float64(g.failed) / float64(s.Count)
	s.Trend, _ = g.trend.Slope()
	return s
}
