package supervisor

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario"
)

// TestRunToItsEnd: a run goes through every state, counts every arrival of its schedule, and calls
// back at its start and its end.
func TestRunToItsEnd(t *testing.T) {
	for _, arrivals := range []string{"uniform", "poisson"} {
		for _, workers := range []int{1, 3} {
			text := strings.Replace(shop, "    rate:", "    arrivals: "+arrivals+"\n    rate:", 1)
			bubble(t, text, func(r *rig) {
				for i := range workers {
					r.fleet.join(string(rune('a'+i)), int64(10+i))
				}
				r.create("r1", 0)
				rec, d := r.ended2("r1")
				var states []run.State
				for _, tr := range rec.Transitions {
					states = append(states, tr.To)
				}
				want := []run.State{run.Validating, run.Initializing, run.Running, run.Stopping, run.Completed}
				if !slices.Equal(states, want) {
					t.Errorf("states %v, want %v", states, want)
				}
				if rec.Verdict.Result != run.Pass {
					t.Errorf("verdict %+v", rec.Verdict)
				}
				if arrivals == "uniform" && d.Load.Planned != 1000 {
					t.Errorf("%d workers: %d arrivals planned, want 1000", workers, d.Load.Planned)
				}
				if d.Load.Sent != d.Load.Planned || d.Requests.Sent != d.Load.Sent || d.Load.Unknown != 0 {
					t.Errorf("load %+v, requests %+v", d.Load, d.Requests)
				}
				if d.Integrity.Completeness != 1 || len(d.Integrity.Gaps) != 0 || len(d.Integrity.Workers) != workers {
					t.Errorf("integrity %+v", d.Integrity)
				}
				if got, want := r.called(), []run.CallbackKind{run.OnStart, run.OnComplete}; !slices.Equal(got, want) {
					t.Errorf("called back for %v, want %v", got, want)
				}
			})
		}
	}
}

// TestPoissonIsTheSameForAnyFleet: the arrivals belong to the plan, not to the workers.
func TestPoissonIsTheSameForAnyFleet(t *testing.T) {
	text := strings.Replace(shop, "    rate:", "    arrivals: poisson\n    rate:", 1)
	var planned []int64
	for _, workers := range []int{1, 2, 5} {
		bubble(t, text, func(r *rig) {
			for i := range workers {
				r.fleet.join(string(rune('a'+i)), int64(10+i))
			}
			r.create("r1", 0)
			_, d := r.ended2("r1")
			planned = append(planned, d.Load.Planned)
		})
	}
	if planned[0] != planned[1] || planned[0] != planned[2] || planned[0] == 0 {
		t.Errorf("arrivals with 1, 2 and 5 workers: %v", planned)
	}
}

// TestQueue: a run waits in IDLE while the workers are busy, in the order of acceptance, and several
// runs go one after another.
func TestQueue(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		for _, id := range []string{"r1", "r2", "r3"} {
			r.create(id, 0)
		}
		r.load("r1", time.Second)
		for _, id := range []string{"r2", "r3"} {
			if rec := r.record(id); rec.State != run.Idle || rec.Reason == "" {
				t.Errorf("%s is %s (%q) while its worker is busy", id, rec.State, rec.Reason)
			}
		}
		var ends []time.Time
		for _, id := range []string{"r1", "r2", "r3"} {
			rec, d := r.ended2(id)
			if rec.Verdict.Result != run.Pass || d.Load.Sent != 1000 {
				t.Errorf("%s: %+v, %d sent", id, rec.Verdict, d.Load.Sent)
			}
			ends = append(ends, *rec.EndedAt)
		}
		if !ends[0].Before(ends[1]) || !ends[1].Before(ends[2]) {
			t.Errorf("runs ended at %v", ends)
		}
		if len(r.manager.Active()) != 0 {
			t.Error("runs are live after their end")
		}
	})
}

// TestNoWorker: the run says what it waits for, and after the timeout what to do.
func TestNoWorker(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.create("r1", 30*time.Second)
		time.Sleep(10 * time.Second)
		rec := r.record("r1")
		if rec.State != run.Idle {
			t.Fatalf("state %s", rec.State)
		}
		wantReason(t, rec.Reason, "worker --join")
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || rec.Verdict.ExitCode != run.ExitNotStarted || rec.Verdict.Result != run.Invalid {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
		if waited := rec.EndedAt.Sub(rec.CreatedAt); waited < 30*time.Second || waited > 32*time.Second {
			t.Errorf("gave up after %v", waited)
		}
		wantReason(t, rec.Stop.Reason, "no workers after 30s")
		if d.Run.T0At != nil || d.Load.Planned != 0 {
			t.Errorf("a run that never started has load %+v", d.Load)
		}
		if !slices.Contains(r.called(), run.OnError) {
			t.Errorf("called back for %v", r.called())
		}
	})
}

