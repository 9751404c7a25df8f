package run

import (
	"cmp"
	"fmt"
	"strings"
)

// TransitionError says that an event is not legal in the state that the run is in.
type TransitionError struct {
	Run    string
	From   State
	Event  EventKind
	Detail string // why, where the state alone does not tell
}

func (e *TransitionError) Error() string {
	s := fmt.Sprintf("run %s: %s is not possible in state %s", e.Run, strings.TrimSuffix(string(e.Event), "_requested"), e.From)
	if why := cmp.Or(e.Detail, commandable[e.Event]); why != "" {
		s += ": " + why
	}
	return s
}

// commandable says when a command is possible, for those who have given it.
var commandable = map[EventKind]string{
	PauseRequested:  "a run can be paused while it is RUNNING",
	ResumeRequested: "a run can be resumed while it is PAUSED",
	ScaleRequested:  "a run can be scaled while it is RUNNING or PAUSED",
	StopRequested:   "a run can be stopped until it has ended",
}

// LimitError says that a scale factor lies beyond what a limit of the plan allows.
type LimitError struct {
	Run         string
	Factor, Max float64
	Limit       string // its key in the scenario
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("run %s: scale to %g %% is beyond %s, which allows %.4g %%", e.Run, e.Factor*100, e.Limit, e.Max*100)
}

// EventError says that an event itself is wrong, whatever the state.
type EventError struct {
	Run    string
	Event  EventKind
	Detail string
}

func (e *EventError) Error() string {
	return fmt.Sprintf("run %s: event %s: %s", e.Run, e.Event, e.Detail)
}
