package supervisor

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/run"
)

// TestCreateWhoseReplyIsLost: a run that was recorded is conducted, whether its client comes back or not.
func TestCreateWhoseReplyIsLost(t *testing.T) {
	for _, again := range []bool{true, false} {
		bubble(t, shop, func(r *rig) {
			r.fleet.join("a", 10)
			accepted := Accepted{ID: "r1", RequestID: "q", Plan: r.plan, PlanDigest: r.digest}
			r.term.trouble.loseReplies(true)
			if _, err := r.manager.Create(r.t.Context(), accepted); err == nil {
				t.Error("a run was created without a reply")
			}
			r.term.trouble.loseReplies(false)
			if again {
				accepted.ID = "r2"
				rec, err := r.manager.Create(r.t.Context(), accepted)
				if err != nil || rec.ID != "r1" {
					t.Errorf("the repeated request: run %s, error %v", rec.ID, err)
				}
			}
			if rec := r.until("r1", run.Completed, run.Failed); rec.State != run.Completed {
				t.Errorf("again %v: %s (%s)", again, rec.State, rec.Reason)
			}
		})
	}
}

// TestCreateThatCannotBeOpened is repaired when the store answers again.
func TestCreateThatCannotBeOpened(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.disk.unreadable(errors.New("input/output error"))
		if _, err := r.manager.Create(r.t.Context(), Accepted{ID: "r1", RequestID: "q", Plan: r.plan, PlanDigest: r.digest}); err == nil {
			t.Error("a run was created whose plan cannot be read")
		}
		time.Sleep(time.Minute)
		r.disk.unreadable(nil)
		r.until("r1", run.Completed)
	})
}

// TestQueueSaysBehindWhat a run waits.
func TestQueueSaysBehindWhat(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.create("r1", 0)
		r.create("r2", 20*time.Second)
		time.Sleep(time.Second)
		wantReason(t, r.record("r2").Reason, "behind run r1")
		rec := r.until("r2", run.Failed)
		wantReason(t, rec.Stop.Reason, "behind run r1")
		r.create("r3", 0)
		r.fleet.join("a", 10)
		r.load("r1", time.Second)
		wantReason(t, r.record("r3").Reason, "waiting for a worker")
	})
}

// TestNothingBeginsWhileHalted proves that a run which a halt has not ended yet gets no workers, says why, and goes on
// when the halt is lifted before it was ended.
func TestNothingBeginsWhileHalted(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		var halted atomic.Bool
		halted.Store(true)
		r.manager.opts.Halted = halted.Load
		r.create("r1", 0)
		r.fleet.join("a", 10)
		time.Sleep(time.Minute)
		rec := r.record("r1")
		wantReason(t, rec.Reason, "the cluster is halted")
		if rec.State != run.Idle {
			t.Errorf("the run is %v", rec.State)
		}
		halted.Store(false)
		r.manager.Seek()
		r.until("r1", run.Completed)
	})
}

// TestQueueTimeoutOutlivesTheTerm: it counts from the acceptance of the run, whatever the wall clock of the next leader
// says.
func TestQueueTimeoutOutlivesTheTerm(t *testing.T) {
	for _, behind := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(behind.String(), func(t *testing.T) {
			bubble(t, shop, func(r *rig) {
				r.create("r1", 30*time.Second)
				created := time.Now()
				time.Sleep(20 * time.Second)
				r.term.end()
				r.resign()
				r.behind = behind
				r.lead(2)
				rec := r.until("r1", run.Failed)
				if waited := time.Since(created); waited < 30*time.Second || waited > 32*time.Second {
					t.Errorf("gave up after %v", waited)
				}
				if rec.Verdict.ExitCode != run.ExitNotStarted {
					t.Errorf("verdict %+v", rec.Verdict)
				}
			})
		})
	}
}

// TestQueueTimeoutWithoutALeader: the time without a leader does not count, for nobody could have given the run workers.
func TestQueueTimeoutWithoutALeader(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.create("r1", 30*time.Minute)
		created := time.Now()
		for epoch, after := range []time.Duration{10 * time.Minute, 5 * time.Minute, 0} {
			time.Sleep(8 * time.Minute)
			r.succeed(int64(epoch)+2, after)
		}
		time.Sleep(8 * time.Minute)
		rec := r.until("r1", run.Failed)
		// Up to a minute of each term is not recorded.
		if waited := rec.EndedAt.Sub(created) - 15*time.Minute; waited < 30*time.Minute || waited > 33*time.Minute {
			t.Errorf("gave up after %v with a leader", waited)
		}
	})
}
