package supervisor

import (
	"testing"

	"proofload/internal/run"
)

// TestCut: the pieces follow each other and are all there is, whatever the capacities.
func TestCut(t *testing.T) {
	for _, row := range []struct {
		capacities []float64
		want       []piece
	}{
		{[]float64{1, 1}, []piece{{0, 5}, {5, 10}}},
		{[]float64{3, 1}, []piece{{0, 8}, {8, 10}}},
		{[]float64{1, 0.001}, []piece{{0, 10}, {10, 10}}},
		{[]float64{0, 1}, []piece{{0, 0}, {0, 10}}},
		{[]float64{0, 0}, []piece{{0, 5}, {5, 10}}},
	} {
		var shares []share
		for _, c := range row.capacities {
			shares = append(shares, share{capacity: c})
		}
		for i, got := range cut(shares, 10) {
			if got != row.want[i] {
				t.Errorf("capacities %v: piece %d is %v, want %v", row.capacities, i, got, row.want[i])
			}
		}
	}
}

// TestWorkerTooSmallForAPart: one whose share of the ring rounds to nothing is no part of the run and
// does not keep it from passing.
func TestWorkerTooSmallForAPart(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.fleet.join("b", 11).capacity = 1e-6
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Pass || len(d.Integrity.Workers) != 1 || len(d.Integrity.Gaps) != 0 {
			t.Errorf("%+v, integrity %+v", rec.Verdict, d.Integrity)
		}
		if w := r.fleet.get("b"); len(w.nacks) != 0 {
			t.Errorf("told %+v", w.nacks)
		}
	})
}
