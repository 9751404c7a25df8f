package wire

import (
	"reflect"
	"testing"
	"time"

	"proofload/internal/run"
)

// TestLiftCovers proves that a lifting covers what was asked for before it, and no halt that was asked for in the
// knowledge of it, however wrong the clock of whoever was asked.
func TestLiftCovers(t *testing.T) {
	at := time.Unix(1_000_000, 0).UTC()
	for name, row := range map[string]struct {
		lift  Lift
		known int64
		asked time.Time
		want  bool
	}{
		"never lifted":                            {Lift{}, 0, at, false},
		"asked before":                            {Lift{Number: 1, At: at}, 0, at.Add(-time.Second), true},
		"asked at the same time":                  {Lift{Number: 1, At: at}, 0, at, true},
		"asked after, and not known":              {Lift{Number: 1, At: at}, 0, at.Add(time.Second), false},
		"asked after, by a clock an hour behind":  {Lift{Number: 1, At: at}, 1, at.Add(-time.Hour), false},
		"asked before the second, after a first":  {Lift{Number: 2, At: at}, 1, at.Add(-time.Second), true},
		"asked before the first of two liftings":  {Lift{Number: 2, At: at}, 0, at.Add(-time.Minute), true},
		"lifted by its identity, whatever clocks": {Lift{Number: 1, At: at, Of: []string{"q"}}, 1, at.Add(time.Hour), true},
		"more is known than the leader remembers": {Lift{Number: 1, At: at}, 2, at.Add(-time.Hour), false},
	} {
		if got := row.lift.Covers(Order{Request: "q", AskedOf: "c1", Asked: row.asked, Lifts: row.known}); got != row.want {
			t.Errorf("%s: covers %v, want %v", name, got, row.want)
		}
	}
}

// TestHaltMeans proves of which runs a stop is.
func TestHaltMeans(t *testing.T) {
	one, all := Halt{Run: "r"}, Halt{}
	for _, row := range []struct {
		h    Halt
		id   string
		want bool
	}{{one, "r", true}, {one, "s", false}, {one, "", false}, {all, "r", true}, {all, "", false}} {
		if got := row.h.Means(row.id); got != row.want {
			t.Errorf("%+v means %q: %v", row.h, row.id, got)
		}
	}
}

// TestHaltTravels proves that nothing of a halt, its outcome or its lifting is lost on its way.
func TestHaltTravels(t *testing.T) {
	at := time.Unix(1_000_000, 5).UTC()
	order := Order{Request: "q", AskedOf: "c1", Asked: at, Lifts: 3}
	told := Halt{Kind: run.StopHalt, Reason: "enough", Order: order} // workers are not told who asked
	if got := HaltFromProto(HaltToProto(told)); got != told {
		t.Errorf("a worker is told %+v", got)
	}
	asked := told
	asked.By = "me@here"
	if got := HaltRequestFromProto(HaltRequestToProto(asked)); got != asked {
		t.Errorf("a coordinator is asked %+v", got)
	}
	out := Outcome{Passed: Passed{Runs: []string{"r"}, Told: []string{"a", "b"}, Stopped: []string{"a"}, Coordinators: []string{"c1"}}, Halted: asked.Halted(true), Why: "no etcd"}
	if got := OutcomeFromProto(OutcomeToProto(out)); !reflect.DeepEqual(got, out) {
		t.Errorf("the outcome is %+v", got)
	}
	if got := OutcomeFromProto(OutcomeToProto(Outcome{Lifted: true})); !got.Lifted || got.Halted.Recorded {
		t.Errorf("the outcome of a halt that was lifted is %+v", got)
	}
	a := Assignment{Run: "r", Goal: GoalRun, Lift: Lift{Number: 2, At: at, Of: []string{"q1", "q2"}}}
	a.Stop = Stop{Kind: run.StopOperator, Reason: "enough", Order: Order{AskedOf: "c9", Asked: at}}
	if got, err := AssignmentFromProto(AssignmentToProto(a)); err != nil || !reflect.DeepEqual(got.Lift, a.Lift) || got.Stop != a.Stop {
		t.Errorf("the assignment tells of %+v and %+v, %v", got.Lift, got.Stop, err)
	}
}
