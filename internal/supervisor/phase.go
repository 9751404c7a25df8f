package supervisor

import (
	"fmt"
	"strings"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// phaseState says how far a phase is at a run time, and when it started.
func (r *runner) phaseState(p scenario.Phase, now time.Duration) (state string, start time.Duration) {
	timeline := r.run.Timeline()
	start, known := r.phaseStart(p, timeline, 0)
	switch {
	case !known || now < start:
		return "pending", start
	case r.phaseOver(p.Name) || r.run.State.Final():
		return "ended", start
	case timeline.PlanTime(now) >= timeline.PlanTime(start)+timeline.PhaseLength(p.Name, timeline.PlanTime(start), p.Length) || r.run.State == run.Stopping:
		return "draining", start
	}
	return "running", start
}

// phaseStart returns the run time at which a phase starts, as far as that is decided.
func (r *runner) phaseStart(p scenario.Phase, t run.Timeline, depth int) (time.Duration, bool) {
	switch {
	case depth > len(r.plan.Phases):
		return 0, false
	case p.After != "":
		return t.PhaseStart(p.Name)
	case p.With != "":
		for _, other := range r.plan.Phases {
			if other.Name == p.With {
				return r.phaseStart(other, t, depth+1)
			}
		}
		return 0, false
	}
	return t.RunTime(p.At)
}

// loadEnd is the run time at which the schedule of the last phase ended: what was in flight then took
// longer, and is draining.
func (r *runner) loadEnd() time.Duration {
	timeline := r.run.Timeline()
	starts := schedule.Starts(r.plan.Phases, timeline)
	var last time.Duration
	for _, p := range r.plan.Phases {
		last = max(last, starts[p.Name]+timeline.PhaseLength(p.Name, starts[p.Name], p.Length))
	}
	at, known := timeline.RunTime(last)
	if !known {
		return r.now()
	}
	return at
}

// lostSuffix ends the event of a worker that is lost.
const lostSuffix = " lost"

// reportEvents are the events that the record does not tell.
func (r *runner) reportEvents() []report.Event {
	events, before := r.view.log()
	out := []report.Event{}
	if before > 0 {
		out = append(out, report.Event{Kind: "events", Detail: fmt.Sprintf("%d earlier events are not kept", before)})
	}
	for _, e := range events {
		switch e.Kind {
		case "state", "pause", "resume", "scale", "phase", "breach", "leader":
			continue // the report makes these of the record
		}
		if e.Kind == "worker" && strings.HasSuffix(e.Detail, lostSuffix) {
			continue // the report tells it of the list of workers
		}
		out = append(out, report.Event{AtS: e.RunTime.Seconds(), Kind: e.Kind, Detail: e.Detail})
	}
	return out
}
