package supervisor

import (
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// knee is how much a target bears that is searched for its capacity, and how much its generators do.
type knee struct {
	bears float64       // rate up to which an answer takes 10 ms; above it takes 500 ms. 0: any
	reach float64       // rate above which seconds are not valid. 0: none is
	lasts time.Duration // how long what a probe above bears has started is in flight after its load
}

// rate is what a search has in force at a run time.
func (knee) rate(t run.Timeline, phase string, at time.Duration) float64 {
	rate := 0.0
	for _, p := range t.Probes(phase) {
		if plan := t.PlanTime(at); plan >= p.Plan && plan < p.Plan+p.For {
			rate = p.Rate
		}
	}
	return rate
}

// answers is how long an answer takes to an arrival that is due at a run time.
func (k knee) answers(t run.Timeline, p *scenario.Phase, due time.Duration) time.Duration {
	if k.bears > 0 && k.rate(t, p.Name, due) > k.bears {
		return 500 * time.Millisecond
	}
	return 10 * time.Millisecond
}

// leftovers is what is in flight at a run time of a probe whose load is over.
func (k knee) leftovers(t run.Timeline, plan *scenario.Plan, at time.Duration) int64 {
	if k.lasts == 0 || plan.Search == nil {
		return 0
	}
	for _, p := range t.Probes(plan.Search.Phase) {
		if end := p.Plan + p.For; p.Rate > k.bears && t.PlanTime(at) >= end && t.PlanTime(at) < end+k.lasts {
			return 1
		}
	}
	return 0
}

// limits tells whether the second that begins at a run time is beyond the generators' reach.
func (k knee) limits(t run.Timeline, plan *scenario.Plan, second time.Duration) bool {
	if k.reach == 0 || plan.Search == nil {
		return false
	}
	_, known := schedule.Starts(plan.Phases, t)[plan.Search.Phase]
	return known && k.rate(t, plan.Search.Phase, second) > k.reach
}
