package supervisor

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// accounted checks that every arrival of the schedule is somewhere.
func accounted(t *testing.T, d *report.Document, planned int64) {
	t.Helper()
	l := d.Load
	if l.Planned != planned {
		t.Errorf("%d arrivals planned, the schedule has %d", l.Planned, planned)
	}
	if l.Planned != l.Sent+l.NotSentTotal()+l.Unknown {
		t.Errorf("planned %d is not sent %d + not sent %v + unknown %d", l.Planned, l.Sent, l.NotSent, l.Unknown)
	}
	var line report.Point
	for _, p := range d.Timeline.Points {
		line.Planned, line.NotSent, line.Unknown = line.Planned+p.Planned, line.NotSent+p.NotSent, line.Unknown+p.Unknown
		if p.Unknown+p.NotSent > 0 && p.Validity != report.Invalid {
			t.Errorf("second %v lacks %d arrivals of %d and is %s", p.AtS, p.Unknown+p.NotSent, p.Planned, p.Validity)
		}
	}
	if line.Planned != l.Planned || line.NotSent != l.NotSentTotal() || line.Unknown != l.Unknown {
		t.Errorf("the seconds of the timeline have %d planned, %d not sent, %d unknown; the totals are %d, %d, %d",
			line.Planned, line.NotSent, line.Unknown, l.Planned, l.NotSentTotal(), l.Unknown)
	}
}

// TestWorkerLost: arrivals of a worker that died are unknown for as long as it may have fired them,
// and lost until its heirs took over; the rest of the schedule is fired to the unit, and a run that
// lost more than its validity bears is INVALID.
func TestWorkerLost(t *testing.T) {
	for _, arrivals := range []string{"uniform", "poisson"} {
		t.Run(arrivals, func(t *testing.T) {
			text := strings.Replace(shop, "    rate:", "    arrivals: "+arrivals+"\n    rate:", 1)
			var planned int64
			bubble(t, text, func(r *rig) {
				r.fleet.join("a", 10)
				r.create("r1", 0)
				_, d := r.ended2("r1")
				planned = d.Load.Planned
			})
			bubble(t, text, func(r *rig) {
				r.fleet.join("a", 10)
				b := r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 4500*time.Millisecond)
				b.die(false)
				rec, d := r.ended2("r1")
				accounted(t, d, planned)
				// It fired up to 4.5 s and told up to 4 s; it was given up 3 s after it was last heard, and its
				// heir fires from half a second later on: 3.5 s and 0.5 s at 50/s.
				if n := d.Load.Unknown; n < 140 || n > 210 {
					t.Errorf("%d unknown", n)
				}
				if n := d.Load.NotSent["worker_lost"]; n < 10 || n > 45 {
					t.Errorf("%d lost", n)
				}
				if rec.Verdict.Result != run.Invalid || rec.State != run.Completed {
					t.Errorf("%s, %+v", rec.State, rec.Verdict)
				}
				if !slices.ContainsFunc(rec.Verdict.Reasons, func(x run.Reason) bool { return x.Code == "not_sent" }) {
					t.Errorf("reasons %+v", rec.Verdict.Reasons)
				}
				g := d.Integrity.Gaps
				if len(g) != 1 || g[0].Worker != "b" || g[0].FromSeq != 5 || g[0].ToSeq != nil || g[0].FromS != 4 {
					t.Errorf("gaps %+v", g)
				}
				w := d.Integrity.Workers[1]
				if w.LostS == nil || *w.LostS < 7 || *w.LostS > 8.2 {
					t.Fatalf("worker %+v", w)
				}
				// Of the one that lived eleven batches, the last with what ended behind the schedule; of the other four,
				// of one in each second until it was given up.
				if got, want := d.Integrity.Completeness, (11+4)/(11+*w.LostS); math.Abs(got-want) > 0.001 {
					t.Errorf("completeness %v, want %v", got, want)
				}
			})
		})
	}
}

// TestWorkerThatHangs: one that keeps its session and says nothing is lost like one without a session.
func TestWorkerThatHangs(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		b.mu.Lock()
		b.heard = r.fleet.clock()
		b.mu.Unlock()
		close(b.quit)
		_, d := r.ended2("r1")
		accounted(t, d, 1000)
		if w := d.Integrity.Workers[1]; w.LostS == nil || *w.LostS < 7 || *w.LostS > 8.2 {
			t.Errorf("worker %+v", w)
		}
		if n := d.Load.NotSent["worker_lost"]; n < 10 || n > 45 {
			t.Errorf("%d lost", n)
		}
	})
}

// TestNewSessionBeforeTheOldEnds: that a session has ended says nothing of a worker that has a newer one.
func TestNewSessionBeforeTheOldEnds(t *testing.T) {
	bubble(t, purged, func(r *rig) {
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		r.manager.Attached(a.info(), wire.Hello{Name: "a"})
		r.manager.Detached(a.info(), "stream ended", false)
		rec, d := r.ended2("r1")
		accounted(t, d, 1000)
		if rec.Verdict.Result != run.Pass || rec.Teardown.State != run.TaskDone {
			t.Errorf("%+v, teardown %+v", rec.Verdict, rec.Teardown)
		}
	})
}

