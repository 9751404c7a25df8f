package judge

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/search"
)

// Window judges the measured seconds of one probe of a search by themselves, by the critical criteria that look at
// the phase that is searched. It is not safe for concurrent use.
//
// A window shows something of the target only when at least 95 % of its seconds are VALID, degraded ones not counted
// among them, and the workers made the load that was asked for.
type Window struct {
	judge    *Judge
	phase    string
	from, to int64 // seconds, [from, to)
	seen     int64
	paused   int64
	valid    int64
	causes   map[string]int64 // of the seconds that were not VALID
	proof    Proof
}

// Proof is what a window shows.
type Proof struct {
	search.Verdict       // without the rate
	Seconds, Valid int64 // seconds of the window, and those of them that were VALID
	// Planned, Sent, Requests and Failed are of the phase.
	Planned, Sent    int64
	Requests, Failed int64
	Response         *hist.Histogram // response times of the phase
	Criteria         []Criterion     // those that decide
}

// Expected is the load that the schedule has in a window.
type Expected struct {
	Rate     float64 // arrivals per second
	Arrivals float64
	Poisson  bool
}

// NewWindow returns a judge of the seconds [from, to) of runs of a plan, which it does not change.
func NewWindow(plan *scenario.Plan, phase string, from, to int64) *Window {
	own := *plan
	own.Criteria = slices.DeleteFunc(slices.Clone(plan.Criteria), func(c scenario.Criterion) bool { return !c.Decides(phase) })
	w := &Window{judge: New(&own), phase: phase, from: from, to: to, causes: map[string]int64{}}
	w.judge.next, w.judge.last = from, from-1
	w.proof.Seconds, w.proof.Response = to-from, hist.New()
	return w
}

// SetSchedule makes the history known; see Judge.
func (w *Window) SetSchedule(h run.History) { w.judge.SetSchedule(h, 0) }

// Observe folds one whole second, which has been charged. Those outside of the window are passed over; otherwise see
// Judge.
func (w *Window) Observe(s metric.Second) {
	if s.Index < w.from || s.Index >= w.to {
		return
	}
	w.seen++
	switch {
	case s.Paused > 0:
		w.paused++
	case s.Health == metric.HealthValid:
		w.valid++
	default:
		for _, c := range s.Causes {
			w.causes[c]++
		}
	}
	for key, a := range s.Arrivals {
		if key.Phase == w.phase {
			w.proof.Planned += a.Planned
			w.proof.Sent += a.Sent
		}
	}
	for key, v := range s.Series {
		if key.Metric != metric.ResponseTime || key.Labels.Get("phase") != w.phase || v.Hist == nil {
			continue
		}
		w.proof.Response.Merge(v.Hist)
		w.proof.Requests += int64(v.Hist.Count())
		if key.Labels.Get("outcome") == "failed" {
			w.proof.Failed += int64(v.Hist.Count())
		}
	}
	w.judge.Observe(s)
}

// Standing returns the criteria as they stand; see Judge.
func (w *Window) Standing() []Criterion { return w.judge.Standing() }

// Proof closes the window and says what it shows. Nothing may be observed after it.
func (w *Window) Proof(e Expected) Proof {
	j := w.judge
	j.skip(w.to)
	for _, c := range j.criteria {
		if c.open {
			c.close()
		}
		for _, r := range c.listed() {
			row := r.result(c, j.last)
			row.violations = nil
			w.proof.Criteria = append(w.proof.Criteria, row)
		}
	}
	w.proof.Valid = w.valid
	w.proof.Verdict = w.verdict(e)
	w.proof.Rate = e.Rate
	return w.proof
}

// verdict says first whether anything was measured at all: a criterion that breaks in a window that cannot be
// trusted proves as little as one that holds.
func (w *Window) verdict(e Expected) search.Verdict {
	if why := w.disturbed(e); why != "" {
		return search.Verdict{Outcome: search.Disturbed, Reason: why}
	}
	if why := w.limited(); why != "" {
		return search.Verdict{Outcome: search.Limited, Reason: why}
	}
	var unjudged string
	for _, r := range w.proof.Criteria {
		switch r.Result {
		case Fail:
			return search.Verdict{Outcome: search.Broken, Criterion: r.Name, Reason: r.detail("does not hold")}
		case Invalid:
			unjudged = cmp.Or(unjudged, r.sentence("cannot be judged"))
		}
	}
	switch {
	case unjudged != "":
		return search.Verdict{Outcome: search.Disturbed, Reason: unjudged}
	case w.proof.Requests == 0:
		return search.Verdict{Outcome: search.Disturbed, Reason: "no request ended while it was measured"}
	}
	return search.Verdict{Outcome: search.Held}
}

// disturbed says what has kept the window from being measured that is not the generators' limit.
func (w *Window) disturbed(e Expected) string {
	n := w.to - w.from
	lost := w.causes[string(metric.CauseNoLease)]
	switch {
	case w.paused > 0:
		return fmt.Sprintf("the run was paused in %d of %d seconds", w.paused, n)
	case w.seen < n:
		return fmt.Sprintf("%d of %d seconds are missing", n-w.seen, n)
	case lost > 0 && tooMany(lost, n):
		return fmt.Sprintf("in %d of %d seconds a worker had no lease", lost, n)
	case !w.executed(e):
		return fmt.Sprintf("%d arrivals were due and %.0f should have been: not every worker did its part", w.proof.Planned, e.Arrivals)
	}
	return ""
}

// executed tells whether as much was due as the schedule has, give or take those at the edges and, with poisson, what
// is drawn.
func (w *Window) executed(e Expected) bool {
	slack := 0.01*e.Arrivals + 10
	if e.Poisson {
		slack = 0.01*e.Arrivals + 5*math.Sqrt(e.Arrivals) + 10
	}
	return math.Abs(float64(w.proof.Planned)-e.Arrivals) <= slack
}

func tooMany(bad, n int64) bool { return float64(n-bad) < minValid*float64(n) }

// limited says why the generators were the limit, or nothing.
func (w *Window) limited() string {
	n := w.to - w.from
	if bad := n - w.valid; tooMany(bad, n) {
		var parts []string
		for _, c := range slices.SortedFunc(maps.Keys(w.causes), func(a, b string) int {
			return cmp.Or(cmp.Compare(w.causes[b], w.causes[a]), cmp.Compare(a, b))
		}) {
			parts = append(parts, fmt.Sprintf("%s in %d", c, w.causes[c]))
		}
		return fmt.Sprintf("in %d of %d seconds the generators were at their limit or near it: %s", bad, n, strings.Join(parts, ", "))
	}
	for _, r := range w.judge.trust.reasons(w.judge.plan, Input{Completeness: 1}) {
		if r.Code != run.CodeNothing && r.Code != run.CodeDisordered {
			return r.Message
		}
	}
	return ""
}
