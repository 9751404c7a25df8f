package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// stopUnrecorded gives a stop of which nothing can be recorded, waits until a worker has heard of it, and lets
// the leader end.
func stopUnrecorded(r *rig, heard *robot) {
	r.t.Helper()
	r.disk.fill(true)
	r.term.trouble.refuse(everything)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = r.manager.Command(context.Background(), "r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "enough"})
	}()
	for heard.state().Goal != wire.GoalStop {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	r.term.end()
	r.cancel()
	<-r.ended
	<-done
	for _, w := range r.fleet.all {
		w.mu.Lock()
		w.deafened = false
		w.mu.Unlock()
	}
	r.disk.fill(false)
	time.Sleep(time.Second)
	r.elect(2)
	r.fleet.reattach()
}

// TestStopThatWasNotRecorded: a stop goes out before its record. When the leader ends between, the next one hears
// of it from the workers: the run is stopped by whoever stopped it, and never passes.
func TestStopThatWasNotRecorded(t *testing.T) {
	for _, row := range []struct {
		name      string
		text      string
		at        time.Duration
		halfHeard bool
	}{
		{"in the middle", shop, 3500 * time.Millisecond, false},
		{"almost at the end", strings.Replace(shop, "for: 10s", "for: 60s", 1), 57100 * time.Millisecond, false},
		{"one of two has heard", shop, 3500 * time.Millisecond, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, row.text, func(r *rig) {
				a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", row.at)
				b.mu.Lock()
				b.deafened = row.halfHeard
				b.mu.Unlock()
				stopUnrecorded(r, a)
				rec, d := r.ended2("r1")
				if rec.State != run.Completed || rec.Verdict.Result != run.Aborted || rec.Stop.Kind != run.StopOperator || rec.Stop.Reason != "enough" {
					t.Errorf("%s, %+v, stop %+v", rec.State, rec.Verdict, rec.Stop)
				}
				if rec.Elapsed < row.at || rec.Elapsed > row.at+3*time.Second {
					t.Errorf("elapsed %v", rec.Elapsed)
				}
				if len(d.Integrity.Gaps) > 0 || d.Load.Planned != d.Load.Sent {
					t.Errorf("gaps %+v, load %+v", d.Integrity.Gaps, d.Load)
				}
			})
		})
	}
}

// TestForgottenStopIsNoticed: the test above sees it when workers do not tell what they were told.
func TestForgottenStopIsNoticed(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.broken.stopForgotten = true
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3500*time.Millisecond)
		stopUnrecorded(r, a)
		if rec := r.until("r1", run.Completed, run.Failed); rec.Stop.Kind == run.StopOperator {
			t.Errorf("stopped by %+v although nobody told", rec.Stop)
		}
	})
}

// TestStopThatWasNotRecordedBeforeTheStart: the workers have nothing to tell but that they were told to stop.
func TestStopThatWasNotRecordedBeforeTheStart(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		a := r.fleet.join("a", 10)
		a.remote = true // the lead is a second
		r.create("r1", 0)
		r.until("r1", run.Running)
		stopUnrecorded(r, a)
		rec, d := r.ended2("r1")
		if rec.State != run.Completed || rec.Verdict.Result == run.Pass || d.Load.Sent > 0 {
			t.Errorf("%s, %+v, %d sent", rec.State, rec.Verdict, d.Load.Sent)
		}
	})
}

// TestStoreThatFailsAtTheTakeOver keeps no worker from going on.
func TestStoreThatFailsAtTheTakeOver(t *testing.T) {
	for _, queued := range []bool{false, true} {
		bubble(t, counted, func(r *rig) {
			r.fleet.join("a", 10)
			r.fleet.join("b", 11)
			r.create("r1", 0)
			if queued {
				r.create("r2", 0)
			}
			r.load("r1", 3500*time.Millisecond)
			r.term.end()
			r.cancel()
			<-r.ended
			time.Sleep(time.Second)
			r.disk.unreadable(errors.New("input/output error"))
			r.elect(2)
			r.fleet.reattach()
			time.Sleep(300 * time.Millisecond)
			r.disk.unreadable(nil)
			rec, d := r.ended2("r1")
			whole(t, rec, d)
			if queued {
				rec, d := r.ended2("r2")
				whole(t, rec, d)
			}
		})
	}
}

