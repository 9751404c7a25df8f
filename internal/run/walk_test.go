package run

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/search"
)

// legality says, apart from the machine, in which states an event may have an effect: I IDLE,
// V VALIDATING, N INITIALIZING, R RUNNING, P PAUSED, S STOPPING, C COMPLETED, F FAILED.
var legality = map[EventKind]string{
	Waiting: "I", WorkersAssigned: "I",
	ValidationOK: "V", ValidationFailed: "V",
	SetupStarted: "N", SetupDone: "NS", SetupFailed: "NS", BarrierReady: "N", Started: "N",
	Restarted: "R", ShardsMoved: "VNRP",
	PauseRequested: "R", ResumeRequested: "P", ScaleRequested: "RP", PhaseStarted: "RP", Restamped: "RP",
	ProbeStarted: "R", ProbeJudged: "RP", PhaseEnded: "RP",
	StopRequested: "IVNRPS", ErrorOccurred: "IVNRPS", WorkersLost: "VNRP", AllEnded: "RP",
	Drained: "S", TeardownDone: "S", Finalised: "S",
}

var letters = map[State]string{
	Idle: "I", Validating: "V", Initializing: "N", Running: "R", Paused: "P", Stopping: "S", Completed: "C", Failed: "F",
}

// successors says which states may follow which.
var successors = map[string]string{"I": "IVS", "V": "VNS", "N": "NRS", "R": "RPS", "P": "PRS", "S": "SCF", "C": "C", "F": "F"}

func TestLegalityTableIsWhole(t *testing.T) {
	if len(legality) != len(EventKinds()) || len(letters) != len(States()) {
		t.Fatal("the table does not name every event and state")
	}
	for _, k := range EventKinds() {
		for _, s := range States() {
			if got, want := slices.Contains(rules[k].from, s), strings.Contains(legality[k], letters[s]); got != want {
				t.Errorf("%s in %s: %v, want %v", k, s, got, want)
			}
		}
	}
}

// drawEvent makes an event that may or may not make sense.
func drawEvent(t *rapid.T, r Run, n int) Event {
	kinds := EventKinds()
	if rapid.Bool().Draw(t, "forward") { // half of the time along a run's life, or walks would end early
		kinds = []EventKind{
			WorkersAssigned, ValidationOK, SetupStarted, SetupDone, BarrierReady, Started,
			PauseRequested, ResumeRequested, ScaleRequested, PhaseStarted, ShardsMoved, Restamped, ProbeStarted, ProbeJudged, PhaseEnded,
		}
	}
	ev := Event{
		Kind:     rapid.SampledFrom(kinds).Draw(t, "kind"),
		Time:     wall.Add(time.Duration(n) * time.Millisecond),
		RunTime:  time.Duration(rapid.Int64Range(-1e9, 1e12).Draw(t, "run time")),
		ID:       rapid.SampledFrom([]string{"", "", "", "a", "b", "c"}).Draw(t, "id"),
		Factor:   rapid.SampledFrom([]float64{0, 0.5, 1, 1.5, 3}).Draw(t, "factor"),
		Phase:    rapid.SampledFrom([]string{"", "p", "q"}).Draw(t, "phase"),
		Stop:     rapid.SampledFrom([]StopKind{StopOperator, StopSignal, StopHalt, StopCriterion, StopSafety, StopCompleted, ""}).Draw(t, "stop"),
		Shards:   shards(r.Shards.Revision + uint64(rapid.IntRange(0, 1).Draw(t, "revision"))),
		Verdict:  rapid.SampledFrom([]*Verdict{nil, passed, invalid, {Result: Aborted, ExitCode: ExitStopped}, {Result: Fail, ExitCode: 1}}).Draw(t, "verdict"),
		ExitCode: rapid.SampledFrom([]int{0, ExitNotStarted}).Draw(t, "exit code"),
	}
	ev.MaxFactor = 2
	ev.Rate = rapid.SampledFrom([]float64{0, 100, 250}).Draw(t, "rate")
	ev.For = rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "for")
	if open, ok := r.OpenProbe(); ok {
		outcome := rapid.SampledFrom([]search.Outcome{search.Held, search.Broken, "maybe"}).Draw(t, "outcome")
		ev.Probe = &Probe{Change: open.ID, Cut: rapid.Bool().Draw(t, "cut"), Verdict: search.Verdict{Rate: open.Rate, Outcome: outcome}}
	}
	ev.T0 = wall
	if n := len(r.History); n > 0 {
		ev.Change = r.History[rapid.IntRange(0, n-1).Draw(t, "change")].ID
	}
	return ev
}

