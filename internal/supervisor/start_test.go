package supervisor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
)

// TestSlowStart: when recording T0 takes longer than its lead, a new one is recorded, and the workers
// hear of the start in time.
func TestSlowStart(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		w := r.fleet.join("a", 10)
		var began time.Time
		r.term.trouble.refuse(func(value string) bool {
			if !strings.Contains(value, "t0_at") {
				return false
			}
			if began.IsZero() {
				began = time.Now()
			}
			return time.Since(began) < 3*time.Second
		})
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.lead == nil || *w.lead < startMargin {
			t.Errorf("T0 was %v ahead when the worker heard of it", w.lead)
		}
		if wait := rec.T0.Sub(began); wait < 3*time.Second || wait > 4*time.Second || d.Load.Sent != 1000 || rec.Verdict.Result != run.Pass {
			t.Errorf("T0 %v after its first record was tried, %d sent, %+v", wait, d.Load.Sent, rec.Verdict)
		}
	})
}

// TestPauseBeforeTheStartIsRecorded is stamped against the first T0, which then stands.
func TestPauseBeforeTheStartIsRecorded(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.term.trouble.refuse(saying("t0_at"))
		r.create("r1", 0)
		time.Sleep(time.Second)
		live, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		live.mail.post(func() {
			live.command(run.Event{Kind: run.PauseRequested, ID: "p"}, func(run.Run, error) {})
		})
		time.Sleep(time.Second)
		r.term.trouble.refuse(nil)
		r.until("r1", run.Paused)
		r.must("r1", run.Event{Kind: run.ResumeRequested, ID: "q"})
		if _, d := r.ended2("r1"); d.Load.Planned != 1000 {
			t.Errorf("load %+v", d.Load)
		}
	})
}

// TestStopBeforeTheStart: a run that is stopped while its barrier is being recorded ends as stopped, and
// what was begun before is no error.
func TestStopBeforeTheStart(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.term.trouble.refuse(saying(`"ready":true`))
		r.create("r1", 0)
		time.Sleep(time.Second)
		live, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		live.mail.post(func() {
			live.command(run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "no"}, func(run.Run, error) {})
		})
		time.Sleep(time.Second)
		r.term.trouble.refuse(nil)
		rec := r.until("r1", run.Completed, run.Failed)
		if rec.State != run.Completed || rec.Verdict.Result != run.Aborted || rec.Stamped() {
			t.Errorf("%s (%s), %+v", rec.State, rec.Reason, rec.Verdict)
		}
		if want := []run.CallbackKind{run.OnStop, run.OnComplete}; !slices.Equal(r.called(), want) {
			t.Errorf("called back for %v, want %v", r.called(), want)
		}
	})
}

// TestEventThatIsRefused where it must not be ends the run with the reason, and not in silence.
func TestEventThatIsRefused(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", time.Second)
		live, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		live.mail.post(func() { live.expect(run.Event{Kind: run.BarrierReady}) })
		rec := r.until("r1", run.Completed, run.Failed)
		if rec.State != run.Failed || rec.Verdict.ExitCode != run.ExitInternal {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
		wantReason(t, rec.Stop.Reason, "not possible in state RUNNING")
	})
}
