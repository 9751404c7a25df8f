package load

import (
	"context"
	"testing"
	"time"
)

// TestCut: what is in flight has the time for draining when a worker leaves, however long that is, and half a minute
// when the run is stopped, also when the worker was leaving before.
func TestCut(t *testing.T) {
	for _, tc := range []struct {
		name  string
		drain time.Duration
		end   func(*rig)
		want  time.Duration
	}{
		{"leaving", time.Hour, func(r *rig) { r.cancel() }, time.Hour},
		{"stopped", time.Hour, func(r *rig) { r.Apply(State{Revision: 2, Ranges: allRanges, Halt: true}) }, 31 * time.Second},
		{"stopped, with less than that", 5 * time.Second, func(r *rig) { r.Apply(State{Revision: 2, Ranges: allRanges, Halt: true}) }, 5 * time.Second},
		{"stopped while leaving", time.Hour, func(r *rig) {
			r.cancel()
			time.Sleep(time.Minute)
			r.Apply(State{Revision: 2, Ranges: allRanges, Halt: true})
		}, 91 * time.Second},
	} {
		simulate(t, tc.name, func(t *testing.T) {
			program := &fakeProgram{RunFn: func(ctx context.Context, _ *job) bool {
				<-ctx.Done()
				return false
			}}
			r := newRig(t, planOf(usersPhase("p", [3]float64{3, 3, 7200})), program, func(o *Options) { o.Drain = tc.drain })
			r.run()
			time.Sleep(10 * time.Second)
			began := time.Now()
			tc.end(r)
			r.wait()
			if took := time.Since(began); took < tc.want || took > tc.want+longestWait*2 {
				t.Errorf("cut after %v, want %v", took, tc.want)
			}
		})
	}
}
