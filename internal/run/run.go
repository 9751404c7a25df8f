package run

import "time"

// Run is the durable record of one run: everything that a new leader must know to carry on, and
// nothing that can be derived. It is a value: Step returns a new one and never changes the old.
type Run struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Environment string            `json:"environment,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	RequestID   string            `json:"request_id,omitempty"` // of the creation; a repeated one is the same run
	Scenario    string            `json:"scenario_sha256"`
	Plan        string            `json:"plan_sha256"`
	Files       map[string]string `json:"files,omitempty"` // sha256 by the name that the scenario uses
	Seed        uint64            `json:"seed,omitempty"`  // of all draws
	CreatedAt   time.Time         `json:"created_at"`
	// QueueTimeout is how long the run may wait in IDLE from CreatedAt on; 0: for ever.
	QueueTimeout time.Duration `json:"queue_timeout,omitempty"`

	State       State        `json:"state"`
	Since       time.Time    `json:"since"`
	Reason      string       `json:"reason,omitempty"`
	Transitions []Transition `json:"transitions,omitempty"`

	Ready   bool       `json:"ready,omitempty"` // the READY barrier was passed
	T0      *time.Time `json:"t0_at,omitempty"` // wall label of run time 0; nil until it is stamped
	History History    `json:"history,omitempty"`
	Factor  float64    `json:"factor"` // the scale accepted last; 1 is the plan as it stands
	Applied []Applied  `json:"applied,omitempty"`
	Probes  []Probe    `json:"probes,omitempty"` // of the capacity search, as far as they are judged, in order

	Shards ShardMap `json:"shards"`
	// Owed are the lives of workers that were ever given shards: each owes a Final.
	Owed []Member `json:"owed,omitempty"`

	Setup    Task `json:"setup"`
	Teardown Task `json:"teardown"`

	Stop    *Stop          `json:"stop,omitempty"`
	Drained *time.Duration `json:"drained,omitempty"` // run time at which nothing was in flight any more
	Verdict *Verdict       `json:"verdict,omitempty"` // set exactly in the final states
	EndedAt *time.Time     `json:"ended_at,omitempty"`
	// Elapsed is the time from T0 to the stop without pauses, and Paused the time in pauses, both
	// exact and set when the run ends. Before that the Timeline gives them. Draining counts for
	// neither: how long it takes depends on what was in flight, and on workers that are waited for.
	Elapsed time.Duration `json:"elapsed,omitempty"`
	Paused  time.Duration `json:"paused,omitempty"`
	// Revision counts the steps that changed the record.
	Revision uint64 `json:"revision"`
	// Now is the largest run time that any event carried; run time in the record never goes back.
	Now time.Duration `json:"now,omitempty"`
}

// Transition is one change of state. At labels it with wall time; RunTime is the run time at which
// the change was accepted, 0 before T0.
type Transition struct {
	From    State         `json:"from"`
	To      State         `json:"to"`
	At      time.Time     `json:"at"`
	RunTime time.Duration `json:"run_time"`
	Reason  string        `json:"reason,omitempty"`
}

// Applied is the answer that a command got. A repeated command gets the same one.
type Applied struct {
	ID   string        `json:"id"`
	Kind EventKind     `json:"kind"`
	At   time.Duration `json:"at"` // the stamp it was given, in run time; for a stop the time of acceptance
}

// Stop says why a run ended.
type Stop struct {
	Kind   StopKind `json:"kind"`
	Reason string   `json:"reason,omitempty"`
	// At is the run time of acceptance, 0 before T0; of a run that completed, that at which its load ended.
	At time.Duration `json:"at"`
	// ExitCode, when not 0, is the exit code of a run that an error ended (70, 75, 77 ...).
	ExitCode int `json:"exit_code,omitempty"`
	// Asked is when the stop was asked for, and AskedOf of which coordinator, if it could not be recorded then; the
	// workers were told before.
	Asked   *time.Time `json:"asked_at,omitempty"`
	AskedOf string     `json:"asked_of,omitempty"`
}

// TaskState is how far setup or teardown is.
type TaskState string

// The states of a task.
const (
	TaskNone    TaskState = "none"    // there are no such steps
	TaskPending TaskState = "pending" // not started
	TaskStarted TaskState = "started" // its outcome is unknown until it is recorded
	TaskDone    TaskState = "done"
	TaskFailed  TaskState = "failed"
)

// Task is the record of setup or teardown. Setup's start is recorded before it runs, so that it is
// never repeated; teardown may be repeated and carries a stable id.
type Task struct {
	State    TaskState `json:"state"`
	ID       string    `json:"id,omitempty"`
	Saved    string    `json:"saved,omitempty"` // what setup saved: the text of a JSON object
	Error    string    `json:"error,omitempty"`
	Requests int64     `json:"requests,omitempty"`
}

// Member is one life of one worker.
type Member struct {
	Worker      string `json:"worker"`
	Incarnation int64  `json:"incarnation"`
}

// Options describe a run at its creation. Digests are lower-case hex.
type Options struct {
	ID          string
	Name        string
	Environment string
	Labels      map[string]string
	RequestID   string
	Scenario    string // digest
	Plan        string // digest
	Files       map[string]string
	Seed        uint64
	HasSetup    bool
	HasTeardown bool
	// QueueTimeout is how long the run may wait for workers; 0: for ever.
	QueueTimeout time.Duration
	Reason       string // what it waits for
	Time         time.Time
}

// New returns a run in IDLE.
func New(o Options) Run {
	at := label(o.Time)
	return Run{
		ID: o.ID, Name: o.Name, Environment: o.Environment, Labels: o.Labels, RequestID: o.RequestID,
		Scenario: o.Scenario, Plan: o.Plan, Files: o.Files, Seed: o.Seed, CreatedAt: at, QueueTimeout: o.QueueTimeout,
		State: Idle, Since: at, Reason: o.Reason, Factor: 1,
		Setup: task(o.ID, "setup", o.HasSetup), Teardown: task(o.ID, "teardown", o.HasTeardown),
	}
}

// task returns the record of steps that are there or not.
func task(run, kind string, exists bool) Task {
	if !exists {
		return Task{State: TaskNone}
	}
	return Task{State: TaskPending, ID: run + "/" + kind}
}

// label makes a wall time a plain label: UTC, without a monotonic reading.
func label(t time.Time) time.Time { return t.Round(0).UTC() }

// Answer returns what the command with this id was answered, if it was applied.
func (r Run) Answer(id string) (Applied, bool) {
	for _, a := range r.Applied {
		if id != "" && a.ID == id {
			return a, true
		}
	}
	return Applied{}, false
}

// Stamped tells whether T0 is known.
func (r Run) Stamped() bool { return r.T0 != nil }

// Timeline returns the arithmetic of the run's history.
func (r Run) Timeline() Timeline { return NewTimeline(r.History) }

// Times returns elapsed time without pauses and paused time at run time now; those at the end once
// the run has ended. Both are 0 before T0 was stamped.
func (r Run) Times(now time.Duration) (elapsed, paused time.Duration) {
	if r.State.Final() {
		return r.Elapsed, r.Paused
	}
	if !r.Stamped() {
		return 0, 0
	}
	if r.Stop != nil {
		now = r.Stop.At
	}
	now = max(0, now)
	t := r.Timeline()
	return t.Elapsed(now), t.PausedAt(now)
}
