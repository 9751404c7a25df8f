package load

import (
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
)

// State is what an engine shall do: the whole of it, not a change.
type State struct {
	// Revision grows with every change; an engine ignores a State that is not newer than its own.
	Revision uint64
	// Ranges are the positions that this worker owns, each for a stretch of run time. No position may be
	// in two of them: the second would be ignored.
	Ranges []schedule.Range
	// History is the changes of the run so far. It only grows.
	History run.History
	// Permits are how many iterations of a phase this worker may have in flight. A phase that is not
	// named has the share of its cap that corresponds to the positions owned.
	Permits map[string]int64
	// Halt ends the load for good: no work starts any more.
	Halt bool
}

// Status is how far an engine is.
type Status struct {
	Revision uint64
	Phases   []PhaseStatus // in the order of the plan
	// Covered is the run time through which every arrival of the shards owned has been started or
	// given up and counted. It stands still while the lease is over.
	Covered time.Duration
	// Skew is how much later than T0, or than it was started, the engine began to pace.
	Skew time.Duration
	// Finished says that Run has returned.
	Finished bool
}

// PhaseStatus is how far one phase is on this worker.
type PhaseStatus struct {
	Phase    string
	Started  bool // its start has come
	Ended    bool // its schedule has ended
	InFlight int64
	// Drained says that the schedule has ended and nothing of it is in flight.
	Drained bool
}