// TestLossThatIsAllowed: with a validity that bears it the run still passes.
func TestLossThatIsAllowed(t *testing.T) {
	bubble(t, shop+"validity: {sent: 50%, completeness: 50%}\n", func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		b.die(false)
		rec, d := r.ended2("r1")
		accounted(t, d, 1000)
		if rec.Verdict.Result != run.Pass {
			t.Errorf("verdict %+v", rec.Verdict)
		}
	})
}

// TestWorkerLeaves: one that says goodbye has told all that it did; nothing of it is unknown, and its
// shards are fired by the others.
func TestWorkerLeaves(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		stop := b.state()
		stop.Goal = wire.GoalStop
		r.fleet.Assign(run.Member{Worker: "b", Incarnation: 11}, stop, 0)
		time.Sleep(200 * time.Millisecond)
		b.die(true)
		_, d := r.ended2("r1")
		accounted(t, d, 1000)
		if d.Load.Unknown != 0 {
			t.Errorf("%d unknown of a worker that told all", d.Load.Unknown)
		}
		if n := d.Load.NotSent["worker_lost"]; n == 0 || n > 60 {
			t.Errorf("%d lost between goodbye and heir", n)
		}
		if len(d.Integrity.Gaps) != 0 {
			t.Errorf("gaps %+v", d.Integrity.Gaps)
		}
	})
}

// TestDeathIsProof: one whose death is reported is given up at once and not after its lease. What it did since
// its last batch is unknown all the same.
func TestDeathIsProof(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		b.die(false)
		time.Sleep(100 * time.Millisecond)
		r.manager.Detached(b.info(), "its guard reports", true)
		_, d := r.ended2("r1")
		accounted(t, d, 1000)
		if w := d.Integrity.Workers[1]; w.LostS == nil || *w.LostS < 4.5 || *w.LostS > 4.8 {
			t.Errorf("worker %+v", w)
		}
		if l := d.Load; l.Unknown < 20 || l.Unknown > 45 || l.NotSent["worker_lost"] == 0 || l.NotSent["worker_lost"] > 45 {
			t.Errorf("%d unknown, %d lost of a worker at 50/s whose last batch ends at 4 s", l.Unknown, l.NotSent["worker_lost"])
		}
		if g := d.Integrity.Gaps; len(g) != 1 || g[0].Worker != "b" || g[0].FromSeq != 5 || g[0].FromS != 4 {
			t.Errorf("gaps %+v", g)
		}
		// Eleven batches of the other one and four of this one are here, and one more at least is not.
		if got, want := d.Integrity.Completeness, 15.0/16; math.Abs(got-want) > 0.001 {
			t.Errorf("completeness %v, want %v", got, want)
		}
	})
}

// TestShed: what nobody takes over is lost to the end of the schedule.
func TestShed(t *testing.T) {
	bubble(t, shop+"worker_loss: {policy: shed}\n", func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		b.die(false)
		_, d := r.ended2("r1")
		accounted(t, d, 1000)
		if got := d.Load.NotSent["worker_lost"] + d.Load.Unknown; got < 295 || got > 300 {
			t.Errorf("%d lost and unknown, want the 6 s at 50/s behind second 4: %+v", got, d.Load)
		}
	})
}

// TestAllWorkersLost ends the run as FAILED with what was committed.
func TestAllWorkersLost(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		a := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		a.die(false)
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || rec.Verdict.Result != run.Invalid || rec.Verdict.StoppedBy != "worker_loss" {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
		if d.Load.Sent != 400 {
			t.Errorf("%d sent in the four seconds that were committed", d.Load.Sent)
		}
		if d.Load.Unknown == 0 {
			t.Errorf("nothing is unknown: %+v", d.Load)
		}
	})
}

// TestLostWorkerComesBack: what it still had is counted, and it fires nothing that is another's.
func TestLostWorkerIsStopped(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 2500*time.Millisecond)
		// Cut off, and working on: its lease ends, and the coordinator gives it up.
		b.mu.Lock()
		b.away, b.heard, b.mute = true, r.fleet.clock(), true
		b.mu.Unlock()
		r.manager.Detached(b.info(), "stream ended", false)
		r.load("r1", 7*time.Second)
		if a := b.state(); a.Goal != wire.GoalStop || len(a.Ranges) != 0 {
			t.Errorf("a worker whose shards are another's is told %v, %v", a.Goal, a.Ranges)
		}
		_, d := r.ended2("r1")
		accounted(t, d, 1000)
	})
}

