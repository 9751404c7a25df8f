package run

import (
	"math"
	"slices"
	"time"
)

// Timeline is the arithmetic of a history: which run time is which plan time. Plan time is run time
// without the paused stretches; the two are equal up to the first pause. All of it is exact to the
// nanosecond. A Timeline is immutable and safe for concurrent use; the zero value has no changes.
type Timeline struct {
	pauses  []stretch
	factors []FactorChange
	phases  map[string]time.Duration
	ends    map[string]time.Duration // plan time
	probes  []ProbeChange
	stamps  []Change
}

// stretch is one paused stretch [from, to) of run time.
type stretch struct {
	from, to time.Duration
	before   time.Duration // paused time before from
}

// open is the end of a pause without a resume.
const open = time.Duration(math.MaxInt64)

// FactorChange is a scale factor that acts from Run on, which is Plan in plan time.
type FactorChange struct {
	Run, Plan time.Duration
	Factor    float64
}

// ProbeChange is a probe of a phase that acts from Run on, which is Plan in plan time, for so long in plan time.
type ProbeChange struct {
	Phase     string
	Run, Plan time.Duration
	Rate      float64 // arrivals per second; 0: from Plan on nothing is due
	For       time.Duration
}

// NewTimeline reads a history. A pause within a pause, and a resume outside one, which Step never
// records, change nothing; of two starts of a phase the first counts.
func NewTimeline(h History) Timeline {
	t := Timeline{phases: map[string]time.Duration{}, ends: map[string]time.Duration{}, stamps: slices.Clone(h)}
	var paused time.Duration
	for _, c := range h {
		n := len(t.pauses)
		frozen := n > 0 && t.pauses[n-1].to == open
		switch c.Kind {
		case ChangePause:
			if !frozen {
				t.pauses = append(t.pauses, stretch{from: c.At, to: open, before: paused})
			}
		case ChangeResume:
			if frozen {
				p := &t.pauses[n-1]
				p.to = max(c.At, p.from)
				paused += p.to - p.from
			}
		case ChangeScale:
			t.factors = append(t.factors, FactorChange{Run: c.At, Plan: t.PlanTime(c.At), Factor: c.Factor})
		case ChangePhaseStart:
			if _, ok := t.phases[c.Phase]; !ok {
				t.phases[c.Phase] = c.At
			}
		case ChangeProbe:
			t.probes = append(t.probes, ProbeChange{Phase: c.Phase, Run: c.At, Plan: t.PlanTime(c.At), Rate: c.Rate, For: c.For})
		case ChangePhaseEnd:
			if _, ok := t.ends[c.Phase]; !ok {
				t.ends[c.Phase] = t.PlanTime(c.At)
			}
		}
	}
	return t
}

// PausedAt returns how much of run time [0, at) is paused; an open pause counts up to at.
func (t Timeline) PausedAt(at time.Duration) time.Duration {
	for _, p := range slices.Backward(t.pauses) {
		if at > p.from {
			return p.before + min(at, p.to) - p.from
		}
	}
	return 0
}

// PausedWithin returns how much of run time [from, to) is paused.
func (t Timeline) PausedWithin(from, to time.Duration) time.Duration {
	return max(0, t.PausedAt(to)-t.PausedAt(from))
}

// Paused tells whether plan time stands still at a run time.
func (t Timeline) Paused(at time.Duration) bool {
	for _, p := range t.pauses {
		if at >= p.from && at < p.to {
			return true
		}
	}
	return false
}

// PlanTime returns the plan time at a run time. It never decreases, and stands still in a pause.
func (t Timeline) PlanTime(at time.Duration) time.Duration { return at - t.PausedAt(at) }

// RunTime returns the run time at which something due at a plan time is done, the inverse of
// PlanTime. What is due at the very instant at which a pause freezes the timeline is done when it
// ends: from its stamp on nothing starts. False: an open pause holds it back.
func (t Timeline) RunTime(plan time.Duration) (time.Duration, bool) {
	for _, p := range slices.Backward(t.pauses) {
		if plan < p.from-p.before {
			continue
		}
		if p.to == open {
			return 0, false
		}
		return plan + p.before + p.to - p.from, true
	}
	return plan, true
}

// Elapsed returns the time under load from T0 to a run time, without pauses; 0 before T0.
func (t Timeline) Elapsed(at time.Duration) time.Duration { return max(0, t.PlanTime(at)) }

// FactorAt returns the scale factor that acts at a run time; 1 before the first change. Of two
// changes at one instant the later in the history counts.
func (t Timeline) FactorAt(at time.Duration) float64 {
	for _, f := range slices.Backward(t.factors) {
		if at >= f.Run {
			return f.Factor
		}
	}
	return 1
}

// Factors returns the changes of the scale factor in order. The result is the caller's.
func (t Timeline) Factors() []FactorChange { return slices.Clone(t.factors) }

// PhaseStart returns the run time that a phase_start change gave a phase.
func (t Timeline) PhaseStart(phase string) (time.Duration, bool) {
	at, ok := t.phases[phase]
	return at, ok
}

// Probes returns the probes of a phase in order, with those that cut one short.
func (t Timeline) Probes(phase string) []ProbeChange {
	var out []ProbeChange
	for _, p := range t.probes {
		if p.Phase == phase {
			out = append(out, p)
		}
	}
	return out
}

// PhaseLength returns how long a phase is that starts at a plan time and is planned to last so long: it may
// have been ended before.
func (t Timeline) PhaseLength(phase string, start, planned time.Duration) time.Duration {
	if end, ok := t.ends[phase]; ok {
		return max(0, min(planned, end-start))
	}
	return planned
}

// Next returns the first change that acts after a run time.
func (t Timeline) Next(after time.Duration) (Change, bool) {
	for _, c := range t.stamps {
		if c.At > after {
			return c, true
		}
	}
	return Change{}, false
}
