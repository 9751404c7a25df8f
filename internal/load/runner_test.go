package load

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/scenario"
)

// TestIdleRunnersAreTrimmed: of the runners that a burst has left, only those that will be used next keep
// their buffers.
func TestIdleRunnersAreTrimmed(t *testing.T) {
	simulate(t, "a burst", func(t *testing.T) {
		var trimmed atomic.Int64
		r := newRig(t, planOf(openPhase("p", [3]float64{200, 200, 1}, [3]float64{0, 0, 5})), &fakeProgram{
			RunFn:  func(context.Context, *job) bool { time.Sleep(2 * time.Second); return true },
			TrimFn: func(*runner) { trimmed.Add(1) },
		})
		r.run()
		time.Sleep(4 * time.Second)
		if n := int64(200 - len(r.lanes)); trimmed.Load() != n {
			t.Errorf("%d of 200 runners are trimmed, want %d", trimmed.Load(), n)
		}
		r.wait()
	})
}

// TestSharesNobodyTold: engines that have not heard how a cap is divided stay within it together.
func TestSharesNobodyTold(t *testing.T) {
	for _, limit := range []int64{1, 2, 3, 100} {
		p := openPhase("p", [3]float64{1, 1, 1})
		p.MaxInFlight = limit
		var sum int64
		for i := range 3 {
			r := newRig(t, planOf(p), &fakeProgram{})
			r.Apply(State{Revision: 1, Ranges: thirdOf(i)})
			sum += r.phases[0].permits
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if sum > limit || sum < limit-2 {
			t.Errorf("three engines take %d of %d", sum, limit)
		}
	}
}

// TestMaxIdle: no phase has to open connections because another has taken the places of its own.
func TestMaxIdle(t *testing.T) {
	big, other := openPhase("big", [3]float64{1, 1, 1}), openPhase("other", [3]float64{1, 1, 1})
	big.MaxInFlight, other.MaxInFlight = 30_000, 5_000
	for _, tt := range []struct {
		phases []scenario.Phase
		want   int
	}{
		{nil, scenario.DefaultMaxInFlight},
		{[]scenario.Phase{big}, 30_000},
		{[]scenario.Phase{big, other, usersPhase("users", [3]float64{0, 2.5, 1}, [3]float64{2.5, 1, 1})}, 35_003},
	} {
		if got := maxIdle(planOf(tt.phases...)); got != tt.want {
			t.Errorf("%d phases: %d, want %d", len(tt.phases), got, tt.want)
		}
	}
}
