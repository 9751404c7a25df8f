package load

import (
	"context"
	"testing"
	"time"

	"proofload/internal/metric"
)

func TestNotSent(t *testing.T) {
	slow := &fakeProgram{RunFn: func(ctx context.Context, _ *job) bool {
		select {
		case <-time.After(2 * time.Second):
			return true
		case <-ctx.Done():
			return false
		}
	}}
	tests := []struct {
		name  string
		state State
		cause metric.Cause
	}{
		{"the whole cap is this worker's", State{Revision: 1, Ranges: allRanges}, metric.CauseMaxInFlight},
		{"the share of the cap", State{Revision: 1, Ranges: allRanges, Permits: map[string]int64{"p": 10}}, metric.CauseCapShare},
	}
	for _, tt := range tests {
		simulate(t, tt.name, func(t *testing.T) {
			p := openPhase("p", [3]float64{100, 100, 1})
			p.MaxInFlight = 20
			if tt.state.Permits == nil {
				p.MaxInFlight = 10
			}
			r := newRig(t, planOf(p), slow)
			r.unobserved()
			r.Apply(tt.state)
			r.run()
			time.Sleep(1500 * time.Millisecond)
			s := r.Seal(0)
			r.sum.Merge(s)
			r.sealed = 1
			want(t, r.wait(), 100, 10, map[metric.Cause]int64{metric.CauseNoPermit: 90})
			if s.Health != metric.HealthValid {
				t.Errorf("the worker itself calls it %v %v", s.Health, s.Causes)
			}
			s.Charge(chargingOf(p))
			if n := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}].NotSent[tt.cause]; n != 90 {
				t.Errorf("%d charged as %s, want 90", n, tt.cause)
			}
			if valid := tt.cause == metric.CauseMaxInFlight; valid != (s.Health != metric.HealthInvalid) {
				t.Errorf("health %v for %s", s.Health, tt.cause)
			}
		})
	}
	simulate(t, "outbox full", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 3})), &fakeProgram{})
		r.run()
		time.Sleep(995 * time.Millisecond)
		r.Hold(metric.CauseOutboxFull)
		time.Sleep(time.Second)
		r.Hold("")
		want(t, r.wait(), 300, 200, map[metric.Cause]int64{metric.CauseOutboxFull: 100})
	})
	simulate(t, "late arrivals are given up", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 3})), &fakeProgram{})
		r.run()
		time.Sleep(995 * time.Millisecond)
		r.stall(time.Second)
		want(t, r.wait(), 300, 205, map[metric.Cause]int64{metric.CauseLate: 95})
	})
	simulate(t, "no data left ends the phase", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 3})), &fakeProgram{AdmitFn: func(j *job) bool { return j.row < 150 }})
		r.run()
		want(t, r.wait(), 151, 150, map[metric.Cause]int64{metric.CauseData: 1})
	})
	simulate(t, "nothing starts after the lease", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 4})), &fakeProgram{})
		r.run()
		r.SetLease(time.Second)
		time.Sleep(2005 * time.Millisecond)
		if c := r.Status().Covered; c > time.Second {
			t.Errorf("covered %v without a lease", c)
		}
		r.SetLease(never)
		want(t, r.wait(), 400, 100+5+199, map[metric.Cause]int64{metric.CauseNoLease: 96, metric.CauseLate: 0})
	})
	simulate(t, "a phase that ends without a lease waits for the next one", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("a", [3]float64{10, 10, 2}), openPhase("b", [3]float64{10, 10, 5})), &fakeProgram{})
		r.run()
		r.SetLease(1500 * time.Millisecond)
		time.Sleep(2995 * time.Millisecond)
		if s := r.Status(); s.Phases[0].Ended || s.Covered > 1500*time.Millisecond {
			t.Errorf("without a lease: %+v", s)
		}
		r.SetLease(never)
		want(t, r.wait(), 20+50, 15+35, map[metric.Cause]int64{metric.CauseNoLease: 5 + 15, metric.CauseLate: 0})
		if c := r.Status().Covered; c < 5*time.Second {
			t.Errorf("covered %v", c)
		}
	})
	simulate(t, "a plan that ends without a lease", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 4})), &fakeProgram{})
		r.run()
		r.SetLease(time.Second)
		time.Sleep(5 * time.Second)
		r.cancel()
		want(t, r.wait(), 100, 100, nil)
		if c := r.Status().Covered; c > time.Second {
			t.Errorf("covered %v without a lease", c)
		}
	})
}

func TestStop(t *testing.T) {
	simulate(t, "halt waits for what is in flight", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 100})), &fakeProgram{RunFn: func(context.Context, *job) bool {
			time.Sleep(3 * time.Second)
			return true
		}})
		r.run()
		time.Sleep(1005 * time.Millisecond)
		r.Apply(State{Revision: 2, Ranges: allRanges, Halt: true})
		got := r.wait()
		want(t, got, 101, 101, nil)
		if got.Failed != 0 {
			t.Errorf("%d failed", got.Failed)
		}
	})
	simulate(t, "the end of the context cuts what does not end", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 100})), &fakeProgram{RunFn: func(ctx context.Context, j *job) bool {
			if j.row%2 == 0 {
				return true
			}
			<-ctx.Done()
			return false
		}}, func(o *Options) { o.Drain = 2 * time.Second })
		r.run()
		time.Sleep(1005 * time.Millisecond)
		r.cancel()
		got := r.wait()
		want(t, got, 101, 101, nil)
		if got.Failed != 50 {
			t.Errorf("%d failed, want 50", got.Failed)
		}
		if d := r.clock.Now(); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("ended at %v", d)
		}
	})
	simulate(t, "what was due is counted as stopped", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 100})), &fakeProgram{})
		r.run()
		time.Sleep(995 * time.Millisecond)
		r.stall(40 * time.Millisecond)
		time.Sleep(time.Millisecond)
		r.cancel()
		want(t, r.wait(), 104, 100, map[metric.Cause]int64{metric.CauseStopped: 4})
	})
}
