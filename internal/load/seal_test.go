package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
)

func TestSeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{10, 10, 3})), &fakeProgram{RunFn: func(context.Context, *job) bool {
			time.Sleep(1500 * time.Millisecond)
			return true
		}})
		r.run()
		r.Apply(State{Revision: 2, Ranges: allRanges, History: run.History{
			{Kind: run.ChangePause, At: 3250 * time.Millisecond}, {Kind: run.ChangeResume, At: 3500 * time.Millisecond},
		}})
		key := metric.ArrivalKey{Phase: "p", Flow: "f"}
		tests := []struct {
			planned, sent, succeeded, inFlight int64
			oldest                             time.Duration
		}{
			{10, 10, 0, 10, time.Second},
			{10, 10, 5, 15, 1500 * time.Millisecond},
			{10, 10, 10, 15, 1500 * time.Millisecond},
		}
		for i, tt := range tests {
			time.Sleep(time.Duration(i+1)*time.Second + 30*time.Millisecond - r.clock.Now())
			s := r.Seal(int64(i))
			a := s.Arrivals[key]
			if a.Planned != tt.planned || a.Sent != tt.sent || a.Succeeded != tt.succeeded || a.InFlight != tt.inFlight {
				t.Errorf("second %d: %+v, want %+v", i, *a, tt)
			}
			if a.Oldest[""] < tt.oldest-100*time.Millisecond || a.Oldest[""] > tt.oldest {
				t.Errorf("second %d: oldest %v, want %v", i, a.Oldest, tt.oldest)
			}
			if s.Health != metric.HealthValid && len(s.Causes) == 0 {
				t.Errorf("second %d: %v without a cause", i, s.Health)
			}
		}
		time.Sleep(3 * time.Second)
		s := r.Seal(3)
		if s.Paused != 250*time.Millisecond || s.Arrivals[key].InFlight != 5 {
			t.Errorf("paused %v, in flight %d, want 250ms and 5", s.Paused, s.Arrivals[key].InFlight)
		}
		if s = r.Seal(5); s.Arrivals[key].InFlight != 0 {
			t.Errorf("in flight %d at the end", s.Arrivals[key].InFlight)
		}
		r.wg.Wait()
		r.cancel()
		if st := r.Status(); !st.Finished || !st.Phases[0].Drained {
			t.Errorf("status %+v", st)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestRunMisused(t *testing.T) {
	r := newRig(t, planOf(openPhase("p", [3]float64{0, 0, 0.001})), &fakeProgram{})
	defer func() { _ = r.Close() }()
	r.Apply(State{Revision: 1})
	r.SetLease(never)
	r.prepared = false
	if err := r.Run(context.Background()); err == nil {
		t.Error("an engine that is not prepared was run")
	}
	r.prepared = true
	if err := r.Run(context.Background()); err != nil {
		t.Error(err)
	}
	if err := r.Run(context.Background()); err == nil {
		t.Error("an engine was run twice")
	}
}

func TestNewRefuses(t *testing.T) {
	plan := planOf(openPhase("p", [3]float64{1, 1, 1}))
	plan.Phases[0].Mix[0].Flow = "absent"
	if _, err := New(Options{Plan: plan}); err == nil {
		t.Error("accepted without clock, logger and flow")
	}
	if _, err := New(Options{}); err == nil {
		t.Error("accepted without a plan")
	}
}
