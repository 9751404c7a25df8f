package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofload/internal/result/report"
	"proofload/internal/run"
)

// counted is shop with a criterion over the whole run, which is wrong if anything is missing.
const counted = shop + `
criteria:
  - {name: all, check: "count(requests) == 1000"}
`

// whole checks that nothing of a run of 1,000 arrivals is lost or doubled, and that it passed.
func whole(t *testing.T, rec run.Run, d *report.Document) {
	t.Helper()
	if rec.State != run.Completed || rec.Verdict.Result != run.Pass {
		t.Errorf("%s, %+v", rec.State, rec.Verdict)
	}
	if l := d.Load; l.Planned != 1000 || l.Sent != 1000 || l.Unknown != 0 {
		t.Errorf("planned %d, sent %d, not sent %v, unknown %d", l.Planned, l.Sent, l.NotSent, l.Unknown)
	}
	if i := d.Integrity; len(i.Gaps) > 0 || i.Completeness != 1 {
		t.Errorf("gaps %+v, completeness %v", i.Gaps, i.Completeness)
	}
}

// TestRunSurvivesItsLeader: whenever the leader ends, the run goes on with the next one: what the workers
// fired meanwhile is counted once, the elapsed time is that of the plan, and the verdict is as without.
func TestRunSurvivesItsLeader(t *testing.T) {
	for at := 100 * time.Millisecond; at < 12500*time.Millisecond; at += 610 * time.Millisecond {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			bubble(t, counted, func(r *rig) {
				r.fleet.join("a", 10)
				r.fleet.join("b", 11)
				r.create("r1", 0)
				time.Sleep(at)
				r.succeed(2, 800*time.Millisecond)
				rec, d := r.ended2("r1")
				whole(t, rec, d)
				// Up to T0 being stamped anew nothing has been fired.
				if got := rec.Elapsed; got < 10*time.Second || got > 10*time.Second+50*time.Millisecond {
					t.Errorf("elapsed %v of a plan of 10 s", got)
				}
				if n := len(d.Integrity.LeaderChanges); n > 2 {
					t.Errorf("leaders %+v", d.Integrity.LeaderChanges)
				}
			})
		})
	}
}

// TestLeaderAfterLeader: each of them adds its part, and the live numbers are those of the whole run.
func TestLeaderAfterLeader(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 1200*time.Millisecond)
		for epoch := int64(2); epoch <= 4; epoch++ {
			r.succeed(epoch, time.Second)
			time.Sleep(1300 * time.Millisecond)
		}
		r.load("r1", 9500*time.Millisecond)
		v, err := r.manager.Live("r1")
		if err != nil {
			t.Fatal(err)
		}
		p := v.Progress
		if p.Load.Sent < 900 || p.Load.Sent > 1000 || p.Load.Requests != p.Load.Sent {
			t.Errorf("live load %+v at %v", p.Load, p.RunTime)
		}
		if p.CommittedThrough < 7 || len(p.Criteria) != 1 {
			t.Errorf("judged through %d, criteria %+v", p.CommittedThrough, p.Criteria)
		}
		rec, d := r.ended2("r1")
		whole(t, rec, d)
		changes := d.Integrity.LeaderChanges
		if len(changes) != 4 {
			t.Fatalf("leaders %+v", changes)
		}
		if at := changes[1].AtS; at < 2.1 || at > 2.4 {
			t.Errorf("the second leader took over at %v s, want 2.2", at)
		}
	})
}

// TestPauseAroundTheEndOfALeader: a pause that was recorded and reached nobody acts once, for all workers
// at the same time, and the paused time is exact.
func TestPauseAroundTheEndOfALeader(t *testing.T) {
	for _, told := range []time.Duration{0, 100 * time.Millisecond, 700 * time.Millisecond} {
		t.Run(fmt.Sprint(told), func(t *testing.T) {
			bubble(t, counted, func(r *rig) {
				a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 3*time.Second)
				if told == 0 {
					a.mu.Lock()
					a.deafened = true
					a.mu.Unlock()
					b.mu.Lock()
					b.deafened = true
					b.mu.Unlock()
				}
				r.must("r1", run.Event{Kind: run.PauseRequested, ID: "p"})
				time.Sleep(told)
				for _, w := range []*robot{a, b} {
					w.mu.Lock()
					w.deafened = false
					w.mu.Unlock()
				}
				r.succeed(2, time.Second)
				time.Sleep(4 * time.Second)
				rec := r.must("r1", run.Event{Kind: run.ResumeRequested, ID: "q"})
				want := rec.History[1].At - rec.History[0].At
				rec, d := r.ended2("r1")
				whole(t, rec, d)
				if rec.Paused != want || want < 3*time.Second {
					t.Errorf("paused %v, the stamps say %v", rec.Paused, want)
				}
			})
		})
	}
}

