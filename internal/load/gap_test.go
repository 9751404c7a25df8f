package load

import (
	"math"
	"testing"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// TestArrivalGaps: the deviation of the gaps tells the arrival process, whatever the rate does and
// however much of the ring a worker owns.
func TestArrivalGaps(t *testing.T) {
	for name, want := range map[string]float64{"uniform": 0, "poisson": 1} {
		for _, owned := range []int{scenario.Shards, scenario.Shards / 3, scenario.Shards / 4} {
			simulate(t, name, func(t *testing.T) {
				phase := openPhase("p", [3]float64{40, 400, 20}, [3]float64{400, 400, 20})
				phase.Arrivals = name
				r := newRig(t, planOf(phase), &fakeProgram{})
				r.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: 0, To: owned}}})
				r.run()
				all := r.wait()
				h := r.sum.Select(metric.ArrivalGap, nil)
				if int64(h.Count()) != all.Sent-1 {
					t.Errorf("%d gaps between %d arrivals", h.Count(), all.Sent)
				}
				if m := h.Mean(); math.Abs(m-1) > 0.06 {
					t.Errorf("mean gap %v of what the schedule wants", m)
				}
				if cv := h.Stddev() / h.Mean(); math.Abs(cv-want) > 0.06 {
					t.Errorf("%d of %d shards: variation %v, want %v", owned, scenario.Shards, cv, want)
				}
			})
		}
	}
}
