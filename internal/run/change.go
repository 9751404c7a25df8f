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
)

// Change is one entry of a run's history of commands. The history is ordered and only grows; it is
// recorded before it is sent, and every worker applies the same one.
type Change struct {
	ID     string        `json:"id"` // of the command; a repeated id is the same command
	Kind   ChangeKind    `json:"kind"`
	At     time.Duration `json:"at"` // the stamp: run time at which it acts, never before the previous entry's
	Factor float64       `json:"factor,omitempty"`
	Phase  string        `json:"phase,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

// History is the changes of one run in order.
type History []Change
