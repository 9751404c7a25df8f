package run

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// CommandLead is the least time between the acceptance of a command and its stamp: long enough
// that every worker hears of it before it acts.
const CommandLead = 500 * time.Millisecond

// Bounds of what is kept of commands, since the whole record is written with every commit. When more
// answers than maxApplied are to be kept, the oldest go.
const (
	maxChanges = 500
	maxApplied = 2 * maxChanges
)

// maxRunTime bounds run time, so that no sum of stamps can overflow: about 146 years.
const maxRunTime = time.Duration(math.MaxInt64 / 2)

// rule says in which states an event is legal and what it does there. A rule that returns an error
// has no effect.
type rule struct {
	from  []State
	apply func(*step) error
}

var (
	active    = []State{Idle, Validating, Initializing, Running, Paused, Stopping}
	underLoad = []State{Running, Paused}
)

// rules is a flat table, one line for each kind of event.
var rules = map[EventKind]rule{
	Waiting:          {[]State{Idle}, (*step).waiting},
	WorkersAssigned:  {[]State{Idle}, (*step).workersAssigned},
	ValidationOK:     {[]State{Validating}, (*step).validationOK},
	ValidationFailed: {[]State{Validating}, func(s *step) error { return s.end(StopError) }},
	SetupStarted:     {[]State{Initializing}, (*step).setupStarted},
	SetupDone:        {[]State{Initializing, Stopping}, (*step).setupDone},
	SetupFailed:      {[]State{Initializing, Stopping}, (*step).setupFailed},
	BarrierReady:     {[]State{Initializing}, (*step).barrierReady},
	Started:          {[]State{Initializing}, (*step).started},
	Restarted:        {[]State{Running}, (*step).restarted},
	ShardsMoved:      {[]State{Validating, Initializing, Running, Paused}, (*step).shardsMoved},
	PauseRequested:   {[]State{Running}, (*step).pause},
	ResumeRequested:  {[]State{Paused}, (*step).resume},
	ScaleRequested:   {underLoad, (*step).scale},
	PhaseStarted:     {underLoad, (*step).phaseStarted},
	ProbeStarted:     {[]State{Running}, (*step).probeStarted},
	ProbeJudged:      {underLoad, (*step).probeJudged},
	PhaseEnded:       {underLoad, (*step).phaseEnded},
	Restamped:        {underLoad, (*step).restamped},
	StopRequested:    {active, (*step).stopRequested},
	AllEnded:         {underLoad, (*step).allEnded},
	WorkersLost:      {[]State{Validating, Initializing, Running, Paused}, func(s *step) error { return s.end(StopWorkerLoss) }},
	ErrorOccurred:    {active, (*step).errorOccurred},
	Drained:          {[]State{Stopping}, (*step).drained},
	TeardownDone:     {[]State{Stopping}, (*step).teardownDone},
	Finalised:        {[]State{Stopping}, (*step).finalised},
}

// step is one application of an event; its run is a copy that shares nothing that is changed.
type step struct {
	run     Run
	ev      Event
	now     time.Duration // run time
	at      time.Time     // wall time
	answer  time.Duration // when the event takes effect, in run time
	effects []Effect
}