// TestImplausibleBatch: what no worker can have measured is refused, and changes nothing.
func TestImplausibleBatch(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 2200*time.Millisecond)
		source := metric.Source{Worker: "a", Incarnation: 10}
		for _, index := range []int64{-1, 60, 1 << 40, 1<<63 - 1} {
			r.manager.Received(w.info(), sealed("r1", source, 3, metric.NewSecond(index)))
		}
		stranger := metric.Source{Worker: "a", Incarnation: 99}
		r.manager.Received(w.info(), sealed("r1", stranger, 1, metric.NewSecond(1)))
		r.manager.Received(w.info(), wire.Sealed{Run: "r1", Incarnation: 10, Seq: 3, Data: []byte("garbage")})
		flipped := sealed("r1", source, 3, metric.NewSecond(2))
		flipped.Data[len(flipped.Data)/2] ^= 1
		r.manager.Received(w.info(), flipped)
		time.Sleep(100 * time.Millisecond)
		w.mu.Lock()
		nacks := slices.Clone(w.nacks)
		w.mu.Unlock()
		if len(nacks) != 7 || !strings.Contains(nacks[6].Message, "wrong checksum") {
			t.Errorf("%d of 7 batches refused, the last one because of its checksum: %+v", len(nacks), nacks)
		}
		for _, n := range nacks {
			if n.Reason != wire.NackCorrupt {
				t.Errorf("nack %+v", n)
			}
		}
		rec, d := r.ended2("r1")
		if d.Load.Sent != 1000 || rec.Verdict.Result != run.Pass || len(d.Timeline.Points) > 12 {
			t.Errorf("%d sent, %+v, %d points", d.Load.Sent, rec.Verdict, len(d.Timeline.Points))
		}
	})
}

// TestDuplicateAndGap: a batch counts once, and one that is out of turn is asked for.
func TestDuplicateAndGap(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3500*time.Millisecond)
		source := metric.Source{Worker: "a", Incarnation: 10}
		fat := metric.NewSecond(1)
		fat.Arrivals[metric.ArrivalKey{Phase: "hold", Flow: "buy"}] = &metric.Arrivals{Planned: 7, Sent: 7, Succeeded: 7}
		r.manager.Received(w.info(), sealed("r1", source, 2, fat))
		r.manager.Received(w.info(), sealed("r1", source, 9, fat))
		time.Sleep(100 * time.Millisecond)
		w.mu.Lock()
		if len(w.nacks) != 1 || w.nacks[0].Reason != wire.NackGap || w.nacks[0].Want != 4 {
			t.Errorf("nacks %+v", w.nacks)
		}
		w.mu.Unlock()
		_, d := r.ended2("r1")
		if d.Load.Planned != 1000 || d.Integrity.DuplicatesDiscarded != 1 {
			t.Errorf("%d planned, %d duplicates", d.Load.Planned, d.Integrity.DuplicatesDiscarded)
		}
	})
}

// TestInFlightOfTheLost: what a worker that was given up had in flight is in flight no more, whatever it still
// brings; and while it is only silent, the live view says whose part is missing.
func TestInFlightOfTheLost(t *testing.T) {
	bubble(t, strings.Replace(shop, "for: 10s", "for: 30s", 1), func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		b.mu.Lock()
		b.busy = 7
		b.mu.Unlock()
		r.create("r1", 0)
		r.load("r1", 3500*time.Millisecond)
		live := func() *wire.Progress {
			v, err := r.manager.Live("r1")
			if err != nil {
				t.Fatal(err)
			}
			return v.Progress
		}
		if p := live(); p.Load.InFlight != 7 || p.Validity != "VALID" {
			t.Errorf("at first %d in flight, %s %v", p.Load.InFlight, p.Validity, p.Causes)
		}
		b.die(false)
		r.load("r1", 6300*time.Millisecond)
		if p := live(); p.Validity != "INVALID" || !slices.Contains(p.Causes, "missing: b") {
			t.Errorf("with a silent worker %s %v", p.Validity, p.Causes)
		}
		r.load("r1", 20*time.Second)
		if p := live(); p.Load.InFlight != 0 || p.Validity != "VALID" {
			t.Errorf("long after it was given up %d in flight, %s %v", p.Load.InFlight, p.Validity, p.Causes)
		}
	})
}

// TestSecondsOfOthersAreExcused: a worker that was cut off calls its seconds INVALID for want of a lease, until
// it hears that its shards are others'. From when they were, that says nothing of the run.
func TestSecondsOfOthersAreExcused(t *testing.T) {
	bubble(t, strings.Replace(shop, "for: 10s", "for: 30s", 1), func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 4500*time.Millisecond)
		b.die(false)
		r.load("r1", 20*time.Second)
		for seq, second := range []int64{4, 5, 6, 7, 8, 9, 10, 11, 12} {
			s := metric.NewSecond(second)
			s.Health, s.Causes = metric.HealthInvalid, []string{"no_lease"}
			r.manager.Received(b.info(), sealedUntil(4500*time.Millisecond, "r1", metric.Source{Worker: "b", Incarnation: 11}, uint64(seq)+5, s))
		}
		_, d := r.ended2("r1")
		accounted(t, d, 3000)
		if g := d.Integrity.Generator; g.Causes["no_lease"].Invalid != 5 {
			t.Errorf("causes %v, want no lease in the seconds 4 to 8: its heirs had its shards from 8 s and some on", g.Causes)
		}
		for _, p := range d.Timeline.Points {
			if p.AtS >= 9 && p.AtS < 30 && p.Validity != report.Valid {
				t.Errorf("second %v is %s", p.AtS, p.Validity)
			}
		}
	})
}
