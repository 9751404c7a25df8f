package load

import (
	"context"
	"fmt"
	"iter"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// TestMain looks for goroutines left behind, or makes this program a client for BenchmarkBesideWrk.
func TestMain(m *testing.M) {
	if url := os.Getenv(loadChild); url != "" {
		if err := runLoadChild(url, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// simClock is run time in a synctest bubble.
type simClock struct{ t0 time.Time }

func (c simClock) Now() time.Duration { return time.Since(c.t0) }

func (c simClock) Both() (time.Duration, time.Time) {
	now := time.Now()
	return now.Sub(c.t0), now
}

// fakeProgram stands in for the flows.
type fakeProgram struct {
	AdmitFn func(j *job) bool
	RunFn   func(ctx context.Context, j *job) bool
	TrimFn  func(r *runner)
	LeaveFn func(user int64)
}

func (f *fakeProgram) leave(_ *phase, user int64) {
	if f.LeaveFn != nil {
		f.LeaveFn(user)
	}
}

func (f *fakeProgram) leaveAll(p *phase, users iter.Seq[int64]) {
	for user := range users {
		f.leave(p, user)
	}
}

func (f *fakeProgram) trim(r *runner) {
	if f.TrimFn != nil {
		f.TrimFn(r)
	}
}

func (f *fakeProgram) plain(string) string { return "" }

func (f *fakeProgram) send(context.Context, *runner) bool { return false }

func (f *fakeProgram) receive(*runner) (done, ok bool, ended time.Duration) { return false, false, 0 }

func (f *fakeProgram) finish(*runner) (ok bool, ended time.Duration) { return false, 0 }

func (f *fakeProgram) admit(r *runner) bool { return f.AdmitFn == nil || f.AdmitFn(&r.job) }

func (f *fakeProgram) run(ctx context.Context, r *runner) bool {
	return f.RunFn == nil || f.RunFn(ctx, &r.job)
}

// segments builds a profile from {from, to, seconds}.
func segments(parts ...[3]float64) []scenario.Segment {
	var out []scenario.Segment
	var start time.Duration
	before := 0.0
	for _, p := range parts {
		s := scenario.Segment{From: p[0], To: p[1], Start: start, For: time.Duration(p[2] * float64(time.Second)), Before: before}
		s.Through = before + (p[0]+p[1])/2*p[2]
		start, before = start+s.For, s.Through
		out = append(out, s)
	}
	return out
}

func openPhase(name string, parts ...[3]float64) scenario.Phase {
	return scenario.Phase{
		Name: name, Mix: []scenario.Weight{{Flow: "f", Weight: 1}}, Late: 50 * time.Millisecond,
		MaxInFlight: 1000, Rate: segments(parts...),
	}
}

func usersPhase(name string, parts ...[3]float64) scenario.Phase {
	return scenario.Phase{Name: name, Mix: []scenario.Weight{{Flow: "f", Weight: 1}}, Users: segments(parts...)}
}

func planOf(phases ...scenario.Phase) *scenario.Plan {
	return &scenario.Plan{
		Format: scenario.PlanFormat, Seed: 7, Flows: map[string]scenario.Flow{"f": {}}, Phases: phases,
		Validity: scenario.Validity{ScheduleLagP99: 5 * time.Millisecond, WorkerCPU: 0.9, Sent: 0.995},
	}
}

var allRanges = []schedule.Range{{From: 0, To: scenario.Shards}}

// stallWaiter can make the pacer stand still, as a machine without a free core does.
type stallWaiter struct {
	*TimerWaiter
	extra chan time.Duration
}

func (w *stallWaiter) Wait(d time.Duration) {
	w.TimerWaiter.Wait(d)
	select {
	case d := <-w.extra:
		time.Sleep(d)
	default:
	}
}

// rig is one engine under a simulated clock, started at T0.
type rig struct {
	*Engine
	t      *testing.T
	clock  simClock
	cancel context.CancelFunc
	wg     sync.WaitGroup
	sum    metric.Second // of what was sealed
	sealed int64
	waits  *stallWaiter
}

// stall makes the pacer stand still for d, from now on.
func (r *rig) stall(d time.Duration) {
	r.waits.extra <- d
	r.waits.Wake()
}

func newRig(t *testing.T, plan *scenario.Plan, p *fakeProgram, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, clock: simClock{time.Now()}, sum: metric.NewSecond(0), waits: &stallWaiter{NewTimerWaiter(), make(chan time.Duration, 1)}}
	opts := Options{
		Plan: plan, Worker: "w", Clock: r.clock, Logger: hclog.NewNullLogger(),
		NewWaiter: func() (Waiter, error) { return r.waits, nil },
	}
	for _, f := range change {
		f(&opts)
	}
	e, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	e.program, e.prepared = p, true
	r.Engine = e
	return r
}

// unobserved leaves what this machine is doing out of the engine's judgement of itself.
func (r *rig) unobserved() { r.check.sample[0].Name = "/none" }

// run starts the engine; the first State owns everything unless it was applied before.
func (r *rig) run() {
	r.Apply(State{Revision: 1, Ranges: allRanges})
	r.SetLease(never)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			r.t.Error(err)
		}
	})
}

