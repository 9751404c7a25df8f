package supervisor

import (
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// walk goes through the arrivals of one open phase as the run has executed it.
type walk struct {
	plan     *scenario.Plan
	phase    *scenario.Phase
	curve    *schedule.Curve
	timeline run.Timeline
	start    time.Duration // of the phase, in plan time
	end      time.Duration // of the load, in run time
}

func (w walk) stream(ranges []schedule.Range) *schedule.Stream {
	s := schedule.NewStream(w.plan.Seed, w.phase)
	s.Set(w.curve, schedule.InPhase(ranges, w.timeline, w.start))
	return s
}

// due counts the arrivals of some ranges, which are in run time, by second. What was due after the load had ended,
// of a worker that had not heard of that, counts in the last second that there was of it.
func (w walk) due(ranges []schedule.Range) dues {
	out, s := dues{}, w.stream(ranges)
	for next, ok := s.Next(); ok; next, ok = s.Next() {
		at, ok := w.timeline.RunTime(w.start + next.At)
		if last := max(0, w.end-1); !ok || at > last { // or it was put off for ever
			at = last
		}
		out[int64(at/time.Second)]++
	}
	return out
}

// count counts all arrivals.
func (w walk) count() int64 {
	var n int64
	s := w.stream([]schedule.Range{{From: 0, To: run.Positions}})
	for _, ok := s.Next(); ok; _, ok = s.Next() {
		n++
	}
	return n
}

// last is the run-time second in which the phase ended.
func (w walk) last() int64 {
	end := w.end
	if at, ok := w.timeline.RunTime(w.start + w.curve.Length() - 1); ok {
		end = min(end, at)
	}
	return int64(max(0, end) / time.Second)
}