// TestPauseIsExact: elapsed and paused time are exact to the nanosecond of the stamps, a pause costs
// no arrival, and every command is called back.
func TestPauseIsExact(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		paused := r.must("r1", run.Event{Kind: run.PauseRequested, ID: "p1", Reason: "look"})
		if paused.State != run.Paused {
			t.Errorf("state %s", paused.State)
		}
		time.Sleep(7*time.Second + 123*time.Millisecond)
		resumed := r.must("r1", run.Event{Kind: run.ResumeRequested, ID: "p2"})
		again := r.must("r1", run.Event{Kind: run.PauseRequested, ID: "p1"})
		if again.State != run.Running || len(again.History) != 2 {
			t.Errorf("a repeated pause changed the run: %s, %v", again.State, again.History)
		}
		want := resumed.History[1].At - resumed.History[0].At
		rec, d := r.ended2("r1")
		if rec.Paused != want {
			t.Errorf("paused %v, want %v", rec.Paused, want)
		}
		if got := rec.Elapsed; got < 10*time.Second || got > 10*time.Second+300*time.Millisecond {
			t.Errorf("elapsed %v of a plan of 10 s", got)
		}
		if rec.Elapsed+rec.Paused != rec.Stop.At {
			t.Errorf("elapsed %v and paused %v are not the run's %v", rec.Elapsed, rec.Paused, rec.Stop.At)
		}
		if d.Load.Planned != 1000 || d.Load.Sent != 1000 {
			t.Errorf("load %+v", d.Load)
		}
		calls := []run.CallbackKind{run.OnStart, run.OnPause, run.OnResume, run.OnComplete}
		if got := r.called(); !slices.Equal(got, calls) {
			t.Errorf("called back for %v, want %v", got, calls)
		}
	})
}

// TestScale: the factor is absolute, changes what is planned from its stamp on, and has its limit.
func TestScale(t *testing.T) {
	bubble(t, shop+"limits: {rate: 250/s}\n", func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 4*time.Second)
		rec := r.must("r1", run.Event{Kind: run.ScaleRequested, ID: "s1", Factor: 2})
		at := rec.History[0].At
		time.Sleep(time.Second)
		r.must("r1", run.Event{Kind: run.ScaleRequested, ID: "s2", Factor: 2})
		_, err := r.command("r1", run.Event{Kind: run.ScaleRequested, ID: "s3", Factor: 2.6})
		var limit *run.LimitError
		if !errors.As(err, &limit) || limit.Max != 2.5 {
			t.Errorf("scaling beyond the limit: %v", err)
		}
		_, d := r.ended2("r1")
		want := int64(100*at.Seconds() + 200*(10-at.Seconds()) + 0.5)
		if d.Load.Planned < want-1 || d.Load.Planned > want+1 {
			t.Errorf("%d arrivals with a factor of 2 from %v on, want %d", d.Load.Planned, at, want)
		}
	})
}

// TestStop: what was done until then is reported, with the reason.
func TestStop(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 5*time.Second)
		r.must("r1", run.Event{Kind: run.StopRequested, ID: "x", Stop: run.StopOperator, Reason: "enough"})
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Aborted || rec.Verdict.ExitCode != run.ExitStopped || rec.Verdict.StoppedBy != "operator" {
			t.Errorf("verdict %+v", rec.Verdict)
		}
		if d.Run.StopReason == nil || *d.Run.StopReason != "enough" {
			t.Errorf("stop reason %v", d.Run.StopReason)
		}
		if n := d.Load.Sent; n < 490 || n > 520 {
			t.Errorf("%d sent in 5 s at 100/s", n)
		}
		if want := []run.CallbackKind{run.OnStart, run.OnStop, run.OnComplete}; !slices.Equal(r.called(), want) {
			t.Errorf("called back for %v, want %v", r.called(), want)
		}
		_, err := r.command("r1", run.Event{Kind: run.PauseRequested, ID: "y"})
		var illegal *run.TransitionError
		if !errors.As(err, &illegal) || illegal.From != run.Completed || illegal.Run != "r1" {
			t.Errorf("pausing a run that has ended: %v", err)
		}
	})
}

