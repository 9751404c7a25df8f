package judge

import (
	"math"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/scenario"
)

// tally is what one selection has seen over a stretch of seconds.
type tally struct {
	values  *hist.Histogram // of a histogram or a gauge; of a counter its totals per second
	counter bool
	total   int64  // of a counter
	tried   uint64 // samples without regard to the outcome
	failed  uint64 // selected samples that failed
	trend   metric.Trend
	added   int64 // this second's total of a counter

	doubt  *tally // the same of requests whose failure is not the target's; nil: none
	spared uint64 // of those, how many would have been selected had they gone well
	raised *tally // of a gauge: what it would be with the arrivals that were held back
}

// sample is one series of a second, as a row sees it.
type sample struct {
	metric.Value
	labels   metric.Labels
	index    int64
	selected bool // else only the outcome rules it out
	unsent   bool // it never left, and that is not the target's
	doubtful bool // it failed, and not because of the target
	spared   bool // it would be selected had it gone well
}

// add takes in a sample.
func (t *tally) add(v sample) {
	if v.doubtful {
		if t.doubt == nil {
			t.doubt = &tally{}
		}
		v.doubtful = false
		t.doubt.add(v)
		if v.spared {
			t.spared += v.Hist.Count()
		}
		return
	}
	if v.Hist == nil {
		t.counter = true
		t.tried++
		if v.selected {
			t.added += v.Count
			t.total += v.Count
		}
		return
	}
	t.tried += v.Hist.Count()
	if !v.selected {
		return
	}
	if v.labels.Get("outcome") == "failed" {
		t.failed += v.Hist.Count()
	}
	t.merge(v.Hist)
	t.trend.Add(float64(v.index), float64(v.Hist.Count()), v.Hist.Sum())
}

// blamed returns what t would be if the target had to answer for all that failed.
func (t *tally) blamed() *tally {
	if t.doubt == nil {
		return t
	}
	all := *t
	all.doubt, all.spared, all.values = nil, 0, hist.New()
	for _, from := range []*tally{t, t.doubt} {
		if from.values != nil {
			all.values.Merge(from.values)
		}
	}
	all.tried += t.doubt.tried
	all.failed += t.doubt.failed
	all.trend.Merge(t.doubt.trend)
	return &all
}

// doubts returns how many samples failed, and not because of the target.
func (t *tally) doubts() uint64 {
	if t.doubt == nil {
		return 0
	}
	return t.doubt.tried
}

// gauge takes in a number that was read once in a second.
func (t *tally) gauge(index, n int64) {
	h := hist.New()
	if err := h.RecordValue(float64(n)); err == nil {
		t.add(sample{Value: metric.Value{Hist: h}, index: index, selected: true})
	}
}

func (t *tally) merge(h *hist.Histogram) {
	if t.values == nil {
		t.values = hist.New()
	}
	t.values.Merge(h)
}

// end closes a second in which the selection was looked at: a counter has a value in it, also where it
// did not move.
func (t *tally) end(index int64) {
	if !t.counter {
		return
	}
	h := hist.New()
	if h.RecordValue(float64(t.added)) == nil {
		t.merge(h)
	}
	t.trend.Add(float64(index), 1, float64(t.added))
	t.added = 0
}

// count returns the selected samples, or the total of a counter.
func (t *tally) count() float64 {
	switch {
	case t.counter:
		return float64(t.total)
	case t.values == nil:
		return float64(t.spared)
	}
	return float64(t.values.Count() + t.spared)
}

// empty tells whether nothing was selected.
func (t *tally) empty() bool { return t.values == nil || t.values.Empty() }

// span is a value that is not quite known: lo without the arrivals that were held back, hi with each
// of them as bad as can be.
type span struct{ lo, hi float64 }

// heldBack is work that max_in_flight held back: arrivals, and the requests that they would have
// made where a criterion looks.
type heldBack struct{ arrivals, requests int64 }

// of returns how many values of the selection's metric were held back.
func (h heldBack) of(s selection) int64 {
	if s.metric == metric.Iterations {
		return h.arrivals
	}
	return h.requests
}

// value returns the statistic; false without samples. seconds is the time covered by them. With nothing but
// arrivals held back lo is not a number: it cannot hold.
func (t *tally) value(s selection, seconds float64, back heldBack) (span, bool) {
	var held int64
	if s.charged() {
		held = back.of(s)
	}
	v, ok := t.statistic(s, seconds, held)
	if ok && t.raised != nil {
		with, _ := t.raised.statistic(s, seconds, 0)
		v.hi = with.hi
	}
	return v, ok
}

func (t *tally) statistic(s selection, seconds float64, held int64) (span, bool) {
	switch {
	case t.tried == 0 && held == 0:
		return span{}, false
	case s.counts() && !s.latency:
		return t.counting(s, seconds, float64(held))
	case !t.empty():
		return t.distribution(s, held)
	case s.Stat == scenario.StatSum && t.tried > 0 && held > 0: // the sum of nothing is known, whatever else was held back
		return span{0, math.Inf(1)}, true
	case held > 0:
		return span{math.NaN(), math.Inf(1)}, true
	case s.Stat == scenario.StatSum:
		return span{}, true
	}
	return span{}, false
}

// counting evaluates what is 0 when nothing was selected. What was held back may have been of every
// outcome, and failed.
func (t *tally) counting(s selection, seconds, held float64) (span, bool) {
	v := t.count()
	switch s.Stat {
	case scenario.StatErrorRatio:
		if t.counter {
			return span{}, false // a counter does not know what failed
		}
		failed, tried := float64(t.failed), float64(t.tried)
		return span{failed / tried, (failed + held) / (tried + held)}, true
	case scenario.StatSum:
		if !t.counter && s.Metric != scenario.MetricRequests && !t.empty() {
			v = t.values.Sum()
		}
	case scenario.StatRate:
		if seconds <= 0 {
			return span{}, false
		}
	default:
	}
	out := span{v, v + held}
	if t.tried == 0 {
		out.lo = math.NaN()
	}
	if s.Stat == scenario.StatRate {
		out.lo, out.hi = out.lo/seconds, out.hi/seconds
	}
	return out, true
}

// distribution evaluates what needs samples.
func (t *tally) distribution(s selection, held int64) (span, bool) {
	var v float64
	h := t.values
	switch s.Stat {
	case scenario.StatMean:
		v = h.Mean()
	case scenario.StatStddev:
		v = h.Stddev()
	case scenario.StatSum:
		v = h.Sum()
	case scenario.StatMin:
		return span{h.MinValue(), h.MinValue()}, true // what was held back is slower
	case scenario.StatMax:
		v = h.MaxValue()
	case scenario.StatQuantile:
		return quantile(h, s.Quantile, uint64(held)), true
	case scenario.StatTrend:
		slope, ok := t.trend.Slope()
		if !ok {
			return span{}, false
		}
		v = slope * perSecond[s.Per]
	}
	if held > 0 {
		return span{v, math.Inf(1)}, true
	}
	return span{v, v}, true
}

// perSecond is how many seconds the unit of a trend has.
var perSecond = map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}

// quantile returns the quantile of the samples, and of the samples and held values above all of them.
func quantile(h *hist.Histogram, q float64, held uint64) span {
	v := span{lo: h.QuantileValue(q), hi: math.Inf(1)}
	if at, ok := h.QuantileBeyond(q, held); ok {
		v.hi = at
	}
	return v
}
