package run

import "time"

// EventKind says what happened to a run.
type EventKind string

// The events. In brackets: the fields that count beyond Kind, Time, RunTime, ID and Reason.
const (
	// Waiting updates what a run in IDLE waits for.
	Waiting EventKind = "waiting"
	// WorkersAssigned gives the run its workers [Shards].
	WorkersAssigned EventKind = "workers_assigned"
	// ValidationOK and ValidationFailed end VALIDATING [ExitCode].
	ValidationOK     EventKind = "validation_ok"
	ValidationFailed EventKind = "validation_failed"
	// SetupStarted is recorded before setup runs; SetupDone [Saved, Requests] and SetupFailed
	// [Requests] after it. An unknown outcome is a failure.
	SetupStarted EventKind = "setup_started"
	SetupDone    EventKind = "setup_done"
	SetupFailed  EventKind = "setup_failed"
	// BarrierReady says that every assigned worker is ready; it needs setup done.
	BarrierReady EventKind = "barrier_ready"
	// Started stamps T0 [T0]. Restarted stamps a new one, by a new leader that knows that no worker
	// holds the first; it is legal only while no command has been stamped against the first.
	Started   EventKind = "started"
	Restarted EventKind = "restarted"
	// ShardsMoved replaces the shard map [Shards].
	ShardsMoved EventKind = "shards_moved"
	// PauseRequested, ResumeRequested and ScaleRequested [Factor, MaxFactor, Limit] are commands.
	PauseRequested  EventKind = "pause_requested"
	ResumeRequested EventKind = "resume_requested"
	ScaleRequested  EventKind = "scale_requested"
	// PhaseStarted starts a phase whose start is decided while running [Phase].
	PhaseStarted EventKind = "phase_started"
	// ProbeStarted begins a probe of a capacity search, not before a run time [Phase, Rate, For, At]; ProbeJudged
	// records what the one under way has shown [Probe]. PhaseEnded ends a phase before its time [Phase].
	ProbeStarted EventKind = "probe_started"
	ProbeJudged  EventKind = "probe_judged"
	PhaseEnded   EventKind = "phase_ended"
	// Restamped gives the change Change a later stamp, by a new leader that found it past and held
	// by no worker [Change].
	Restamped EventKind = "restamped"
	// StopRequested ends the run early [Stop, At, Asked, AskedOf]. While stopping it changes nothing: aborts take effect once.
	StopRequested EventKind = "stop_requested"
	// AllEnded says that every phase has ended and nothing is in flight [At].
	AllEnded EventKind = "all_ended"
	// WorkersLost says that more workers were lost than the policy bears.
	WorkersLost EventKind = "workers_lost"
	// ErrorOccurred says that the run cannot be carried out [ExitCode].
	ErrorOccurred EventKind = "error_occurred"
	// Drained says that no worker has work in flight any more, or is waited for.
	Drained EventKind = "drained"
	// TeardownDone records the outcome of teardown [Error, Requests].
	TeardownDone EventKind = "teardown_done"
	// Finalised ends the run [Verdict]: its results are written.
	Finalised EventKind = "finalised"
)

// EventKinds are all kinds of events.
func EventKinds() []EventKind {
	return []EventKind{
		Waiting, WorkersAssigned, ValidationOK, ValidationFailed, SetupStarted, SetupDone, SetupFailed,
		BarrierReady, Started, Restarted, ShardsMoved, PauseRequested, ResumeRequested, ScaleRequested,
		PhaseStarted, ProbeStarted, ProbeJudged, PhaseEnded, Restamped, StopRequested, AllEnded, WorkersLost, ErrorOccurred, Drained,
		TeardownDone, Finalised,
	}
}

// Event is one thing that happened. Time arrives here: Step reads no clock.
type Event struct {
	Kind    EventKind
	Time    time.Time     // wall, a label
	RunTime time.Duration // now; ignored before T0
	// ID makes the event a command: a repeated ID is the same command, has no second effect and gets
	// the same answer. Pause, resume, scale and phase starts need one.
	ID     string
	Reason string

	// At is the run time at which the load of an AllEnded ended; 0, or one that is still to come: now. Of a
	// Drained it is that up to which there was load, as the samples tell; of a ProbeStarted that of its earliest stamp. Of a StopRequested it is when a worker
	// was told, if that was before it could be recorded; 0: now.
	At time.Duration
	// Asked and AskedOf are when a StopRequested was asked for and of which coordinator, if it could not be
	// recorded then.
	Asked     time.Time
	AskedOf   string
	Shards    *ShardMap
	T0        time.Time
	Factor    float64 // absolute against the plan of the environment: 1.5 is 150 %
	MaxFactor float64 // the largest that the plan's limits allow; 0: no limit
	Limit     string  // the limit that MaxFactor comes from
	Phase     string
	Rate      float64 // arrivals per second
	For       time.Duration
	Probe     *Probe
	Change    string
	Stop      StopKind
	ExitCode  int // of a run that an error ends; 0: ExitInvalid
	Saved     string
	Error     string
	Requests  int64
	Verdict   *Verdict
}

// EffectKind says what is to be done after a step.
type EffectKind string

// The effects. All are idempotent, by Effect.ID.
const (
	// Persist writes the record, fenced. Whatever stands after it waits for it; what stands before it
	// (only SendStop) does not.
	Persist EffectKind = "persist"
	// Validate checks the plan against the assigned workers.
	Validate EffectKind = "validate"
	// Prepare sends the assignment with the goal of getting ready.
	Prepare EffectKind = "prepare"
	// BeginSetup asks for a SetupStarted event, and for setup only once that is recorded; RunSetup runs it.
	BeginSetup EffectKind = "begin_setup"
	RunSetup   EffectKind = "run_setup"
	// StampT0 asks for T0 and a Started event.
	StampT0 EffectKind = "stamp_t0"
	// SendAssignment sends every worker its desired state: shards, T0, history.
	SendAssignment EffectKind = "send_assignment"
	// SendStop tells every reachable worker to start no more work.
	SendStop EffectKind = "send_stop"
	// RunTeardown runs the teardown steps, at least once.
	RunTeardown EffectKind = "run_teardown"
	// Finalise closes the books, judges and writes the results.
	Finalise EffectKind = "finalise"
	// Release frees the workers.
	Release EffectKind = "release"
	// Notify calls the callbacks for Effect.Callback, at least once.
	Notify EffectKind = "notify"
)

// CallbackKind is a point in a run's life that can be listened to.
type CallbackKind string

// The callbacks.
const (
	OnStart    CallbackKind = "start"
	OnPause    CallbackKind = "pause"
	OnResume   CallbackKind = "resume"
	OnStop     CallbackKind = "stop"
	OnComplete CallbackKind = "complete"
	OnError    CallbackKind = "error"
)

// Effect is one thing to do, as plain data. ID is stable: the same effect of the same step has the
// same one, however often it is carried out.
type Effect struct {
	Kind     EffectKind
	ID       string
	Callback CallbackKind
	Reason   string
}
