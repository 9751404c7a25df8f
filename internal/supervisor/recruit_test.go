package supervisor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"proofload/internal/result/report"
	"proofload/internal/run"
)

// TestWorkerJoins: one that comes while a run is under load gets its part of it, and not one arrival is
// missing or doubled.
func TestWorkerJoins(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		r.fleet.join("b", 11)
		rec, d := r.ended2("r1")
		whole(t, rec, d)
		w := d.Integrity.Workers
		if len(w) != 2 || w[1].JoinedS < 3 || w[1].JoinedS > 4.2 || w[1].Samples < 250 || w[1].Samples > 350 {
			t.Errorf("workers %+v", w)
		}
	})
}

// TestWorkerHandsOver: one that is to end goes on until others have its part.
func TestWorkerHandsOver(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 4*time.Second)
		b.leave()
		r.load("r1", 6*time.Second)
		if b.state().Run != "" {
			t.Errorf("it still has %+v", b.state())
		}
		b.die(true)
		rec, d := r.ended2("r1")
		whole(t, rec, d)
		if w := d.Integrity.Workers; len(w) != 2 || w[1].LostS != nil || w[1].Samples < 200 || w[1].Samples > 260 {
			t.Errorf("workers %+v", w)
		}
	})
}

// TestWorkerLeavesWhileAnotherJoins: what it has not handed over yet it goes on with, and it closes its books.
func TestWorkerLeavesWhileAnotherJoins(t *testing.T) {
	for at := 4 * time.Second; at < 5*time.Second; at += 100 * time.Millisecond { // it is looked for those that join once a second
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			bubble(t, counted, func(r *rig) {
				r.fleet.join("a", 10)
				b := r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", at)
				b.leave()
				r.fleet.join("c", 12)
				rec, d := r.ended2("r1")
				whole(t, rec, d)
				if w := d.Integrity.Workers; len(w) != 3 || w[1].Samples > 320 {
					t.Errorf("workers %+v", w)
				}
			})
		})
	}
}

// TestLastWorkerLeaves: nobody can take over, so it goes on.
func TestLastWorkerLeaves(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 4*time.Second)
		a.leave()
		rec, d := r.ended2("r1")
		whole(t, rec, d)
	})
}

// TestOnlyWorkerRestarts: its next life takes the load up; what was due between is counted.
func TestOnlyWorkerRestarts(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		a.die(false)
		time.Sleep(500 * time.Millisecond)
		r.fleet.join("a", 20)
		rec, d := r.ended2("r1")
		accounted(t, d, 1000)
		if rec.State != run.Completed {
			t.Errorf("%s: %s", rec.State, rec.Reason)
		}
		if d.Load.Sent < 750 || d.Load.Unknown > 110 || d.Load.NotSent["worker_lost"] > 120 {
			t.Errorf("load %+v", d.Load)
		}
		if w := d.Integrity.Workers; len(w) != 2 || w[0].LostS == nil || w[1].LostS != nil {
			t.Errorf("workers %+v", w)
		}
		if g := d.Integrity.Gaps; len(g) != 1 || g[0].Incarnation != 10 {
			t.Errorf("gaps %+v", g)
		}
	})
}

// TestRecruitThatCannotPrepare does no harm.
func TestRecruitThatCannotPrepare(t *testing.T) {
	for _, ends := range []bool{false, true} {
		bubble(t, counted, func(r *rig) {
			r.fleet.join("a", 10)
			r.create("r1", 0)
			r.load("r1", 3*time.Second)
			b := r.fleet.enter("b", 11)
			if ends {
				b.deafened = true
			} else {
				b.failure = "port 80 is taken"
			}
			b.attach()
			if ends {
				time.Sleep(1500 * time.Millisecond)
				b.die(false)
			}
			rec, d := r.ended2("r1")
			whole(t, rec, d)
			if len(d.Integrity.Workers) != 1 {
				t.Errorf("workers %+v", d.Integrity.Workers)
			}
		})
	}
}

// TestQueueComesFirst: a worker for which another run waits joins none.
func TestQueueComesFirst(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 2*time.Second)
		r.create("r2", 0)
		r.fleet.join("b", 11)
		rec, d := r.ended2("r1")
		whole(t, rec, d)
		rec, d = r.ended2("r2")
		whole(t, rec, d)
		if w := d.Integrity.Workers; w[0].ID != "b" {
			t.Errorf("workers of the second %+v", w)
		}
	})
}