// TestIllegalCommand is refused with the state.
func TestIllegalCommand(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.create("r1", 0)
		_, err := r.command("r1", run.Event{Kind: run.PauseRequested, ID: "p"})
		var illegal *run.TransitionError
		if !errors.As(err, &illegal) || illegal.From != run.Idle {
			t.Errorf("pausing a waiting run: %v", err)
		}
		_, err = r.command("nobody", run.Event{Kind: run.PauseRequested, ID: "p"})
		wantErr(t, err, ErrNotLive)
		r.must("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopSignal, Reason: "never mind"})
		rec := r.until("r1", run.Completed, run.Failed)
		if rec.State != run.Completed || rec.Verdict.StoppedBy != "signal" {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
	})
}

// TestAbortOnBreach: a criterion that is breached for as long as it says ends the run, once.
func TestAbortOnBreach(t *testing.T) {
	text := shop + `criteria:
  - name: impossible
    check: p99(response_time) < 1ms
    window: 2s
    on_breach: abort
`
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Aborted || rec.Verdict.ExitCode != run.ExitAborted || rec.Verdict.StoppedBy != "criterion" {
			t.Errorf("verdict %+v", rec.Verdict)
		}
		if rec.Stop.At > 6*time.Second {
			t.Errorf("stopped only at %v", rec.Stop.At)
		}
		if len(d.Violations) != 1 || d.Criteria[0].Result != "FAIL" {
			t.Errorf("violations %+v, criteria %+v", d.Violations, d.Criteria)
		}
	})
}

// TestSecretWithoutValue ends the run before anything is sent.
func TestSecretWithoutValue(t *testing.T) {
	text := strings.Replace(shop, "path: /}", "path: /, headers: {a: '${secret.unheard}'}}", 1)
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		rec := r.until("r1", run.Completed, run.Failed)
		if rec.State != run.Failed || rec.Verdict.ExitCode != run.ExitUsage {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
		wantReason(t, rec.Stop.Reason, "PROOFLOAD_SECRET_UNHEARD")
	})
}

// TestSetupAndTeardown run once each, around the load.
func TestSetupAndTeardown(t *testing.T) {
	text := shop + `
setup:
  - step: seed
    http: {method: POST, path: /seed}
    save: {sku: json.first}
teardown:
  - step: purge
    http: {method: POST, path: /purge}
`
	bubble(t, text, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.fleet.join("b", 11)
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Pass || rec.Setup.State != run.TaskDone || rec.Teardown.State != run.TaskDone {
			t.Errorf("%+v, setup %+v, teardown %+v", rec.Verdict, rec.Setup, rec.Teardown)
		}
		if d.Requests.Setup != 1 || d.Requests.Teardown != 1 {
			t.Errorf("requests %+v", d.Requests)
		}
		if len(w.tasks) != 2 || w.tasks[0].Kind != "setup" || w.tasks[1].Kind != "teardown" {
			t.Errorf("tasks %+v", w.tasks)
		}
	})
	bubble(t, text, func(r *rig) {
		w := r.fleet.join("a", 10)
		w.taskErr = "status == 200 does not hold"
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || d.Load.Planned != 0 || len(w.tasks) != 2 {
			t.Errorf("after a failed setup: %s, %+v, tasks %v", rec.State, d.Load, w.tasks)
		}
		wantReason(t, rec.Stop.Reason, "status == 200")
	})
}

// TestMaxFactor: the tighter of the limits counts, and no limit is none.
func TestMaxFactor(t *testing.T) {
	plan := loadPlan(t, shop)
	if got, limit := maxFactor(plan); got != 0 || limit != "" {
		t.Errorf("without limits: %v", got)
	}
	plan.Limits = scenario.Limits{Rate: 300, Users: 5}
	if got, limit := maxFactor(plan); got != 3 || limit != "limits.rate" {
		t.Errorf("of 300/s and no users: %v", got)
	}
}

// TestLeadGoesByTheWorkers: how far ahead the load starts depends on where the farthest worker is and
// how well its clock is known.
func TestLeadGoesByTheWorkers(t *testing.T) {
	for _, row := range []struct {
		name   string
		remote bool
		bound  time.Duration
		want   time.Duration
	}{
		{"on this machine", false, 0, 100 * time.Millisecond},
		{"on another one", true, time.Millisecond, time.Second},
		{"far away", true, 400 * time.Millisecond, 1600 * time.Millisecond},
		{"with a clock not known yet", true, 0, 2 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, shop, func(r *rig) {
				r.fleet.join("a", 10)
				b := r.fleet.join("b", 11)
				b.mu.Lock()
				b.remote, b.bound = row.remote, row.bound
				b.mu.Unlock()
				r.create("r1", 0)
				rec := r.until("r1", run.Running)
				if got := rec.T0.Sub(rec.Since); got != row.want {
					t.Errorf("load starts %v ahead, want %v", got, row.want)
				}
			})
		})
	}
}