// TestRunsUnknown: a leader that etcd does not tell which runs there are does not serve, and says what it lacks.
func TestRunsUnknown(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		broken := &term{records: r.records, epoch: 2}
		broken.trouble.loseReplies(true)
		opts := r.manager.opts
		opts.Heads, opts.Repository = broken, result.NewRepository(broken, r.disk)
		err := New(opts).Run(r.t.Context(), r.fleet, func() { t.Error("it serves") })
		wantErr(t, err, ErrRunsUnknown)
		wantErr(t, err, errLost)
	})
}

// TestStoreThatHangsAtTheTakeOver keeps no worker from being served, and the load goes on; whoever asks is told.
func TestStoreThatHangsAtTheTakeOver(t *testing.T) {
	bubble(t, strings.Replace(counted, "grace: 2s", "grace: 20s", 1), func(r *rig) {
		r.fleet.join("a", 10)
		r.fleet.join("b", 11)
		r.create("r1", 0)
		r.create("r2", 0)
		r.create("r3", 0)
		r.load("r1", 3500*time.Millisecond)
		hung := make(chan struct{})
		var answers atomic.Bool
		r.disk.beforeGet(func(string) {
			if !answers.Load() {
				<-hung
			}
		})
		ended := time.Now()
		r.succeed(2, time.Second)
		if took := time.Since(ended); took > time.Second+openWithin {
			t.Errorf("it serves %v after the other leader ended", took)
		}
		time.Sleep(12 * time.Second)
		_, err := r.command("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "no"})
		wantErr(t, err, ErrTakingOver)
		if got := r.manager.Unread(); !slices.Equal(got, []string{"r1", "r2", "r3"}) {
			t.Errorf("runs that are not in hand are %v", got)
		}
		answers.Store(true) // but for those who wait already
		r.fleet.join("c", 12)
		r.create("r4", 0)
		time.Sleep(time.Second)
		if rec := r.record("r4"); rec.State != run.Idle || !strings.Contains(rec.Reason, "behind run r2") {
			t.Errorf("the newest run is %s, %s", rec.State, rec.Reason)
		}
		close(hung)
		for _, id := range []string{"r1", "r2", "r3", "r4"} {
			rec, d := r.ended2(id)
			whole(t, rec, d)
		}
		last := 0
		for _, id := range []string{"r2", "r3", "r4"} {
			at := strings.Index(r.log.String(), "run_id="+id+" from=IDLE")
			if at < last {
				t.Errorf("run %s began before one that had waited longer:\n%s", id, r.log.String())
			}
			last = at
		}
		if got := r.manager.Unread(); len(got) > 0 {
			t.Errorf("runs that are not in hand are %v", got)
		}
	})
}

// TestWorkersDieWhileTheStoreHangs: a leader that was not told of a run has kept its load going all the same. What its
// workers may have fired then is unknown.
func TestWorkersDieWhileTheStoreHangs(t *testing.T) {
	text := strings.NewReplacer("grace: 2s", "grace: 5s", "for: 10s", "for: 60s").Replace(shop)
	bubble(t, text, func(r *rig) {
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3500*time.Millisecond)
		hung := make(chan struct{})
		r.disk.beforeGet(func(string) { <-hung })
		r.succeed(2, time.Second)
		time.Sleep(25 * time.Second)
		a.die(false)
		time.Sleep(time.Second)
		r.disk.beforeGet(nil)
		close(hung)
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || rec.Elapsed < 29*time.Second {
			t.Errorf("%s, elapsed %v, load %+v", rec.State, rec.Elapsed, d.Load)
		}
	})
}

