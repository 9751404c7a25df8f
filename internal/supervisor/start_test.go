package supervisor

import (
	"context"
	"fmt"
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

// TestOvertakenStatus: one that comes late, by way of a session that another has replaced, takes nothing back of what
// the worker has said since.
func TestOvertakenStatus(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", time.Second)
		live, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		a.mu.Lock()
		newest := *a.status
		a.mu.Unlock()
		if newest.Revision < 2 {
			t.Fatalf("the worker has got %d assignments, want several", newest.Revision)
		}
		late := newest
		late.Revision--
		r.manager.Received(a.info(), late)
		heard := make(chan uint64)
		live.mail.post(func() { heard <- live.crew["a"].status.Revision })
		if got := <-heard; got != newest.Revision {
			t.Errorf("the worker has assignment %d, and is taken to have %d", newest.Revision, got)
		}
		// An earlier leader had counted further than this one, whose newest assignment the worker has.
		live.mail.post(func() { live.crew["a"].status.Revision += 5 })
		r.manager.Received(a.info(), newest)
		live.mail.post(func() { heard <- live.crew["a"].status.Revision })
		if got := <-heard; got != newest.Revision {
			t.Errorf("the worker has assignment %d of this leader, and is taken to have %d of another", newest.Revision, got)
		}
	})
}

// lastWrite says what becomes of the write at which a leader dies.
type lastWrite string

const (
	notApplied lastWrite = "not applied"
	replyLost  lastWrite = "applied, and nobody is told"
	heeded     lastWrite = "applied, and what follows from it goes out"
)

// TestLeaderDiesAtTheStart: whichever write of a run's start is the last of its leader, and whatever becomes of it,
// the run goes on under the next leader as if nothing had happened, or fails and says that it was setup which could
// not be repeated.
func TestLeaderDiesAtTheStart(t *testing.T) {
	withSetup := counted + "setup:\n  - step: seed\n    http: {method: POST, path: /seed}\n    save: {sku: json.first}\n"
	for _, row := range []struct{ name, text string }{{"without setup", counted}, {"with setup", withSetup}} {
		for _, fate := range []lastWrite{notApplied, replyLost, heeded} {
			for n := 1; n <= 9; n++ { // the last of them are made under load
				t.Run(fmt.Sprintf("%s/write %d %s", row.name, n, fate), func(t *testing.T) {
					bubble(t, row.text, func(r *rig) { dieAtWrite(r, n, fate) })
				})
			}
		}
	}
}

// dieAtWrite ends the leader of a run at its nth write, and checks what becomes of the run.
func dieAtWrite(r *rig, n int, fate lastWrite) {
	r.t.Helper()
	r.fleet.join("a", 10)
	r.fleet.join("b", 11)
	last := make(chan struct{})
	r.term.trouble.refuse(func(string) bool {
		n--
		switch {
		case n == 0:
			close(last)
			if fate == replyLost {
				r.term.trouble.lost = true // the lock is held
			}
			return fate == notApplied
		case n < 0:
			return true
		}
		return false
	})
	created := make(chan error, 1)
	go func() {
		_, err := r.manager.Create(context.Background(), Accepted{ID: "r1", RequestID: "req-r1", Plan: r.plan, PlanDigest: r.digest})
		created <- err
	}()
	<-last
	time.Sleep(150 * time.Millisecond) // T0 is 100 ms ahead
	r.term.end()
	r.cancel()
	<-r.ended
	err := <-created
	time.Sleep(800 * time.Millisecond)
	r.elect(2)
	r.fleet.reattach()
	if _, gone := r.manager.opts.Repository.Load(context.Background(), "r1"); gone != nil {
		if err == nil {
			r.t.Errorf("a run was accepted and is not there: %v", gone)
		}
		return
	}
	rec, d := r.ended2("r1")
	if rec.State == run.Failed && rec.Verdict.Result == run.Invalid && strings.Contains(rec.Stop.Reason, "setup") {
		r.t.Logf("it failed: %s", rec.Stop.Reason)
		return
	}
	whole(r.t, rec, d)
}
