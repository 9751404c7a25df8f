package judge

import (
	"math"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// frame is what one row has seen over one window, or without windows over the whole run.
type frame struct {
	left, over tally
	requests   int64 // made, for the impact
	failed     int64
	held       heldBack
	due        int64         // arrivals planned
	inFlight   int64         // at the end of the last second that counted
	oldest     time.Duration // age of an operation where the row looks, then
	awaited    bool          // an answer was, there or elsewhere in the flow
	covered    time.Duration // by the schedule, in the seconds that counted
	counted    int64         // seconds that counted
	full       int64         // of those, covered wholly
	active     int64         // seconds with activity, counted or not
	first      int64         // index of the first active second
	last       int64         // and of the last
}

// active tells whether a second has anything to do with the scope.
func (p scope) active(s instant) bool {
	if s.cal.covered(s.Index, s.Paused, p.phases) > 0 {
		return true
	}
	for key, a := range s.Arrivals {
		if p.rows[key] > 0 && (a.Planned > 0 || a.Sent > 0 || a.Succeeded > 0 || a.Failed > 0 || a.InFlight > 0) {
			return true
		}
	}
	return false
}

// second takes in all of a second but its series.
func (f *frame) second(s instant, p scope, takes bool) {
	if !p.active(s) {
		return
	}
	if f.active == 0 {
		f.first = s.Index
	}
	f.last = s.Index
	f.active++
	if !takes {
		return
	}
	f.counted++
	covered := s.cal.covered(s.Index, s.Paused, p.phases)
	f.covered += covered
	if covered == time.Second {
		f.full++
	}
	f.inFlight, f.oldest, f.awaited = 0, 0, false
	for key, a := range s.Arrivals {
		requests := p.rows[key]
		if requests == 0 {
			continue
		}
		f.due += a.Planned
		f.inFlight += a.InFlight
		for step, age := range a.Oldest {
			f.awaited = f.awaited || age > 0
			if p.places[place{key.Phase, key.Flow, step}] {
				f.oldest = max(f.oldest, age)
			}
		}
		if s.valid {
			f.held.arrivals += a.NotSent[metric.CauseMaxInFlight]
			f.held.requests += a.NotSent[metric.CauseMaxInFlight] * requests
		}
	}
}

// ground returns what a row that is seen only now has in common with f.
func (f frame) ground() frame {
	f.left, f.over = tally{tried: f.left.tried}, tally{tried: f.over.tried}
	return f
}

// request counts requests for the impact of a violation.
func (f *frame) request(l metric.Labels, v metric.Value) {
	if v.Hist == nil {
		return
	}
	f.requests += int64(v.Hist.Count())
	if l.Get("outcome") == "failed" {
		f.failed += int64(v.Hist.Count())
	}
}

// place matches the labels that say where in the plan a request stands.
func (s selection) place(l metric.Labels) bool {
	for _, m := range s.other {
		for _, name := range placeLabels {
			if m.label == name && !m.match(l.Get(name)) {
				return false
			}
		}
	}
	return true
}

// gauges reads what is not a series.
func (r *row) gauges(c *criterion, s instant) {
	read := func(t *tally, sel selection) {
		if !sel.inFlight || !r.scope.active(s) {
			return
		}
		var n, held int64
		for key, a := range s.Arrivals {
			l := metric.NewLabels("phase", key.Phase, "flow", key.Flow)
			if r.scope.rows[key] > 0 && sel.base(l) {
				n += a.InFlight
				held += a.NotSent[metric.CauseMaxInFlight]
			}
		}
		if t.raised == nil {
			t.raised = &tally{}
		}
		t.gauge(s.Index, n)
		t.raised.gauge(s.Index, n+held)
	}
	read(&r.frame.left, c.left)
	if c.Check.Over != nil {
		read(&r.frame.over, c.over)
	}
}

// finding is what a frame proves.
type finding uint8

const (
	nothing  finding = iota // it does not count
	empty                   // it should have had samples
	doubtful                // failures that are not the target's would decide
	met
	breached
)

// judge says what a frame proves, and the value that decides. Requests that failed, and not because of
// the target, are left out; it proves nothing if the target would be judged otherwise with them.
func (c *criterion) judge(f *frame) (finding, float64) {
	if f.counted == 0 {
		return nothing, 0
	}
	found, v := c.decide(f, &f.left, &f.over)
	if f.doubts() == 0 {
		return found, v
	}
	blamed, _ := c.decide(f, f.left.blamed(), f.over.blamed())
	if (found == breached) != (blamed == breached) {
		return doubtful, v
	}
	return found, v
}

// doubts returns how many requests failed, and not because of the target.
func (f *frame) doubts() uint64 { return max(f.left.doubts(), f.over.doubts()) }

// decide says what two tallies prove, and the value that decides.
func (c *criterion) decide(f *frame, left, over *tally) (finding, float64) {
	values, ok := c.values(f, left, over)
	if !ok {
		return c.unsampled(f)
	}
	observed, unknown := values[0], false
	for _, v := range values {
		if math.IsNaN(v) {
			unknown = true
			continue
		}
		if good, _ := holds(c.Check.Op, v, c.Check.Limit); !good {
			return c.partial(f, v)
		}
		observed = worse(c.Check.Op, c.Check.Limit, observed, v)
	}
	if unknown {
		return empty, 0
	}
	if c.cut(f) {
		return nothing, 0
	}
	return met, observed
}

// values returns the value of the check without the arrivals held back, and with them.
func (c *criterion) values(f *frame, left, over *tally) ([]float64, bool) {
	seconds := f.covered.Seconds()
	if c.cut(f) && c.left.Stat == scenario.StatRate {
		seconds = c.Window.Seconds() // at least so much
	}
	l, ok := left.value(c.left, seconds, f.held)
	if !ok {
		return nil, false
	}
	if c.Check.Over == nil {
		return []float64{l.lo, l.hi}, true
	}
	o, ok := over.value(c.over, f.covered.Seconds(), f.held)
	if !ok || o.lo == 0 || o.hi == 0 {
		return nil, false
	}
	with := l.hi / o.hi
	if math.IsInf(l.hi, 0) {
		with = l.hi
	}
	return []float64{l.lo / o.lo, with}, true
}

// cut tells whether the schedule covers the window only in part, which makes a sum over it too small.
func (c *criterion) cut(f *frame) bool {
	if c.Window <= 0 || c.Check.Over != nil || !c.left.additive() {
		return false
	}
	return f.full < max(1, int64(c.Window/time.Second))
}

// partial is what a frame proves in which the check does not hold.
func (c *criterion) partial(f *frame, v float64) (finding, float64) {
	if c.cut(f) && !upper(c.Check.Op) {
		return nothing, 0
	}
	return breached, v
}

// unsampled is what a frame without samples proves.
func (c *criterion) unsampled(f *frame) (finding, float64) {
	switch {
	case f.left.tried == 0 && f.inFlight > 0 && f.awaited && c.left.latency && c.Check.Over == nil && upper(c.Check.Op):
		if good, _ := holds(c.Check.Op, f.oldest.Seconds(), c.Check.Limit); !good && c.aged() {
			return breached, f.oldest.Seconds()
		}
		return nothing, 0 // it is in time, or the flow waits before it
	case f.due == 0 && f.inFlight == 0:
		return nothing, 0
	case f.left.tried > 0 && c.byOutcome():
		return nothing, 0 // the others of its kind are there: this outcome did not occur
	}
	return empty, 0
}

// aged tells whether the age of one operation bounds the statistic from below when it is all there is.
func (c *criterion) aged() bool {
	return c.left.Stat != scenario.StatStddev && c.left.Stat != scenario.StatTrend
}

func (c *criterion) byOutcome() bool {
	for _, name := range c.By {
		if slices.Contains(scenario.OutcomeLabels, name) {
			return true
		}
	}
	return false
}