// TestNobodyComesBack: what workers may have fired on their leases, after the last commit, is unknown, and was
// time under load.
func TestNobodyComesBack(t *testing.T) {
	text := strings.Replace(shop, "grace: 2s", "grace: 20s", 1)
	text = strings.Replace(text, "for: 10s", "for: 60s", 1)
	bubble(t, text, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 5500*time.Millisecond)
		w.mu.Lock()
		w.away = true // it fires on, on its lease
		w.mu.Unlock()
		r.succeed(2, 10*time.Second)
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || rec.Elapsed < 25*time.Second || rec.Elapsed > 28*time.Second {
			t.Errorf("%s, elapsed %v", rec.State, rec.Elapsed)
		}
		if n := d.Load.Unknown; n < 1900 || n > 2300 {
			t.Errorf("%d unknown, load %+v", n, d.Load)
		}
	})
}

// TestLateWorkerIsJudgedWith: nothing is judged without the samples that a worker has kept for the new leader.
func TestLateWorkerIsJudgedWith(t *testing.T) {
	text := strings.Replace(shop, "grace: 2s", "grace: 20s", 1)
	text = strings.Replace(text, "for: 10s", "for: 30s", 1) + "\ncriteria:\n  - {name: throughput, check: \"rate(requests) > 80/s\", window: 2s, on_breach: abort}\n"
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 5500*time.Millisecond)
		b.mu.Lock()
		b.away, b.heard = true, r.fleet.clock()
		b.mu.Unlock()
		r.succeed(2, time.Second)
		time.Sleep(6 * time.Second)
		b.mu.Lock()
		b.away, b.heard = false, 0
		b.mu.Unlock()
		b.attach()
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Pass || d.Load.Sent != 3000 {
			t.Errorf("%+v, %d sent", rec.Verdict, d.Load.Sent)
		}
	})
}

// TestStopWhileTakingOver: whoever attaches after it hears of it, and what was asked for is answered.
func TestStopWhileTakingOver(t *testing.T) {
	text := strings.Replace(shop, "grace: 2s", "grace: 20s", 1)
	text = strings.Replace(text, "for: 10s", "for: 60s", 1)
	for _, by := range []string{"error", "command"} {
		t.Run(by, func(t *testing.T) {
			bubble(t, text, func(r *rig) {
				r.fleet.join("a", 10)
				r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 3500*time.Millisecond)
				for _, w := range r.fleet.all {
					w.mu.Lock()
					w.away, w.heard = true, r.fleet.clock()
					w.mu.Unlock()
				}
				r.succeed(2, 300*time.Millisecond)
				answered := make(chan error, 1)
				go func() {
					_, err := r.command("r1", run.Event{Kind: run.ScaleRequested, ID: "s", Factor: 1.5})
					answered <- err
				}()
				time.Sleep(100 * time.Millisecond)
				began := time.Now()
				if by == "error" {
					x, _ := r.manager.live("r1")
					x.mail.post(func() { x.expect(run.Event{Kind: run.ErrorOccurred, Reason: "worker a: no room"}) })
				} else {
					r.must("r1", run.Event{Kind: run.StopRequested, ID: "t", Stop: run.StopOperator, Reason: "enough"})
				}
				if err := <-answered; err == nil || time.Since(began) > time.Second {
					t.Errorf("the scaling was answered with %v after %v", err, time.Since(began))
				}
				for _, w := range r.fleet.all {
					w.mu.Lock()
					w.away, w.heard = false, 0
					w.mu.Unlock()
				}
				r.fleet.reattach()
				rec, d := r.ended2("r1")
				if len(d.Integrity.Gaps) > 0 || d.Load.Planned != d.Load.Sent || rec.Elapsed > 6*time.Second {
					t.Errorf("%s after %v, gaps %+v, load %+v", rec.State, rec.Elapsed, d.Integrity.Gaps, d.Load)
				}
			})
		})
	}
}

