package schedule

import (
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario"
)

// Starts returns the plan time at which each of the phases starts, by name, as far as it is known:
// a phase with After starts when the history says so, and one with With when the other one does.
func Starts(phases []scenario.Phase, t run.Timeline) map[string]time.Duration {
	byName := make(map[string]*scenario.Phase, len(phases))
	for i := range phases {
		byName[phases[i].Name] = &phases[i]
	}
	out := map[string]time.Duration{}
	for i := range phases {
		p := &phases[i]
		for hops := 0; p != nil && p.With != "" && hops < len(phases); hops++ {
			p = byName[p.With] // bounded, so that a circle ends too
		}
		if p == nil || p.With != "" {
			continue
		}
		at, known := p.At, true
		if p.After != "" {
			stamp, decided := t.PhaseStart(p.Name)
			at, known = t.PlanTime(stamp), decided
		}
		if known {
			out[phases[i].Name] = at
		}
	}
	return out
}
