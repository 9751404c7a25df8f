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
	slope   slope
	second  *hist.Histogram // this second's values, where a trend needs them
	added   int64           // this second's total of a counter
}

// add takes in one series of a second. selected is false for one that only the outcome rules out.
func (t *tally) add(s selection, v metric.Value, l metric.Labels, selected bool) {
	if v.Hist == nil {
		t.counter = true
		t.tried++
		if selected {
			t.added += v.Count
			t.total += v.Count
		}
		return
	}
	t.tried += v.Hist.Count()
	if !selected {
		return
	}
	if l.Get("outcome") == "failed" {
		t.failed += v.Hist.Count()
	}
	t.merge(v.Hist)
	if s.Stat == scenario.StatTrend {
		if t.second == nil {
			t.second = hist.New()
		}
		t.second.Merge(v.Hist)
	}
}

// gauge takes in a number that was read once in a second.
func (t *tally) gauge(s selection, v float64) {
	h := hist.New()
	if err := h.RecordValue(v); err == nil {
		t.add(s, metric.Value{Hist: h}, metric.Labels{}, true)
	}
}

func (t *tally) merge(h *hist.Histogram) {
	if t.values == nil {
		t.values = hist.New()
	}
	t.values.Merge(h)
}

// end closes a second in which the selection was looked at.
func (t *tally) end(index int64) {
	switch {
	case t.counter:
		h := hist.New()
		if h.RecordValue(float64(t.added)) == nil {
			t.merge(h)
		}
		t.slope.add(index, float64(t.added))
		t.added = 0
	case t.second != nil && !t.second.Empty():
		t.slope.add(index, t.second.Mean())
		t.second.Reset()
	}
}

// count returns the selected samples, or the total of a counter.
func (t *tally) count() float64 {
	switch {
	case t.counter:
		return float64(t.total)
	case t.values == nil:
		return 0
	}
	return float64(t.values.Count())
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

// value returns the statistic; false without samples. seconds is the time covered by them. With nothing but arrivals held back lo is not a number: it cannot hold.
func (t *tally) value(s selection, seconds float64, back heldBack) (span, bool) {
	held := back.of(s)
	above := s.latency && held > 0
	switch {
	case t.tried == 0 && !above:
		return span{}, false
	case s.counts() && !s.latency:
		return t.counting(s, seconds, held)
	case !t.empty():
		return t.distribution(s, held)
	case above:
		return span{math.NaN(), math.Inf(1)}, true
	case s.Stat == scenario.StatSum:
		return span{}, true
	}
	return span{}, false
}

// counting evaluates what is 0 when nothing was selected.
func (t *tally) counting(s selection, seconds float64, held int64) (span, bool) {
	var v float64
	switch s.Stat {
	case scenario.StatErrorRatio:
		if t.counter {
			return span{}, false // a counter does not know what failed
		}
		v = float64(t.failed) / float64(t.tried)
		return span{v, v}, true
	case scenario.StatSum:
		v = t.count()
		if !t.counter && s.Metric != scenario.MetricRequests && !t.empty() {
			v = t.values.Sum()
		}
	default:
		v = t.count()
	}
	more := 0.0
	if s.counted() {
		more = float64(held)
	}
	if s.Stat == scenario.StatRate {
		if seconds <= 0 {
			return span{}, false
		}
		return span{v / seconds, (v + more) / seconds}, true
	}
	return span{v, v + more}, true
}

// distribution evaluates what needs samples.
func (t *tally) distribution(s selection, held int64) (span, bool) {
	if !s.latency {
		held = 0
	}
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
		return span{h.Min().Seconds(), h.Min().Seconds()}, true // what was held back is slower
	case scenario.StatMax:
		v = h.Max().Seconds()
	case scenario.StatQuantile:
		return quantile(h, s.Quantile, uint64(held)), true
	case scenario.StatTrend:
		per, ok := t.slope.value(s.Per)
		if !ok {
			return span{}, false
		}
		v = per
	}
	if held > 0 {
		return span{v, math.Inf(1)}, true
	}
	return span{v, v}, true
}

// quantile returns the quantile of the samples, and of the samples and held values above all of them.
func quantile(h *hist.Histogram, q float64, held uint64) span {
	v := span{lo: h.Quantile(q).Seconds()}
	v.hi = v.lo
	if held == 0 {
		return v
	}
	rank := hist.Rank(q, h.Count()+held)
	if rank > h.Count() {
		v.hi = math.Inf(1)
	} else {
		v.hi = h.Quantile((float64(rank) - 0.5) / float64(h.Count())).Seconds() // of exactly that rank
	}
	return v
}

// slope is the least-squares line through one value per second.
type slope struct {
	n, first     int64
	x, y, xx, xy float64
}

func (s *slope) add(index int64, y float64) {
	if s.n == 0 {
		s.first = index
	}
	x := float64(index - s.first) // small numbers keep their digits
	s.n++
	s.x += x
	s.y += y
	s.xx += x * x
	s.xy += x * y
}

// value returns the rise per hour, minute or second; false with fewer than two seconds.
func (s *slope) value(per string) (float64, bool) {
	n := float64(s.n)
	d := n*s.xx - s.x*s.x
	if s.n < 2 || d == 0 {
		return 0, false
	}
	v := (n*s.xy - s.x*s.y) / d
	switch per {
	case "h":
		v *= 3600
	case "m":
		v *= 60
	}
	return v, true
}