// TestCommandWhileTakingOver waits until the run time is known, and is stamped with it.
func TestCommandWhileTakingOver(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		a.mu.Lock()
		a.away = true // it attaches a second later
		a.mu.Unlock()
		r.succeed(2, time.Second)
		done := make(chan run.Run)
		go func() { done <- r.must("r1", run.Event{Kind: run.ScaleRequested, ID: "s", Factor: 2}) }()
		time.Sleep(time.Second)
		a.mu.Lock()
		a.away, a.heard = false, 0
		a.mu.Unlock()
		a.attach()
		rec := <-done
		if at := rec.History[0].At; at < 5400*time.Millisecond || at > 5700*time.Millisecond {
			t.Errorf("scaled at %v, want 5.5 s", at)
		}
		if rec, d := r.ended2("r1"); d.Load.Sent < 1400 || d.Load.Sent > 1500 || rec.State != run.Completed {
			t.Errorf("%s, %d sent", rec.State, d.Load.Sent)
		}
	})
}

// TestWorkerLostWithItsLeader: one that does not come back is given up after its lease, what it may have
// fired is unknown, and the other takes its part over. What was lost in an earlier term stays in the books.
func TestWorkerLostWithItsLeader(t *testing.T) {
	text := strings.Replace(shop, "for: 10s", "for: 20s", 1)
	for _, before := range []bool{false, true} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			bubble(t, text, func(r *rig) {
				r.fleet.join("a", 10)
				b := r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 4500*time.Millisecond)
				b.die(false)
				if before {
					r.load("r1", 9*time.Second)
				}
				r.succeed(2, time.Second)
				rec, d := r.ended2("r1")
				accounted(t, d, 2000)
				if rec.State != run.Completed || rec.Verdict.Result != run.Invalid {
					t.Errorf("%s, %+v", rec.State, rec.Verdict)
				}
				if n := d.Load.Unknown; n < 140 || n > 350 {
					t.Errorf("%d unknown", n)
				}
				if w := d.Integrity.Workers[1]; w.LostS == nil || *w.LostS < 7 || *w.LostS > 10.5 {
					t.Errorf("worker %+v", w)
				}
				if g := d.Integrity.Gaps; len(g) != 1 || g[0].Worker != "b" {
					t.Errorf("gaps %+v", g)
				}
			})
		})
	}
}

// TestSetupSurvivesItsLeader: it is done once, and its outcome counts whoever hears of it.
func TestSetupSurvivesItsLeader(t *testing.T) {
	text := counted + "setup:\n  - step: seed\n    http: {method: POST, path: /seed}\n    save: {sku: json.first}\nteardown:\n  - step: purge\n    http: {method: POST, path: /purge}\n"
	for at := time.Millisecond; at < 200*time.Millisecond; at += 13 * time.Millisecond {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			bubble(t, text, func(r *rig) {
				a := r.fleet.join("a", 10)
				r.create("r1", 0)
				time.Sleep(at)
				r.succeed(2, 200*time.Millisecond)
				rec, d := r.ended2("r1")
				whole(t, rec, d)
				setups := map[string]bool{}
				for _, task := range a.told() {
					if task.Kind == "setup" {
						setups[task.ID] = true
					}
				}
				if len(setups) != 1 || rec.Teardown.State != run.TaskDone {
					t.Errorf("tasks %+v, teardown %+v", a.told(), rec.Teardown)
				}
			})
		})
	}
}

// TestWorkersInTheProcessOfTheLeader end with it, so that nobody waits for their leases, but only for what
// their outbox may still hold.
func TestWorkersInTheProcessOfTheLeader(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.process = "one"
		r.resign()
		r.lead(2)
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 5500*time.Millisecond)
		r.term.end()
		r.resign()
		r.process = "two"
		r.lead(3)
		began := time.Now()
		rec, d := r.ended2("r1")
		if took := time.Since(began); took > 4*time.Second || rec.State != run.Failed {
			t.Errorf("%s after %v", rec.State, took)
		}
		wantReason(t, rec.Stop.Reason, "ended before the run did")
		if d.Load.Sent < 400 {
			t.Errorf("%d sent", d.Load.Sent)
		}
	})
}