// Step applies ev to r. It does no I/O, reads no clock and never goes backwards: a time before one
// that the record already holds counts as that one. r itself is not changed.
//
// A repeated command changes nothing and has no effects; Run.Answer gives its answer. Errors are
// *TransitionError (not possible now), *LimitError (a scale beyond the limits) and *EventError (the
// event is wrong in itself); with an error the run is returned as it was.
func Step(r Run, ev Event) (Run, []Effect, error) {
	if a, ok := r.Answer(ev.ID); ok {
		if a.Kind != ev.Kind {
			return r, nil, &EventError{r.ID, ev.Kind, fmt.Sprintf("command %q was a %s before", ev.ID, a.Kind)}
		}
		return r, nil, nil
	}
	rule, known := rules[ev.Kind]
	switch {
	case !known:
		return r, nil, &EventError{r.ID, ev.Kind, "unknown kind"}
	case !slices.Contains(rule.from, r.State):
		return r, nil, &TransitionError{Run: r.ID, From: r.State, Event: ev.Kind}
	case ev.RunTime > maxRunTime:
		return r, nil, &EventError{r.ID, ev.Kind, fmt.Sprintf("run time %v is out of range", ev.RunTime)}
	}
	s := &step{run: r.clone(), ev: ev, at: label(ev.Time)}
	if s.at.Before(r.latest()) {
		s.at = r.latest()
	}
	if r.Stamped() && ev.Kind != Restarted {
		s.now = max(ev.RunTime, r.Now)
		s.run.Now = max(s.now, 0)
	}
	s.answer = s.run.Now
	if err := rule.apply(s); err != nil {
		return r, nil, err
	}
	if ev.ID != "" {
		s.run.Applied = append(s.run.Applied, Applied{ID: ev.ID, Kind: ev.Kind, At: s.answer})
		s.run.Applied = s.run.Applied[max(0, len(s.run.Applied)-maxApplied):]
	}
	if len(s.effects) > 0 || ev.ID != "" {
		s.run.Revision++
	}
	return s.run, s.stamped(), nil
}

// clone copies what steps append to or change in place.
func (r Run) clone() Run {
	r.Transitions = slices.Clip(r.Transitions)
	r.History = slices.Clone(r.History)
	r.Applied = slices.Clone(r.Applied)
	r.Owed = slices.Clip(r.Owed)
	r.Probes = slices.Clip(r.Probes)
	if r.Stop != nil {
		stop := *r.Stop
		r.Stop = &stop
	}
	return r
}

// latest is the last wall time in the record.
func (r Run) latest() time.Time {
	if n := len(r.Transitions); n > 0 {
		return r.Transitions[n-1].At
	}
	return r.CreatedAt
}

// stamped returns the effects with their ids: those of a task carry the task's, so that a repetition
// is known as one; the others that of the step.
func (s *step) stamped() []Effect {
	for i := range s.effects {
		s.effects[i].ID = s.run.effectID(s.effects[i])
	}
	return s.effects
}

func (r Run) effectID(e Effect) string {
	switch e.Kind {
	case RunSetup, BeginSetup:
		return r.Setup.ID
	case RunTeardown:
		return r.Teardown.ID
	case Notify:
		return fmt.Sprintf("%s/%d/%s", r.ID, len(r.Transitions), e.Callback)
	}
	return fmt.Sprintf("%s/%d/%s", r.ID, r.Revision, e.Kind)
}

// to enters a state.
func (s *step) to(next State) {
	s.run.Transitions = append(s.run.Transitions, Transition{
		From: s.run.State, To: next, At: s.at, RunTime: s.now, Reason: s.ev.Reason,
	})
	s.run.State, s.run.Since, s.run.Reason = next, s.at, s.ev.Reason
}

func (s *step) do(kinds ...EffectKind) {
	for _, k := range kinds {
		s.effects = append(s.effects, Effect{Kind: k, Reason: s.ev.Reason})
	}
}

func (s *step) notify(c CallbackKind) {
	s.effects = append(s.effects, Effect{Kind: Notify, Callback: c, Reason: s.ev.Reason})
}

func (s *step) refuse(format string, args ...any) error {
	return &TransitionError{Run: s.run.ID, From: s.run.State, Event: s.ev.Kind, Detail: fmt.Sprintf(format, args...)}
}

func (s *step) wrong(format string, args ...any) error {
	return &EventError{s.run.ID, s.ev.Kind, fmt.Sprintf(format, args...)}
}

// change appends to the history with a stamp of its own, which is not before one that it brings.
func (s *step) change(c Change) {
	c.ID, c.Reason = s.ev.ID, s.ev.Reason
	if c.ID == "" {
		c.ID = fmt.Sprintf("%s/change/%d", s.run.ID, len(s.run.History)+1)
	}
	c.At = max(c.At, max(s.now, 0)+CommandLead)
	if n := len(s.run.History); n > 0 {
		c.At = max(c.At, s.run.History[n-1].At)
	}
	c.At = c.aligned(c.At)
	s.run.History = append(s.run.History, c)
	s.answer = c.At
	s.do(Persist, SendAssignment)
}