// TestSlowStoreDoublesNothing: when it takes longer to record a hand-over than until it is due, it is put off.
func TestSlowStoreDoublesNothing(t *testing.T) {
	for _, slow := range []time.Duration{300 * time.Millisecond, 900 * time.Millisecond, 2500 * time.Millisecond} {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			bubble(t, counted, func(r *rig) {
				r.fleet.join("a", 10)
				b := r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 2*time.Second)
				r.term.mu.Lock()
				r.term.slow = slow
				r.term.mu.Unlock()
				r.fleet.join("c", 12)
				r.load("r1", 4*time.Second)
				b.leave()
				rec, d := r.ended2("r1")
				if slow > 2*time.Second {
					accounted(t, d, 1000) // the schedule was over before the last of them could be given away
					return
				}
				whole(t, rec, d)
			})
		})
	}
}

// TestFleetInMotion: workers come and leave, and leaders follow each other, at random; as long as nobody
// dies, every arrival is sent once.
func TestFleetInMotion(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, counted, func(r *rig) {
				random := rand.New(rand.NewPCG(seed, 7))
				incarnation, epoch := int64(10), int64(1)
				here := []*robot{}
				join := func() {
					here = append(here, r.fleet.join(fmt.Sprintf("w%d", incarnation), incarnation))
					incarnation++
				}
				join()
				join()
				r.create("r1", 0)
				r.until("r1", run.Running)
				for range 6 {
					time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
					switch n := random.IntN(4); {
					case n == 0:
						join()
					case n == 1 && len(here) > 1:
						i := random.IntN(len(here))
						here[i].leave()
						here = append(here[:i], here[i+1:]...)
					case n == 2:
						epoch++
						r.succeed(epoch, time.Duration(random.IntN(1200))*time.Millisecond)
					default:
						r.term.mu.Lock()
						r.term.slow = time.Duration(random.IntN(700)) * time.Millisecond
						r.term.mu.Unlock()
					}
				}
				rec, d := r.ended2("r1")
				whole(t, rec, d)
			})
		})
	}
}

// TestCutOffWorkerComesBack: one that was given up because it was cut off begins another life once it has told
// all, and gets a part again.
func TestCutOffWorkerComesBack(t *testing.T) {
	text := strings.Replace(shop, "for: 10s", "for: 40s", 1)
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		b.mu.Lock()
		b.away, b.heard = true, r.fleet.clock()
		b.mu.Unlock()
		r.load("r1", 10*time.Second)
		b.mu.Lock()
		b.away, b.heard = false, 0
		b.mu.Unlock()
		b.attach()
		rec, d := r.ended2("r1")
		accountedAtMost(t, d, 4000)
		if w := d.Integrity.Workers; len(w) != 3 || w[1].LostS == nil || w[2].ID != "b" || w[2].LostS != nil || w[2].Samples < 1000 {
			t.Errorf("%s, workers %+v", rec.State, w)
		}
	})
}

// accountedAtMost is accounted for robots, which have no leases: one that was given up has fired on.
func accountedAtMost(t *testing.T, d *report.Document, planned int64) {
	t.Helper()
	if l := d.Load; l.Planned < planned || l.Sent+l.NotSentTotal()+l.Unknown != l.Planned {
		t.Errorf("load %+v, the schedule has %d", l, planned)
	}
}

// TestUnfitWorker: one that cannot prepare is left alone for a while, and is nobody in the record.
func TestUnfitWorker(t *testing.T) {
	text := strings.Replace(shop, "for: 10s", "for: 100s", 1)
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		b := r.fleet.enter("b", 11)
		b.failure = "port 80 is taken"
		b.attach()
		r.load("r1", 50*time.Second)
		x, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		events, _ := x.view.log()
		tries := 0
		for _, e := range events {
			if strings.Contains(e.Detail, "cannot join") {
				tries++
			}
		}
		done := make(chan int)
		x.mail.post(func() { done <- len(x.lives()) + len(x.former) })
		if lives := <-done; tries != 1 || lives != 1 {
			t.Errorf("tried %d times, %d lives", tries, lives)
		}
	})
}

// TestReplacedWorkersAreNotLost: as long as others come in their place, any number may go, one after the other.
func TestReplacedWorkersAreNotLost(t *testing.T) {
	text := strings.Replace(shop, "for: 10s", "for: 60s", 1)
	bubble(t, text, func(r *rig) {
		r.fleet.join("keeper", 10)
		at := r.fleet.join("w0", 11)
		r.create("r1", 0)
		for i := range 4 {
			r.load("r1", time.Duration(i+1)*10*time.Second)
			at.die(true)
			time.Sleep(500 * time.Millisecond)
			at = r.fleet.join(fmt.Sprintf("w%d", i+1), int64(12+i))
		}
		rec, d := r.ended2("r1")
		if rec.State != run.Completed || rec.Stop.Kind != run.StopCompleted {
			t.Errorf("%s: %s", rec.State, rec.Reason)
		}
		accounted(t, d, 6000)
	})
}