// TestEventsSurviveTheirLeader: the report tells what happened under earlier ones, and numbers go on.
func TestEventsSurviveTheirLeader(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 2500*time.Millisecond)
		r.disk.fill(true)
		time.Sleep(1400 * time.Millisecond) // it is mended before it is tried again, not in the same instant
		r.disk.fill(false)
		r.load("r1", 5500*time.Millisecond)
		r.succeed(2, 800*time.Millisecond)
		r.load("r1", 8*time.Second)
		x, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		events, _ := x.view.log()
		for i, e := range events {
			if e.Number != uint64(i)+1 {
				t.Errorf("event %d has the number %d", i+1, e.Number)
			}
		}
		_, d := r.ended2("r1")
		for _, want := range []string{"a assigned", "nothing can be committed", "commits succeed again"} {
			if !slices.ContainsFunc(d.Events, func(e report.Event) bool { return strings.Contains(e.Detail, want) }) {
				t.Errorf("no event says %q: %+v", want, d.Events)
			}
		}
	})
}

// TestOrphanedDebts: what others have left is waited for, although one has ended for certain.
func TestOrphanedDebts(t *testing.T) {
	bubble(t, strings.Replace(shop, "grace: 2s", "grace: 20s", 1), func(r *rig) {
		r.fleet.join("a", 10)
		r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 1500*time.Millisecond)
		x, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		x.mail.post(func() {
			defer close(done)
			zero := time.Duration(0)
			x.crew["a"].gone, x.crew["b"].lost = true, &zero
			x.orphans()
			now := x.m.opts.Clock()
			if got := time.Duration(now - x.debts[sourceOf(x.crew["b"].member)].since); got > 2*time.Second {
				t.Errorf("b is taken to have been silent for %v", got)
			}
			if got := time.Duration(now - x.debts[sourceOf(x.crew["a"].member)].since); got < 15*time.Second {
				t.Errorf("a is waited for although it has ended %v ago", got)
			}
			x.crew["a"].gone, x.crew["b"].lost = false, nil
			clear(x.debts)
		})
		<-done
	})
}

// TestAbortsAfterATakeOver: a worker that is missing does not keep what breaks from ending the run.
func TestAbortsAfterATakeOver(t *testing.T) {
	text := strings.Replace(strings.Replace(shop, "grace: 2s", "grace: 20s", 1), "for: 10s", "for: 60s", 1)
	bubble(t, text+"\ncriteria:\n  - {name: not too much, check: \"rate(requests) < 150/s\", window: 2s, on_breach: abort}\n", func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 10*time.Second)
		b.die(false)
		r.succeed(2, 300*time.Millisecond)
		at := r.must("r1", run.Event{Kind: run.ScaleRequested, ID: "s", Factor: 4}).History[0].At
		rec, _ := r.ended2("r1")
		if rec.Stop.Kind != run.StopCriterion || rec.Stop.At > at+9*time.Second {
			t.Errorf("stopped by %s at %v, the load broke the limit from %v on", rec.Stop.Kind, rec.Stop.At, at)
		}
	})
}

// TestOldHandOverStaysDone: what was handed over long before is its taker's, whoever is missing after a take-over.
func TestOldHandOverStaysDone(t *testing.T) {
	text := strings.Replace(strings.Replace(shop, "grace: 2s", "grace: 20s", 1), "for: 10s", "for: 60s", 1)
	for _, at := range []time.Duration{6 * time.Second, 30 * time.Second} {
		bubble(t, text, func(r *rig) {
			a := r.fleet.join("a", 10)
			r.create("r1", 0)
			r.load("r1", 3*time.Second)
			r.fleet.join("b", 11)
			r.load("r1", at)
			a.mu.Lock()
			a.away, a.heard = true, r.fleet.clock()
			a.mu.Unlock()
			r.succeed(2, 300*time.Millisecond)
			time.Sleep(8 * time.Second)
			a.mu.Lock()
			a.away, a.heard = false, 0
			a.mu.Unlock()
			a.attach()
			rec, d := r.ended2("r1")
			if rec.Verdict.Result != run.Pass || d.Load.Sent != 6000 || d.Load.Unknown > 0 {
				t.Errorf("%+v, load %+v", rec.Verdict, d.Load)
			}
		})
	}
}

// TestSamplesOfALongGap: what workers sealed while nobody led is counted at once when somebody does, whatever his wall
// clock says.
func TestSamplesOfALongGap(t *testing.T) {
	text := strings.NewReplacer("grace: 2s", "grace: 20s", "for: 10s", "for: 30s").Replace(shop)
	for _, behind := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(behind.String(), func(t *testing.T) {
			bubble(t, text, func(r *rig) {
				r.fleet.join("a", 10)
				r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 3500*time.Millisecond)
				r.behind = behind
				r.succeed(2, 15*time.Second)
				rec, d := r.ended2("r1")
				if rec.Verdict.Result != run.Pass || d.Load.Sent != 3000 {
					t.Errorf("%+v, %d sent", rec.Verdict, d.Load.Sent)
				}
				for _, e := range d.Events {
					if strings.Contains(e.Detail, "refused") {
						t.Errorf("event %+v", e)
					}
				}
			})
		})
	}
}
