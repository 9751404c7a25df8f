package run

import "fmt"

// TransitionError says that an event is not legal in the state that the run is in.
type TransitionError struct {
	Run    string
	From   State
	Event  EventKind
	Detail string // why, where the state alone does not tell
}

func (e *TransitionError) Error() string {
	s := fmt.Sprintf("run %s: %s is not possible in state %s", e.Run, e.Event, e.From)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// LimitError says that a scale factor lies beyond what the environment's limits allow.
type LimitError struct {
	Run         string
	Factor, Max float64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("run %s: scale to %g %% is beyond the limit of the environment, %g %%", e.Run, e.Factor*100, e.Max*100)
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
