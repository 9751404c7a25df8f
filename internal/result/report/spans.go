package report

import (
	"cmp"
	"slices"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// spans are the stretches of a run that rates are taken over.
type spans struct {
	phases  map[string]span
	counted time.Duration // under load in phases that are not warm-up, overlaps once, pauses left out
	end     time.Duration // run time at which load ended
	elapsed time.Duration // from T0 to end without pauses
	paused  time.Duration
}

// span is one phase in run time, and how long it was under load without pauses.
type span struct {
	from, to time.Duration
	active   time.Duration
}

// spansOf places the phases of a plan as they were executed.
func spansOf(p *scenario.Plan, r run.Run, f *Fold) spans {
	timeline := r.Timeline()
	s := spans{phases: map[string]span{}, end: endOf(r, f)}
	s.elapsed = timeline.PlanTime(s.end)
	s.paused = timeline.PausedWithin(0, s.end)
	starts := schedule.Starts(p.Phases, timeline)
	var counted [][2]time.Duration // plan time
	for _, phase := range p.Phases {
		start, ok := starts[phase.Name]
		if !ok || start > s.elapsed || r.T0 == nil {
			s.phases[phase.Name] = span{from: s.end, to: s.end}
			continue
		}
		stop := min(start+timeline.PhaseLength(phase.Name, start, phase.Length), s.elapsed)
		s.phases[phase.Name] = span{from: s.runTime(timeline, start), to: s.runTime(timeline, stop), active: stop - start}
		if !phase.Warmup {
			counted = append(counted, [2]time.Duration{start, stop})
		}
	}
	s.counted = union(counted)
	return s
}

// endOf is the run time at which load ended: when the run was stopped, or after the last second.
func endOf(r run.Run, f *Fold) time.Duration {
	switch {
	case r.Stop != nil && r.Stop.At > 0:
		return r.Stop.At
	case r.Drained != nil:
		return *r.Drained
	default:
		return time.Duration(f.last()) * time.Second
	}
}

// runTime is the run time of a plan time, at most the end.
func (s spans) runTime(t run.Timeline, plan time.Duration) time.Duration {
	at, ok := t.RunTime(plan)
	if !ok {
		return s.end
	}
	return min(at, s.end)
}

// union returns the length that intervals cover together.
func union(intervals [][2]time.Duration) time.Duration {
	slices.SortFunc(intervals, func(a, b [2]time.Duration) int { return cmp.Compare(a[0], b[0]) })
	var length, covered time.Duration
	for _, i := range intervals {
		from := max(i[0], covered)
		if i[1] > from {
			length += i[1] - from
			covered = i[1]
		}
	}
	return length
}
