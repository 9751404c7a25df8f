package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/scenario/quantity"
)

// trust collects what tells whether the measurement as a whole can be trusted. Warm-up does not count.
type trust struct {
	scope      scope
	planned    int64
	sent       int64
	notSent    map[metric.Cause]int64
	requests   uint64
	failed     uint64 // of the requests
	unsent     uint64 // requests that never left, and not because of the target
	lag        *hist.Histogram
	seconds    secondCount
	degraded   int64             // of the valid seconds
	causes     map[string]Strain // of the seconds that were not as they should be
	warmup     bool              // the plan has phases that are left out
	disordered int64
}

// generatorCauses are the causes of arrivals not sent that are not the target's, an order's or the
// scenario's.
var generatorCauses = []metric.Cause{metric.CauseCapShare, metric.CauseLate, metric.CauseNoLease, metric.CauseWorkerLost, metric.CauseOutboxFull}

func newTrust(plan *scenario.Plan) trust {
	return trust{
		scope:   newScope(places(plan, nil), false),
		notSent: map[metric.Cause]int64{}, causes: map[string]Strain{}, lag: hist.New(),
		warmup: slices.ContainsFunc(plan.Phases, func(p scenario.Phase) bool { return p.Warmup }),
	}
}

// observe takes in one second.
func (t *trust) observe(s instant) {
	active := t.scope.active(s)
	if active && !s.paused {
		t.seconds.active++
		if s.valid {
			t.seconds.valid++
		}
		if s.Health == metric.HealthDegraded {
			t.degraded++
		}
		for _, c := range s.Causes {
			t.strain(c, s.valid)
		}
	}
	for key, a := range s.Arrivals {
		if t.scope.rows[key] == 0 {
			continue
		}
		t.planned += a.Planned
		t.sent += a.Sent
		for cause, n := range a.NotSent {
			t.notSent[cause] += n
		}
	}
	for key, v := range s.Series {
		if v.Hist == nil || !t.scope.holds(key.Labels, active) {
			continue
		}
		switch key.Metric {
		case metric.ScheduleLag:
			t.lag.Merge(v.Hist)
		case metric.ResponseTime:
			t.requests += v.Hist.Count()
			if key.Labels.Get("outcome") == "failed" {
				t.failed += v.Hist.Count()
			}
		case metric.Unsent:
			t.unsent += v.Hist.Count()
		}
	}
}

// missing counts a second that nobody reported.
func (t *trust) missing(s instant) {
	if !s.paused && s.cal.covered(s.Index, 0, t.scope.phases) > 0 {
		t.seconds.active++
		t.strain("missing", false)
	}
}

// strain counts one second with a cause, which made it invalid or was bearable.
func (t *trust) strain(cause string, bearable bool) {
	n := t.causes[cause]
	if bearable {
		n.Degraded++
	} else {
		n.Invalid++
	}
	t.causes[cause] = n
}

// generator is what was seen of the generator.
func (t *trust) generator() Generator {
	return Generator{
		Seconds: t.seconds.active, Degraded: t.degraded, Invalid: t.seconds.active - t.seconds.valid,
		Causes: maps.Clone(t.causes), Lag: t.lag.Clone(),
	}
}

// reasons returns why the run cannot be trusted; none if it can.
func (t *trust) reasons(plan *scenario.Plan, in Input) []run.Reason {
	var out []run.Reason
	add := func(code, format string, args ...any) {
		out = append(out, run.Reason{Code: code, Message: fmt.Sprintf(format, args...)})
	}
	if t.requests == 0 {
		add(run.CodeNothing, "no request was measured outside of warm-up")
	}
	if !(in.Completeness >= plan.Validity.Completeness) || !(in.Completeness > 0) {
		add(run.CodeIncomplete, "only %s of the samples are committed; %s are needed", percent(in.Completeness), percent(plan.Validity.Completeness))
		for _, g := range in.Gaps {
			add(run.CodeIncomplete, "%s", g)
		}
	}
	if planned, lost := t.lost(in); float64(lost) > (1-plan.Validity.Sent)*float64(planned)*(1+1e-12) {
		without := ""
		if t.warmup {
			without = ", without warm-up,"
		}
		add(run.CodeNotSent, "%d of %d planned arrivals%s were not sent because of the generator; at most %s may be missing",
			lost, planned, without, percent(1-plan.Validity.Sent))
	}
	if tried := t.requests + t.unsent; float64(t.unsent) > (1-plan.Validity.Sent)*float64(tried)*(1+1e-12) {
		add(run.CodeNotSent, "%d of %d requests never left, because they could not be built or the workers had no means to send them; at most %s may be missing",
			t.unsent, tried, percent(1-plan.Validity.Sent))
	}
	if bound := plan.Validity.ScheduleLagP99; bound > 0 && !t.lag.Empty() && t.lag.Quantile(0.99) > bound {
		add(run.CodeScheduleLag, "the 99th percentile of the schedule lag is %s; at most %s can be trusted",
			quantity.Value(t.lag.Quantile(0.99).Seconds(), scenario.UnitSeconds), scenario.FormatLimit(bound.Seconds(), scenario.UnitSeconds))
	}
	if t.seconds.invalid() {
		add(run.CodeGenerator, "only %d of %d seconds are valid; 95 %% are needed%s", t.seconds.valid, t.seconds.active, t.worstCauses())
	}
	if t.disordered > 0 {
		add(run.CodeDisordered, "%d seconds were not given in order", t.disordered)
	}
	return out
}

// lost returns the arrivals planned, and those of them that the generator owes.
func (t *trust) lost(in Input) (planned, lost int64) {
	unaccounted := t.planned - t.sent
	for _, n := range t.notSent {
		unaccounted -= n
	}
	lost = max(0, unaccounted) + max(0, in.WorkerLost) + max(0, in.Unknown)
	for _, c := range generatorCauses {
		lost += t.notSent[c]
	}
	return t.planned + max(0, in.WorkerLost) + max(0, in.Unknown), lost
}

// worstCauses names the causes of seconds that were not valid, the most frequent first.
func (t *trust) worstCauses() string {
	names := make([]string, 0, len(t.causes))
	for name, n := range t.causes {
		if n.Invalid > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(t.causes[b].Invalid, t.causes[a].Invalid), cmp.Compare(a, b))
	})
	var s strings.Builder
	for i, name := range names {
		sep := ", "
		if i == 0 {
			sep = "; causes: "
		}
		fmt.Fprintf(&s, "%s%s (%d s)", sep, name, t.causes[name].Invalid)
	}
	return s.String()
}

func percent(share float64) string { return fmt.Sprintf("%.4g %%", share*100) }
