package run

import "time"

// ChangeKind says what a Change does to the load.
type ChangeKind string

const (
	// ChangePause freezes the timeline from its stamp on: no new arrival, work in flight finishes.
	ChangePause ChangeKind = "pause"
	// ChangeResume lets the timeline go on from where the pause froze it.
	ChangeResume ChangeKind = "resume"
	// ChangeScale sets the factor on the plan's rates and users; absolute, not relative to an earlier one.
	ChangeScale ChangeKind = "scale"
	// ChangePhaseStart starts a phase whose start is decided while running (after: PHASE).
	ChangePhaseStart ChangeKind = "phase_start"
	// ChangeProbe sets the rate of a phase that a search conducts, for so long in plan time; after that, and
	// before the first one, nothing of the phase is due. So the load of a probe ends whoever leads by then. A rate of
	// 0 cuts the probe short.
	ChangeProbe ChangeKind = "probe"
	// ChangePhaseEnd ends the schedule of a phase before its time.
	ChangePhaseEnd ChangeKind = "phase_end"
)

// Change is one entry of a run's history of commands. The history is ordered and only grows; it is
// recorded before it is sent, and every worker applies the same one.
type Change struct {
	ID     string        `json:"id"` // of the command; a repeated id is the same command
	Kind   ChangeKind    `json:"kind"`
	At     time.Duration `json:"at"` // the stamp: run time at which it acts, never before the previous entry's
	Factor float64       `json:"factor,omitempty"`
	Phase  string        `json:"phase,omitempty"`
	Rate   float64       `json:"rate,omitempty"` // of a probe, arrivals per second
	For    time.Duration `json:"for,omitempty"`  // of a probe, in plan time
	Reason string        `json:"reason,omitempty"`
}

// aligned returns the stamp that a change may have at a run time or later: a probe begins with a second.
func (c Change) aligned(at time.Duration) time.Duration {
	if c.Kind == ChangeProbe && c.Rate > 0 {
		return (at + time.Second - 1).Truncate(time.Second)
	}
	return at
}

// History is the changes of one run in order.
type History []Change

// Probes returns the changes that began the probes of a search, in order.
func (h History) Probes() []Change {
	var out []Change
	for _, c := range h {
		if c.Kind == ChangeProbe && c.Rate > 0 {
			out = append(out, c)
		}
	}
	return out
}
