package supervisor

import (
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

const purged = shop + "teardown:\n  - step: purge\n    http: {method: POST, path: /purge}\n"

// TestWorkerThatCannotPrepare: one that fails before the load and says nothing more ends the run with
// its reason, and does not keep it from ending.
func TestWorkerThatCannotPrepare(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.fleet.join("b", 11).failure = "port 80 is taken"
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || rec.Verdict.Result != run.Invalid || d.Load.Planned != 0 {
			t.Errorf("%s, %+v, load %+v", rec.State, rec.Verdict, d.Load)
		}
		wantReason(t, rec.Stop.Reason, "worker b: port 80 is taken")
		// 2 s of work in flight, a lease of 2 s, and a second.
		if took := rec.EndedAt.Sub(rec.CreatedAt); took > 6*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestBatchThatIsNeverRight: a batch whose bytes are refused will not come right, so that what is
// behind it is a named gap, and the run ends.
func TestBatchThatIsNeverRight(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 2500*time.Millisecond)
		close(b.quit) // the test speaks for it
		r.manager.Received(b.info(), wire.Sealed{Run: "r1", Incarnation: 11, Seq: 3, Data: []byte("x")})
		r.load("r1", 9*time.Second)
		r.manager.Received(b.info(), wire.Status{Run: "r1", Revision: 9, State: wire.WorkerDone, Phases: []wire.PhaseStatus{{Phase: "hold", Started: true, Ended: true}}})
		r.manager.Received(b.info(), wire.Final{Run: "r1", Incarnation: 11, LastSeq: 10})
		rec, d := r.ended2("r1")
		if took := rec.EndedAt.Sub(*rec.T0); took > 16*time.Second {
			t.Errorf("ended %v after it began", took)
		}
		g := d.Integrity.Gaps
		if len(g) != 1 || g[0].Worker != "b" || g[0].FromSeq != 3 {
			t.Errorf("gaps %+v", g)
		}
		accounted(t, d, 1000)
	})
}

// TestTeardownIsDone at least once, whatever becomes of the worker that is told to.
func TestTeardownIsDone(t *testing.T) {
	// begun returns the worker that teardown was given to, and the other one.
	begun := func(r *rig) (at, other *robot) {
		a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
		a.deaf = true
		r.create("r1", 0)
		r.until("r1", run.Stopping)
		for len(a.told()) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		return a, b
	}
	t.Run("by another", func(t *testing.T) {
		bubble(t, purged, func(r *rig) {
			a, b := begun(r)
			a.die(false)
			rec, _ := r.ended2("r1")
			if rec.Teardown.State != run.TaskDone || len(b.told()) != 1 || b.told()[0] != a.told()[0] {
				t.Errorf("teardown %+v, told %v and %v", rec.Teardown, a.told(), b.told())
			}
			if rec.Verdict.Result != run.Pass {
				t.Errorf("verdict %+v", rec.Verdict)
			}
		})
	})
	t.Run("by nobody", func(t *testing.T) {
		bubble(t, purged, func(r *rig) {
			a, b := begun(r)
			a.die(false)
			b.die(false)
			rec, _ := r.ended2("r1")
			wantReason(t, rec.Teardown.Error, "no worker is there")
		})
	})
	t.Run("after a new session", func(t *testing.T) {
		bubble(t, purged, func(r *rig) {
			a, b := begun(r)
			a.deaf = false
			r.manager.Detached(a.info(), "stream ended", false)
			r.manager.Attached(a.info(), wire.Hello{Name: "a"})
			rec, _ := r.ended2("r1")
			if rec.Teardown.State != run.TaskDone || len(a.told()) != 2 || len(b.told()) != 0 {
				t.Errorf("teardown %+v, told %v and %v", rec.Teardown, a.told(), b.told())
			}
		})
	})
	t.Run("without an outcome", func(t *testing.T) {
		bubble(t, purged, func(r *rig) {
			begun(r)
			time.Sleep(errandLimit)
			rec, _ := r.ended2("r1")
			if rec.Teardown.State != run.TaskFailed || !strings.Contains(rec.Teardown.Error, "worker a did not say") {
				t.Errorf("teardown %+v", rec.Teardown)
			}
		})
	})
}

// told returns the tasks that a robot was given.
func (w *robot) told() []wire.Task {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tasks
}

// TestPatienceForWork: when a run is stopped or a worker leaves, an iteration that is under way has the time that it may take,
// all its steps, pauses and repetitions together, and not hours; programs that have to be killed have some more.
func TestPatienceForWork(t *testing.T) {
	program := func(timeout, killAfter time.Duration) scenario.Step {
		return scenario.Step{Timeout: timeout, Program: &scenario.Program{KillAfter: killAfter}}
	}
	asking := func(timeout time.Duration) scenario.Step { return scenario.Step{Timeout: timeout} }
	pause := scenario.Step{Think: &scenario.Distribution{Value: 8 * time.Second}}
	again := scenario.Step{Timeout: time.Second, Retry: &scenario.Retry{Times: 2, Backoff: time.Second}}
	for _, tt := range []struct {
		steps       []scenario.Step
		drain, stop time.Duration
	}{
		{nil, 2 * time.Second, 2 * time.Second},
		{[]scenario.Step{asking(5 * time.Second), asking(10 * time.Second)}, 16 * time.Second, 16 * time.Second},
		{[]scenario.Step{asking(time.Second), pause, asking(time.Second)}, 11 * time.Second, 11 * time.Second},
		{[]scenario.Step{again}, 6 * time.Second, 6 * time.Second},
		{[]scenario.Step{asking(time.Second), asking(time.Hour)}, 31 * time.Second, 31 * time.Second},
		{[]scenario.Step{program(5*time.Second, 3*time.Second)}, 11 * time.Second, 16 * time.Second},
		{[]scenario.Step{program(time.Hour, 20*time.Second)}, 31 * time.Second, 53 * time.Second},
	} {
		r := &runner{plan: &scenario.Plan{Flows: map[string]scenario.Flow{"f": {Steps: tt.steps}}}}
		if drain, stop := r.drainTime(), r.stopTime(); drain != tt.drain || stop != tt.stop {
			t.Errorf("%+v: %v and %v, want %v and %v", tt.steps, drain, stop, tt.drain, tt.stop)
		}
	}
}