// TestRandomWalk takes 10,000 random steps and more, and holds each against the tables above.
func TestRandomWalk(t *testing.T) {
	steps := 0
	rapid.Check(t, func(t *rapid.T) {
		r := newRun()
		for n := range 120 {
			steps++
			ev := drawEvent(t, r, n)
			before, _ := r.Encode()
			next, effects, err := Step(r, ev)
			if after, _ := r.Encode(); string(after) != string(before) {
				t.Fatalf("%s changed the run that it was given", ev.Kind)
			}
			checkStep(t, r, next, ev, effects, err)
			r = next
			if r.State.Final() {
				r = newRun()
			}
		}
	})
	if steps < 10_000 {
		t.Errorf("only %d steps", steps)
	}
}

func checkStep(t *rapid.T, r, next Run, ev Event, effects []Effect, err error) {
	_, repeated := r.Answer(ev.ID)
	legal := strings.Contains(legality[ev.Kind], letters[r.State])
	var transition *TransitionError
	switch {
	case err == nil && !legal && !repeated:
		t.Fatalf("%s in %s was accepted", ev.Kind, r.State)
	case !legal && !repeated && !errors.As(err, &transition):
		t.Fatalf("%s in %s: %v", ev.Kind, r.State, err)
	case err != nil && effects != nil, repeated && effects != nil:
		t.Fatalf("%s in %s: effects %v with error %v", ev.Kind, r.State, effects, err)
	}
	if err := next.Validate(); err != nil {
		t.Fatalf("%s in %s makes a run that is not valid: %v", ev.Kind, r.State, err)
	}
	if !strings.Contains(successors[letters[r.State]], letters[next.State]) {
		t.Fatalf("%s leads from %s to %s", ev.Kind, r.State, next.State)
	}
	if (next.State != r.State) != (len(next.Transitions) == len(r.Transitions)+1) {
		t.Fatalf("%s: state %s to %s with %d new transitions", ev.Kind, r.State, next.State, len(next.Transitions)-len(r.Transitions))
	}
	if next.State == Failed && next.Verdict.Result != Invalid {
		t.Fatalf("FAILED with verdict %s", next.Verdict.Result)
	}
	if n := len(next.History); n > len(r.History) && ev.Kind != Restamped {
		if at := next.History[n-1].At; at < max(ev.RunTime, 0)+CommandLead {
			t.Fatalf("%s at %v is stamped %v", ev.Kind, ev.RunTime, at)
		}
	}
	changed := next.Revision != r.Revision
	if changed && len(effects) > 0 && !slices.Contains(kinds(effects), Persist) {
		t.Fatalf("%s in %s changes the record and does not persist it: %v", ev.Kind, r.State, kinds(effects))
	}
}

// TestPersistComesFirst: nothing but the order to stop may go out before the record is written.
func TestPersistComesFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRun()
		for n := range 40 {
			next, effects, _ := Step(r, drawEvent(t, r, n))
			for _, e := range effects {
				if e.Kind == Persist {
					break
				}
				if e.Kind != SendStop {
					t.Fatalf("%s goes out before the record is written: %v", e.Kind, kinds(effects))
				}
			}
			r = next
		}
	})
}
