package supervisor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
)

// TestErrorWhileTheBooksAreRead: the run ends as what the error makes of it.
func TestErrorWhileTheBooksAreRead(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 5*time.Second)
		r.disk.beforeGet(func(key string) {
			if !strings.Contains(key, "/segments/") {
				return
			}
			r.disk.beforeGet(nil)
			if live, err := r.manager.live("r1"); err == nil {
				live.mail.post(func() { live.abandon(errors.New("the roof came down")) })
			}
			time.Sleep(time.Second)
		})
		rec, _ := r.ended2("r1")
		if rec.State != run.Failed || rec.Verdict.ExitCode != run.ExitInternal {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
		wantReason(t, rec.Stop.Reason, "the roof came down")
	})
}

// TestJudgementThatCannotBe ends the run as INVALID instead of never.
func TestJudgementThatCannotBe(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", time.Second)
		live, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		live.mail.post(func() { live.closingBooks = true }) // by the test alone
		r.must("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "enough"})
		time.Sleep(time.Second)
		live.mail.post(func() {
			b := live.readBooks(r.t.Context(), live.judgeInput(), live.account(), 0)
			b.outcome.Verdict = run.Verdict{Result: run.Pass, ExitCode: run.ExitAborted}
			live.closed(b)
		})
		rec, _ := r.ended2("r1")
		if rec.State != run.Completed || rec.Verdict.Result != run.Invalid || rec.Verdict.ExitCode != run.ExitInternal {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
	})
}

// TestElapsedIsWithoutDraining: what was in flight when the schedule ended makes the run no longer.
func TestElapsedIsWithoutDraining(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		w := r.fleet.join("a", 10)
		w.mu.Lock()
		w.slow = 2 * time.Second
		w.mu.Unlock()
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		pause := r.must("r1", run.Event{Kind: run.PauseRequested, ID: "p"})
		time.Sleep(4 * time.Second)
		resume := r.must("r1", run.Event{Kind: run.ResumeRequested, ID: "q"})
		rec, d := r.ended2("r1")
		if rec.Elapsed != 10*time.Second || d.Run.ElapsedS != 10 {
			t.Errorf("elapsed %v, %v s in the report, of a plan of 10 s", rec.Elapsed, d.Run.ElapsedS)
		}
		if want := resume.History[1].At - pause.History[0].At; rec.Paused != want {
			t.Errorf("paused %v, want %v", rec.Paused, want)
		}
		if *rec.Drained < rec.Stop.At+2*time.Second {
			t.Errorf("drained at %v, the load ended at %v", *rec.Drained, rec.Stop.At)
		}
	})
}
