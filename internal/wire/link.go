package wire

import (
	"encoding/json"
	"slices"
	"time"

	"proofload/internal/run"
)

// Goal is what an assignment wants of a worker.
type Goal uint8

const (
	// GoalNone is the goal of an assignment without a run.
	GoalNone Goal = iota
	// GoalPrepare asks the worker to fetch the files, open connections and report ready.
	GoalPrepare
	// GoalRun asks it to run from T0 on.
	GoalRun
	// GoalStop asks it to start no more work, to finish what is in flight and to close its books.
	GoalStop
)

// ShardRange is a range of positions of the shard ring, [From, To), owned from run time Since on, and up to
// Until if that is not 0.
type ShardRange struct {
	From, To     int
	Since, Until time.Duration
}

// Assignment is all that one worker shall do; a later one replaces an earlier one. Run is empty
// for "nothing".
type Assignment struct {
	Epoch      int64 // of the leader that it comes from; travels in the envelope
	Revision   uint64
	Run        string
	PlanDigest string
	Secrets    map[string]string // values; never logged, never stored
	Setup      json.RawMessage   // what setup saved, a JSON object; empty before setup has run
	Goal       Goal
	// T0 is the start of run time on the leader's monotonic clock, in nanoseconds; nil before it is known.
	T0            *int64
	Ranges        []ShardRange
	ShardRevision uint64
	History       run.History
	Permits       map[string]int64 // in-flight permits of this worker by phase
	Drain         time.Duration    // how long work in flight may take once Goal is GoalStop
	Stop          Stop             // of the whole run, if it is stopped
	Lift          Lift             // the newest that the leader knows of
}

// Stop says why a run is stopped; the zero value says that it is not. A worker hears it before it is recorded,
// and tells the next leader.
type Stop struct {
	Kind   run.StopKind
	Reason string
	Alone  bool          // the worker has stopped by its own judgement, because nobody led
	Order  Order         // that it was told by, if nobody could record it
	At     time.Duration // run time at which the worker was told; 0: before T0, or it was not
}

// HandOver is the run time up to which the assignment tells of hand-overs; 0: of none.
func (a Assignment) HandOver() time.Duration {
	var last time.Duration
	for _, r := range a.Ranges {
		last = max(last, r.Until)
	}
	return last
}

// Granted is the run time up to which the assignment gives what others hand over; 0: nothing.
func (a Assignment) Granted() time.Duration {
	var last time.Duration
	for _, r := range a.Ranges {
		last = max(last, r.Since)
	}
	return last
}

// Corrects reports whether the last hand-over that the assignment tells of is one that the assignment before told
// of with another time: it was heard of late, and moved to when it was.
func (a Assignment) Corrects(before Assignment) bool {
	to := a.HandOver()
	for _, r := range a.Ranges {
		if r.Until == to && !slices.ContainsFunc(before.Ranges, func(b ShardRange) bool {
			return b.From == r.From && b.To == r.To && b.Since == r.Since && b.Until != 0
		}) {
			return false
		}
	}
	return to > 0
}

// WorkerState is how far a worker is with a run; it only grows within a run, so that of two
// reports the larger is the newer.
type WorkerState uint8

// The states of a worker within a run, in their order.
const (
	WorkerNone      WorkerState = 0
	WorkerPreparing WorkerState = 16
	WorkerReady     WorkerState = 32
	WorkerRunning   WorkerState = 48
	WorkerStopping  WorkerState = 64
	WorkerDone      WorkerState = 80
	WorkerFailed    WorkerState = 96
)

// PhaseStatus is how far one phase is on one worker.
type PhaseStatus struct {
	Phase    string
	Started  bool
	Ended    bool
	InFlight int64
}

// Status is how far a worker is with its assignment.
type Status struct {
	Run      string
	Revision uint64
	State    WorkerState
	Error    string
	Phases   []PhaseStatus
	Skew     time.Duration    // how much later than T0 the engine was running
	T0       *int64           // as this worker holds it, on the leader's clock
	HandOver time.Duration    // run time up to which it has heard of what it hands over
	Granted  time.Duration    // run time up to which it was given what others handed over
	Stop     Stop             // of the run, as it was told
	Heard    time.Duration    // run time through which it had executed its part when it heard of the last
	Changes  int              // how many changes of the history it has been told of
	Permits  map[string]int64 // in-flight permits that it goes by, by phase
}

// Mark says through which sequence number the batches of one run and incarnation are committed.
type Mark struct {
	Run         string
	Incarnation int64
	Through     uint64
	Closed      bool // nothing more is wanted
}

// Sealed is one sealed batch as it travels: its bytes never change.
type Sealed struct {
	Run         string
	Incarnation int64
	Seq         uint64
	Data        []byte
}

// Totals counts what a worker did in a run.
type Totals struct {
	Planned, Sent, Succeeded, Failed, Requests int64
}

// Final closes a worker's sequence of batches for a run.
type Final struct {
	Run         string
	Incarnation int64
	LastSeq     uint64
	Totals      Totals
}

// OutboxState is the range of batches that a worker holds for one run and incarnation.
type OutboxState struct {
	Run           string
	Incarnation   int64
	OldestUnacked uint64
	NextSeq       uint64
}

// Task is steps that one worker runs once for the whole run.
type Task struct {
	ID, Run string
	Kind    string // setup | teardown
}

// TaskResult is the outcome of a Task.
type TaskResult struct {
	ID, Run  string
	Error    string          // empty when every step succeeded
	Saved    json.RawMessage // at most MaxSaved
	Requests int64
}

// MaxSaved bounds what setup may save, in bytes of JSON: it is part of the run's record, which is written
// with every commit.
const MaxSaved = 64 << 10

// NackReason says why a batch was refused.
type NackReason uint8

// The reasons for which a batch is refused.
const (
	NackGap NackReason = iota + 1
	NackCorrupt
	NackUnknownRun
	NackClosed
)

// Nack refuses a batch.
type Nack struct {
	Run         string
	Incarnation int64
	Want        uint64
	Reason      NackReason
	Message     string
}

// Hello introduces a worker.
type Hello struct {
	Protocol     uint32
	Name         string
	Instance     string
	Nonce        string
	Version      string
	Labels       map[string]string
	Capacity     float64
	HighestEpoch int64
	Cluster      uint64
	Incarnation  int64
	Outbox       []OutboxState
	Status       *Status
	CPUs         uint32
	MemoryBytes  uint64
	Platform     string
	Hostname     string
}

// Leader names the leading coordinator.
type Leader struct {
	Name, Address string
	Epoch         int64
}

// Upward is a message of a worker about a run: Status, Sealed, Final or TaskResult.
type Upward interface{ upward() string }

func (s Status) upward() string     { return s.Run }
func (s Sealed) upward() string     { return s.Run }
func (f Final) upward() string      { return f.Run }
func (t TaskResult) upward() string { return t.Run }

// RunOf returns the run that a message is about.
func RunOf(m Upward) string { return m.upward() }