// seal seals every second through the present one.
func (r *rig) seal() {
	for last := second(r.clock.Now()); r.sealed <= last; r.sealed++ {
		r.sum.Merge(r.Seal(r.sealed))
	}
}

// wait lets the engine end and returns what it counted.
func (r *rig) wait() metric.Arrivals {
	r.wg.Wait()
	r.cancel()
	r.seal()
	var all metric.Arrivals
	for _, a := range r.sum.Arrivals {
		all.Merge(*a)
	}
	var not int64
	for _, n := range all.NotSent {
		not += n
	}
	if all.Planned != all.Sent+not {
		r.t.Errorf("planned %d, sent %d + not sent %v", all.Planned, all.Sent, all.NotSent)
	}
	if all.Sent != all.Succeeded+all.Failed {
		r.t.Errorf("sent %d, succeeded %d + failed %d", all.Sent, all.Succeeded, all.Failed)
	}
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
	return all
}

// want compares counts; causes are pairs of cause and number.
func want(t *testing.T, got metric.Arrivals, planned, sent int64, not map[metric.Cause]int64) {
	t.Helper()
	if got.Planned != planned || got.Sent != sent {
		t.Errorf("planned %d, sent %d, not sent %v; want %d, %d, %v", got.Planned, got.Sent, got.NotSent, planned, sent, not)
	}
	for cause, n := range not {
		if got.NotSent[cause] != n {
			t.Errorf("not sent for %s: %d, want %d", cause, got.NotSent[cause], n)
		}
	}
}

func simulate(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestOpenLoad(t *testing.T) {
	simulate(t, "starts each arrival at its instant", func(t *testing.T) {
		var mu sync.Mutex
		var lags []time.Duration
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 10})), nil)
		r.program = &fakeProgram{RunFn: func(_ context.Context, j *job) bool {
			mu.Lock()
			defer mu.Unlock()
			lags = append(lags, j.started-j.intended)
			return j.row%10 != 0
		}}
		r.run()
		got := r.wait()
		want(t, got, 1000, 1000, nil)
		if got.Failed != 100 {
			t.Errorf("failed %d, want 100", got.Failed)
		}
		for _, lag := range lags {
			if lag < 0 || lag > shortestWait {
				t.Fatalf("lag %v", lag)
			}
		}
		if end := r.clock.Now(); end < 10*time.Second || end > 10*time.Second+longestWait {
			t.Errorf("ended at %v", end)
		}
		if h := r.sum.Select(metric.ScheduleLag, func(metric.Labels) bool { return true }); h.Count() != 1000 {
			t.Errorf("%d samples of schedule lag", h.Count())
		}
		if h := r.sum.Select(metric.Iterations, func(l metric.Labels) bool { return l.Get("outcome") == "failed" }); h.Count() != 100 {
			t.Errorf("%d failed iterations", h.Count())
		}
	})
	simulate(t, "pause and scale", func(t *testing.T) {
		r := newRig(t, planOf(openPhase("p", [3]float64{100, 100, 10})), &fakeProgram{})
		r.run()
		time.Sleep(1500 * time.Millisecond)
		h := run.History{{Kind: run.ChangePause, At: 2 * time.Second}, {Kind: run.ChangeResume, At: 12 * time.Second}, {Kind: run.ChangeScale, At: 15 * time.Second, Factor: 2}}
		r.Apply(State{Revision: 2, Ranges: allRanges, History: h})
		time.Sleep(5 * time.Second)
		r.seal()
		if n := r.sum.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}].Planned; n != 200 {
			t.Errorf("planned %d during the pause, want 200", n)
		}
		want(t, r.wait(), 200+300+2*500, 1500, nil)
		if r.clock.Now() < 20*time.Second {
			t.Error("the pause was not added to the end")
		}
	})
	simulate(t, "phases one after the other", func(t *testing.T) {
		next := openPhase("next", [3]float64{10, 10, 2})
		next.After = "first"
		beside := openPhase("beside", [3]float64{10, 10, 3})
		beside.With = "next"
		late := openPhase("late", [3]float64{10, 10, 1})
		late.At = 4 * time.Second
		r := newRig(t, planOf(openPhase("first", [3]float64{10, 10, 1}), next, beside, late), &fakeProgram{})
		r.run()
		time.Sleep(2 * time.Second)
		st := r.Status()
		if !st.Phases[0].Drained || st.Phases[1].Started || st.Phases[2].Started {
			t.Errorf("status %+v", st)
		}
		r.Apply(State{Revision: 2, Ranges: allRanges, History: run.History{{Kind: run.ChangePhaseStart, Phase: "next", At: 3 * time.Second}}})
		time.Sleep(1500 * time.Millisecond)
		if st = r.Status(); !st.Phases[1].Started || st.Phases[3].Started {
			t.Errorf("status %+v", st)
		}
		want(t, r.wait(), 10+20+30+10, 70, nil)
	})
}
