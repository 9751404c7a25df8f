package run

import (
	"fmt"
	"testing"
	"time"
)

// TestRecordIsBounded: however many commands come, the record stays small, and a paused run can go on.
func TestRecordIsBounded(t *testing.T) {
	r := New(Options{ID: "r"})
	r.State, r.T0 = Running, &time.Time{}
	refused := 0
	for i := range 3 * maxChanges {
		for _, k := range []EventKind{PauseRequested, ResumeRequested, ScaleRequested} {
			next, _, err := Step(r, Event{Kind: k, ID: fmt.Sprint(k, i), Factor: 2, RunTime: time.Duration(i) * time.Second})
			if err != nil {
				refused++
				continue
			}
			r = next
		}
	}
	if r.State != Running || refused == 0 || len(r.History) > maxChanges+1 {
		t.Errorf("%s with %d changes, %d refused", r.State, len(r.History), refused)
	}
	r, _, err := Step(r, Event{Kind: StopRequested, ID: "stop", Stop: StopOperator})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxApplied {
		if r, _, err = Step(r, Event{Kind: StopRequested, ID: fmt.Sprint("again", i), Stop: StopOperator}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.Applied) > maxApplied {
		t.Errorf("%d answers are kept", len(r.Applied))
	}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
}
