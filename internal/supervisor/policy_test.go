package supervisor

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
)

// TestLossPolicy: under `abort` one lost worker of three ends the run, and under the others one never does. Those
// take over from as many as max_lost bears, to the very share, and one more ends the run although a worker lives.
func TestLossPolicy(t *testing.T) {
	for _, row := range []struct {
		policy string
		lost   []string // of a, b and c, all at once
		ends   string   // reason; empty: it does not
	}{
		{"{policy: abort}", []string{"c"}, "1 of 3 workers lost"},
		{"{policy: redistribute}", []string{"c"}, ""},
		{"{policy: shed}", []string{"c"}, ""},
		{"{policy: abort, max_lost: 100%}", []string{"c"}, "1 of 3 workers lost"},
		{"{policy: redistribute, max_lost: 50%}", []string{"b", "c"}, "2 of 3 workers lost"},
		{"{policy: shed, max_lost: 50%}", []string{"b", "c"}, "2 of 3 workers lost"},
		{"{policy: redistribute, max_lost: 70%}", []string{"b", "c"}, ""},
		{"{policy: redistribute, max_lost: 10%}", []string{"c"}, ""}, // one may always be lost
	} {
		t.Run(fmt.Sprintf("%s, %d lost", row.policy, len(row.lost)), func(t *testing.T) {
			bubble(t, shop+"worker_loss: "+row.policy+"\nvalidity: {sent: 1%, completeness: 1%}\n", func(r *rig) {
				for i, name := range []string{"a", "b", "c"} {
					r.fleet.join(name, int64(10+i))
				}
				r.create("r1", 0)
				r.load("r1", 4500*time.Millisecond)
				for _, name := range row.lost {
					r.fleet.get(name).die(false)
				}
				rec, d := r.ended2("r1")
				want, kind := run.Completed, run.StopCompleted
				if row.ends != "" {
					want, kind = run.Failed, run.StopWorkerLoss
				}
				if rec.State != want || rec.Stop == nil || rec.Stop.Kind != kind {
					t.Fatalf("%s (%s), stop %+v; want %s, %s", rec.State, rec.Reason, rec.Stop, want, kind)
				}
				if row.ends == "" {
					accounted(t, d, 1000)
					return
				}
				wantReason(t, rec.Reason, row.ends)
				if rec.Verdict.Result != run.Invalid || rec.Verdict.StoppedBy != "worker_loss" || rec.Elapsed >= 10*time.Second {
					t.Errorf("%+v after %v", rec.Verdict, rec.Elapsed)
				}
			})
		})
	}
}

// TestLossesAddUp: workers that are lost one after the other count together, though each of them is only one.
func TestLossesAddUp(t *testing.T) {
	bubble(t, shop+"worker_loss: {max_lost: 50%}\n", func(r *rig) {
		for i, name := range []string{"a", "b", "c"} {
			r.fleet.join(name, int64(10+i))
		}
		r.create("r1", 0)
		r.load("r1", 2500*time.Millisecond)
		r.fleet.get("c").die(true)
		r.load("r1", 6*time.Second)
		if rec := r.record("r1"); rec.State != run.Running {
			t.Fatalf("%s (%s) after the first loss", rec.State, rec.Reason)
		}
		r.fleet.get("b").die(true)
		rec, _ := r.ended2("r1")
		if rec.State != run.Failed || rec.Stop.Kind != run.StopWorkerLoss {
			t.Errorf("%s, stop %+v", rec.State, rec.Stop)
		}
		wantReason(t, rec.Reason, "2 of 3 workers lost")
	})
}

// TestSharesFollowCapacity: of two workers of which one has twice the capacity, that one is given two thirds of the
// positions of the ring, but for the rounding of one, and fires what is due there, to the unit. As the first arrivals
// of a ring are spread over it as evenly as bits reversed are, that is two thirds of the arrivals, but for one for
// each bit of their number.
func TestSharesFollowCapacity(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		const planned = 1000
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		b.mu.Lock()
		b.capacity = 2
		b.mu.Unlock()
		r.create("r1", 0)
		r.load("r1", time.Second)
		owners := r.record("r1").Shards.Owners
		_, d := r.ended2("r1")
		accounted(t, d, planned)
		if len(owners) != 2 || len(d.Integrity.Workers) != 2 {
			t.Fatalf("owners %+v, workers %+v; want a and b", owners, d.Integrity.Workers)
		}
		for i, part := range []float64{1. / 3, 2. / 3} {
			o, w := owners[i], d.Integrity.Workers[i]
			if got, want := float64(o.Positions()), run.Positions*part; math.Abs(got-want) > 1 {
				t.Errorf("%s owns %v positions, want %v", o.Member.Worker, got, want)
			}
			var due int64
			for n := range planned {
				at := schedule.Residue(n) // the position of arrival n
				if slices.ContainsFunc(o.Ranges, func(g run.Range) bool { return g.From <= at && at < g.To }) {
					due++
				}
			}
			if w.ID != o.Member.Worker || w.Samples != due || math.Abs(float64(due)-planned*part) > float64(bits.Len(planned)) {
				t.Errorf("%s sent %d, of %d that were due at the positions of %s; its part is %.1f", w.ID, w.Samples, due, o.Member.Worker, planned*part)
			}
		}
	})
}
