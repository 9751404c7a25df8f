package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
)

// TestVerdictIsShownOnlyOnceCommitted: until the end of a run is recorded nobody is shown it, and who
// watches when the term ends before is not told that the run is over.
func TestVerdictIsShownOnlyOnceCommitted(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 9500*time.Millisecond)
		w, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		r.term.trouble.refuse(saying(`"verdict":`))
		time.Sleep(5 * time.Second)
		if v, err := r.manager.Live("r1"); err != nil || v.Run.State != run.Stopping || v.Run.Verdict != nil {
			t.Errorf("live view %s, verdict %+v, error %v while the stored state is %s", v.Run.State, v.Run.Verdict, err, r.record("r1").State)
		}
		r.resign()
		for _, u := range w.Next() {
			if u.View.Run.State.Final() {
				t.Errorf("a watcher is shown %s", u.View.Run.State)
			}
			for _, e := range u.Events {
				if e.Kind == "state" && strings.HasPrefix(e.Detail, string(run.Completed)) {
					t.Errorf("a watcher is told %q", e.Detail)
				}
			}
		}
		r.lead(2)
		r.until("r1", run.Completed, run.Failed)
	})
}

// TestRepeatedCommandWaitsForItsRecord: a command that could not be recorded is not confirmed because
// it is sent again.
func TestRepeatedCommandWaitsForItsRecord(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 2*time.Second)
		r.term.trouble.refuse(everything)
		pause := run.Event{Kind: run.PauseRequested, ID: "p"}
		for range 2 {
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
			if _, err := r.manager.Command(ctx, "r1", pause); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("during the outage: error %v; stored state %s", err, r.record("r1").State)
			}
			cancel()
		}
		r.term.trouble.refuse(nil)
		if rec := r.must("r1", pause); rec.State != run.Paused || len(rec.History) != 1 {
			t.Errorf("%s, history %v", rec.State, rec.History)
		}
		if rec := r.record("r1"); rec.State != run.Paused {
			t.Errorf("stored state %s after the answer", rec.State)
		}
	})
}

// TestCommandUnderTheIdOfAnother is refused, and one repeated after the end gets its answer.
func TestCommandUnderTheIdOfAnother(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 2*time.Second)
		r.must("r1", run.Event{Kind: run.PauseRequested, ID: "p"})
		stop := run.Event{Kind: run.StopRequested, ID: "p", Stop: run.StopOperator, Reason: "x"}
		var wrong *run.EventError
		if _, err := r.command("r1", stop); !errors.As(err, &wrong) {
			t.Errorf("a stop under the id of a pause: %v", err)
		}
		stop.ID = "s"
		r.must("r1", stop)
		r.until("r1", run.Completed)
		if rec := r.must("r1", stop); rec.State != run.Completed {
			t.Errorf("the repeated stop is answered %s", rec.State)
		}
		stop.ID = "p"
		if _, err := r.command("r1", stop); !errors.As(err, &wrong) {
			t.Errorf("a stop under the id of a pause, after the end: %v", err)
		}
		stop.ID = "new"
		var illegal *run.TransitionError
		if _, err := r.command("r1", stop); !errors.As(err, &illegal) || illegal.From != run.Completed {
			t.Errorf("a new stop, after the end: %v", err)
		}
	})
}

// TestCommandAfterTheTerm is not told that the run has ended.
func TestCommandAfterTheTerm(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.create("r1", 0)
		r.resign()
		_, err := r.command("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "x"})
		wantErr(t, err, ErrElsewhere)
		r.lead(2)
	})
}
