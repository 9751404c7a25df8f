package run

// State is where a run is in its life.
//
//	+------+ WorkersAssigned +------------+ ValidationOK +--------------+ Started +---------+
//	| IDLE | --------------> | VALIDATING | -----------> | INITIALIZING | ------> | RUNNING |
//	+------+                 +------------+              +--------------+         +---------+
//	   |                           |                            |   PauseRequested |  | ^ ResumeRequested
//	   |                           |                            |                  |  v |
//	   |                           |                            |                  | +--------+
//	   |                           |                            |                  | | PAUSED |
//	   |                           |                            |                  | +--------+
//	   |                           |                            |                  |      |
//	   | StopRequested and ErrorOccurred from everywhere; WorkersLost from all but IDLE;  |
//	   |                           | ValidationFailed           | SetupFailed      | AllEnded
//	   v                           v                            v                  v      v
//	+---------------------------------------------------------------------------------------+
//	|                                        STOPPING                                       |
//	+---------------------------------------------------------------------------------------+
//	   | Finalised, after an error or lost workers         | Finalised, after every other stop
//	   v                                                   v
//	+--------+                                          +-----------+
//	| FAILED | the verdict is INVALID, always           | COMPLETED | any verdict
//	+--------+                                          +-----------+
//
// PAUSED and RUNNING tell which command was accepted last, not what the load does at this
// instant: a command acts at its stamp, at least CommandLead later. What the load does at a run
// time is a question to the Timeline.
type State string

// The states of a run.
const (
	// Idle is accepted and waiting for workers; the run's Reason says for what.
	Idle State = "IDLE"
	// Validating checks the plan against the workers that were assigned.
	Validating State = "VALIDATING"
	// Initializing prepares the workers and runs setup, until all of them are ready.
	Initializing State = "INITIALIZING"
	// Running is under load from T0 on.
	Running State = "RUNNING"
	// Paused has accepted a pause and no resume after it.
	Paused State = "PAUSED"
	// Stopping starts no more work, lets work in flight end, tears down and closes the books.
	Stopping State = "STOPPING"
	// Completed is over, with a verdict.
	Completed State = "COMPLETED"
	// Failed could not be carried out; its verdict is INVALID.
	Failed State = "FAILED"
)

// States are all states in the order of a run's life.
func States() []State {
	return []State{Idle, Validating, Initializing, Running, Paused, Stopping, Completed, Failed}
}

// Final tells whether nothing can follow.
func (s State) Final() bool { return s == Completed || s == Failed }

// Valid tells whether s is one of the states.
func (s State) Valid() bool {
	switch s {
	case Idle, Validating, Initializing, Running, Paused, Stopping, Completed, Failed:
		return true
	}
	return false
}
