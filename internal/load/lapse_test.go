package load

import (
	"slices"
	"testing"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// TestNoLease: what was due while no leader could be reached has a cause of its own, which is not that of a
// machine that is too slow, and no second in which nothing could be started is valid.
func TestNoLease(t *testing.T) {
	half := []schedule.Range{{From: 0, To: scenario.Shards / 2}}
	for _, tt := range []struct {
		name    string
		state   State
		act     func(r *rig)
		planned int64
		sent    int64
		not     map[metric.Cause]int64
		lapsed  []int64 // seconds
	}{
		{"two seconds and a half", State{Revision: 1, Ranges: allRanges}, func(r *rig) {
			r.SetLease(1500 * time.Millisecond)
			time.Sleep(4005 * time.Millisecond)
			r.SetLease(never)
		}, 800, 150 + 5 + 399, map[metric.Cause]int64{metric.CauseNoLease: 246, metric.CauseLate: 0}, []int64{1, 2, 3, 4}},
		{"renewed in time", State{Revision: 1, Ranges: allRanges}, func(r *rig) {
			r.SetLease(1500 * time.Millisecond)
			time.Sleep(1400 * time.Millisecond)
			r.SetLease(never)
		}, 800, 800, nil, nil},
		{"a machine that stands still before", State{Revision: 1, Ranges: allRanges}, func(r *rig) {
			time.Sleep(995 * time.Millisecond)
			r.SetLease(1800 * time.Millisecond)
			r.stall(1500 * time.Millisecond)
			time.Sleep(1210 * time.Millisecond)
			r.SetLease(never)
		}, 800, 100 + 5 + 550, map[metric.Cause]int64{metric.CauseLate: 75 + 25, metric.CauseNoLease: 45}, []int64{1, 2}},
		{"a pause", State{Revision: 1, Ranges: allRanges, History: run.History{{Kind: run.ChangePause, At: 2 * time.Second}, {Kind: run.ChangeResume, At: 4 * time.Second}}}, func(r *rig) {
			r.SetLease(1500 * time.Millisecond)
			time.Sleep(4005 * time.Millisecond)
			r.SetLease(never)
		}, 800, 150 + 600, map[metric.Cause]int64{metric.CauseNoLease: 50}, []int64{1, 2, 3, 4}},
		{"what is no longer its own", State{Revision: 1, Ranges: half}, func(r *rig) {
			time.Sleep(500 * time.Millisecond)
			r.Apply(State{Revision: 2, Ranges: []schedule.Range{{From: 0, To: scenario.Shards / 2, Until: 2 * time.Second}}, Permits: map[string]int64{"p": 1000}})
			r.SetLease(2 * time.Second)
			time.Sleep(7 * time.Second)
			r.SetLease(never)
		}, 100, 100, nil, nil},
		{"nothing was due any more", State{Revision: 1, Ranges: allRanges}, func(r *rig) {
			r.SetLease(8500 * time.Millisecond)
			time.Sleep(9 * time.Second)
			r.SetLease(never)
		}, 800, 800, nil, nil},
	} {
		simulate(t, tt.name, func(t *testing.T) {
			r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 8})), &fakeProgram{})
			r.unobserved()
			r.Apply(tt.state)
			r.run()
			tt.act(r)
			r.wg.Wait()
			var lapsed []int64
			for ; r.sealed <= second(r.clock.Now()); r.sealed++ {
				s := r.Seal(r.sealed)
				r.sum.Merge(s)
				if slices.Contains(s.Causes, CauseNoLease) {
					lapsed = append(lapsed, r.sealed)
				}
			}
			want(t, r.wait(), tt.planned, tt.sent, tt.not)
			if !slices.Equal(lapsed, tt.lapsed) {
				t.Errorf("no lease in the seconds %v, want %v", lapsed, tt.lapsed)
			}
		})
	}
}

// TestStopOfWhatWasTakenAway: an engine that stood still, and hears when it goes on that its shards are others' and
// that it shall stop, has executed nothing of the time between, whatever lease comes with that.
func TestStopOfWhatWasTakenAway(t *testing.T) {
	simulate(t, "", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 8})), &fakeProgram{})
		r.unobserved()
		r.Apply(State{Revision: 1, Ranges: allRanges})
		r.run()
		r.SetLease(1500 * time.Millisecond)
		time.Sleep(4 * time.Second)
		r.mu.Lock() // all of it comes between two passes
		r.ranges, r.halted, r.lease = nil, true, never
		r.mu.Unlock()
		r.wg.Wait()
		if got := r.Status().Covered; got > 1500*time.Millisecond {
			t.Errorf("it says that it has executed its part up to %v, but its lease was over at 1.5 s", got)
		}
		r.wait()
	})
}
