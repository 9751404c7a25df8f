package supervisor

import (
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