// TestStopRecordedLateActedWhenItWasHeard: a stop that is recorded long after the workers were told of it ends the
// run when they were told, and the record says of whom it was asked and when. One that has reached only some of them
// is not lost either: the others go on until the next leader tells them.
func TestStopRecordedLateActedWhenItWasHeard(t *testing.T) {
	text := strings.Replace(shop, "grace: 2s", "grace: 60s", 1)
	text = strings.Replace(text, "for: 10s", "for: 60s", 1)
	for _, row := range []struct {
		byCoordinator, other bool // a coordinator tells the leader first; another worker was not told
		led                  bool // the leader stays in office and has lost a worker before; who is told is cut off from it
		from, to             time.Duration
	}{
		{false, false, false, 3400 * time.Millisecond, 4500 * time.Millisecond},
		{true, false, false, 3400 * time.Millisecond, 4500 * time.Millisecond},
		{false, true, false, 23 * time.Second, 26 * time.Second},
		{true, true, false, 23 * time.Second, 26 * time.Second},
		{false, false, true, 3400 * time.Millisecond, 4500 * time.Millisecond},
	} {
		bubble(t, text, func(r *rig) {
			a := r.fleet.join("a", 10)
			if row.other {
				r.fleet.join("b", 11)
			}
			var c *robot
			if row.led {
				c = r.fleet.join("c", 12)
			}
			r.create("r1", 0)
			if row.led {
				r.load("r1", 1500*time.Millisecond)
				c.die(true)
			}
			r.load("r1", 3500*time.Millisecond)
			if row.led {
				a.mu.Lock()
				a.cut = true
				a.mu.Unlock()
			} else {
				r.term.end()
				r.cancel()
				<-r.ended
			}
			asked := time.Now()
			order := wire.Halt{Run: "r1", Kind: run.StopOperator, Reason: "enough", Order: wire.Order{Request: "q", AskedOf: "c2", Asked: asked}}
			a.halt(order)
			time.Sleep(20 * time.Second)
			if !row.led {
				r.elect(2)
			}
			note := run.Event{Kind: run.StopRequested, ID: "q", Stop: run.StopOperator, Reason: "enough", Asked: asked, AskedOf: "c2"}
			if row.byCoordinator { // before any worker tells
				r.must("r1", note)
			}
			if row.led {
				a.heal()
			} else {
				r.fleet.reattach()
			}
			rec, d := r.ended2("r1")
			if rec.State != run.Completed || rec.Verdict.Result != run.Aborted || rec.Stop.Kind != run.StopOperator || rec.Stop.Reason != "enough" {
				t.Errorf("%s, %+v, stop %+v", rec.State, rec.Verdict, rec.Stop)
			}
			if rec.Stop.AskedOf != "c2" || rec.Stop.Asked == nil || !rec.Stop.Asked.Equal(asked) {
				t.Errorf("asked of %q at %v, want of c2 at %v", rec.Stop.AskedOf, rec.Stop.Asked, asked)
			}
			if rec.Elapsed < row.from || rec.Elapsed > row.to {
				t.Errorf("%+v: elapsed %v", row, rec.Elapsed)
			}
			if !row.led && (len(d.Integrity.Gaps) > 0 || d.Load.Planned != d.Load.Sent || d.Load.Unknown != 0) {
				t.Errorf("gaps %+v, load %+v", d.Integrity.Gaps, d.Load)
			}
			noted := 0
			for _, e := range d.Events {
				if e.Kind == "stop" && strings.Contains(e.Detail, "asked of coordinator c2") && strings.Contains(e.Detail, "enough") {
					noted++
				}
			}
			if noted != 1 {
				t.Errorf("%d notes of who was asked: %+v", noted, d.Events)
			}
			if _, err := r.command("r1", note); err != nil { // another coordinator tells it again
				t.Error(err)
			}
		})
	}
}
