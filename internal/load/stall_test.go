package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

func chargingOf(p scenario.Phase) metric.Charging {
	return metric.Charging{Caps: map[string]int64{p.Name: p.MaxInFlight}, Sent: 0.995}
}

func thirdOf(i int) []schedule.Range {
	return []schedule.Range{{From: i * scenario.Shards / 3, To: (i + 1) * scenario.Shards / 3}}
}

// third is one of three engines that share a phase evenly.
func third(t *testing.T, i int, p scenario.Phase, run func(context.Context, *job) bool) *rig {
	t.Helper()
	r := newRig(t, planOf(p), &fakeProgram{RunFn: run})
	r.unobserved()
	r.Apply(State{Revision: 1, Ranges: thirdOf(i), Permits: map[string]int64{p.Name: p.MaxInFlight / 3}})
	r.run()
	return r
}

// TestThreeEnginesStall: when the target stands still, every engine of a fleet fills its part of the cap,
// and what is held back then is charged to the target from the first second on, although no engine
// knows of the others. When only one of them is slow, it is the generator's.
func TestThreeEnginesStall(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stalls func(engine int) bool
		cause  metric.Cause
		health metric.Health
	}{
		{"the target", func(int) bool { return true }, metric.CauseMaxInFlight, metric.HealthValid},
		{"one engine's way to it", func(i int) bool { return i == 0 }, metric.CauseCapShare, metric.HealthInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPhase("p", [3]float64{900, 900, 6})
				p.MaxInFlight = 300
				begin := time.Now()
				var rigs []*rig
				for i := range 3 {
					rigs = append(rigs, third(t, i, p, func(context.Context, *job) bool {
						const from, to = 2 * time.Second, 3980 * time.Millisecond
						if now := time.Since(begin); tt.stalls(i) && now > from && now < to {
							time.Sleep(to - now)
						}
						time.Sleep(10 * time.Millisecond)
						return true
					}))
				}
				synctest.Wait()
				key := metric.ArrivalKey{Phase: "p", Flow: "f"}
				for index := range int64(6) {
					time.Sleep(time.Second)
					fleet := metric.NewSecond(index)
					for _, r := range rigs {
						s := r.Seal(index)
						fleet.Merge(s)
						r.sum.Merge(s)
						r.sealed = index + 1
					}
					fleet.Charge(chargingOf(p))
					health, held := metric.HealthValid, int64(0)
					if index == 2 || index == 3 {
						health, held = tt.health, fleet.Arrivals[key].NotSent[tt.cause]
						if held == 0 {
							t.Errorf("second %d: nothing is held back", index)
						}
					}
					if all := fleet.Arrivals[key].Withheld(); all != held || fleet.Health != health {
						t.Errorf("second %d: not sent %v, %v %v, want %d and %v", index, fleet.Arrivals[key].NotSent, fleet.Health, fleet.Causes, held, health)
					}
				}
				for _, r := range rigs {
					r.wait()
				}
			})
		})
	}
}
