package schedule

import (
	"time"

	"proofload/internal/run"
)

// Factors returns the scale factors of a timeline at instants of the phase time of a phase that
// starts at the given plan time.
func Factors(t run.Timeline, start time.Duration) []Factor {
	changes := t.Factors()
	out := make([]Factor, len(changes))
	for i, c := range changes {
		out[i] = Factor{At: c.Plan - start, Value: c.Factor}
	}
	return out
}

// InPhase returns the ranges with their stretches in phase time of a phase that starts at the given
// plan time. A zero Until stays no end.
func InPhase(ranges []Range, t run.Timeline, start time.Duration) []Range {
	out := make([]Range, len(ranges))
	for i, r := range ranges {
		out[i] = Range{From: r.From, To: r.To, Since: t.PlanTime(r.Since) - start}
		if r.Until == 0 {
			continue
		}
		out[i].Until = t.PlanTime(r.Until) - start
		if out[i].Until <= 0 {
			out[i].To = r.From // over before the phase starts: nothing
		}
	}
	return out
}
