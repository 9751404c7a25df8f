package supervisor

import (
	"strings"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// restarted is a worker that lives again, with batches 6 to 8 of its life before in its outbox, which
// it delivers after a while.
func restarted(r *rig, after time.Duration) *robot {
	w := r.fleet.join("a", 20, wire.OutboxState{Run: "r1", Incarnation: 10, OldestUnacked: 6, NextSeq: 9})
	r.fleet.wg.Go(func() {
		time.Sleep(after)
		for seq := uint64(6); seq <= 8; seq++ {
			s := metric.NewSecond(int64(seq) - 1)
			s.Arrivals[metric.ArrivalKey{Phase: "hold", Flow: "buy"}] = &metric.Arrivals{Planned: 100, Sent: 100, Succeeded: 100}
			r.manager.Received(w.info(), sealed("r1", metric.Source{Worker: "a", Incarnation: 10}, seq, s))
		}
	})
	return w
}

// TestOutboxOfARestartedWorker is waited for: what it left is counted, whether the coordinator lived
// on or is new as well; what does not come is a gap.
func TestOutboxOfARestartedWorker(t *testing.T) {
	for _, row := range []struct {
		name      string
		successor bool
		after     time.Duration
		batches   int64
		restarts  bool
		state     run.State
	}{
		{"worker", false, 2 * time.Second, 8, true, run.Completed},
		{"worker and coordinator", true, 2 * time.Second, 8, true, run.Failed},
		{"worker that delivers nothing", false, time.Minute, 5, true, run.Completed},
		{"coordinator, and the worker is gone", true, 0, 5, false, run.Failed},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, shop, func(r *rig) {
				a := r.fleet.join("a", 10)
				r.create("r1", 0)
				r.load("r1", 5500*time.Millisecond)
				a.mu.Lock()
				a.mute = true
				a.mu.Unlock()
				r.load("r1", 8500*time.Millisecond)
				if row.successor {
					r.term.end()
					r.resign()
					r.lead(2)
				} else {
					a.die(false)
				}
				if row.restarts {
					time.Sleep(500 * time.Millisecond)
					restarted(r, row.after)
				}
				began := time.Now()
				rec, d := r.ended2("r1")
				before := d.Load.Sent
				for _, w := range d.Integrity.Workers[1:] {
					before -= w.Samples
				}
				if rec.State != row.state || before != 100*row.batches {
					t.Errorf("%s, %d arrivals of the life before, want %d batches of 100", rec.State, before, row.batches)
				}
				if took := time.Since(began); took > 8*time.Second {
					t.Errorf("waited for %v", took)
				}
			})
		})
	}
}

// TestOutboxIsWaitedForByAnyWallClock: a new leader of a run that is stopping waits for what a lost worker has on disk
// for a lease, whatever its wall clock says.
func TestOutboxIsWaitedForByAnyWallClock(t *testing.T) {
	text := strings.NewReplacer("grace: 2s", "grace: 20s", "for: 10s", "for: 60s").Replace(shop)
	for _, behind := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(behind.String(), func(t *testing.T) {
			bubble(t, text, func(r *rig) {
				a := r.fleet.join("a", 10)
				r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 5500*time.Millisecond)
				cutOff(a)
				r.load("r1", 8500*time.Millisecond)
				dieCutOff(a)
				r.load("r1", 32*time.Second) // it was given up
				r.must("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "enough"})
				r.behind = behind
				r.succeed(2, 300*time.Millisecond)
				time.Sleep(10 * time.Second)
				held := a.held()
				if len(held) < 2 {
					t.Fatalf("the run did not wait: %s", r.record("r1").State)
				}
				r.fleet.revive(a, 20)
				r.ended2("r1")
				head, err := r.manager.opts.Repository.Load(t.Context(), "r1")
				if err != nil {
					t.Fatal(err)
				}
				last := held[len(held)-1].Seq
				if got := head.Marks.Map()[sourceOf(a.member())]; got != last {
					t.Errorf("batch %d is the last that is counted, and %d was on disk", got, last)
				}
			})
		})
	}
}
