package load

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// taking is a program whose iterations last d; it notes how many users were at work at once.
type taking struct {
	fakeProgram
	now, most atomic.Int64
	users     sync.Map
}

func iterationsOf(d time.Duration) *taking {
	p := &taking{}
	p.RunFn = func(_ context.Context, j *job) bool {
		p.users.Store(j.user, true)
		p.most.Store(max(p.most.Load(), p.now.Add(1)))
		time.Sleep(d)
		p.now.Add(-1)
		return true
	}
	return p
}

func TestClosedLoad(t *testing.T) {
	simulate(t, "users go on one iteration after the other", func(t *testing.T) {
		p := iterationsOf(100 * time.Millisecond)
		r := newRig(t, planOf(usersPhase("p", [3]float64{5, 5, 10})), &p.fakeProgram)
		r.run()
		got := r.wait()
		want(t, got, 500, 500, nil)
		if p.most.Load() != 5 {
			t.Errorf("%d users at once, want 5", p.most.Load())
		}
	})
	simulate(t, "ramp up and down", func(t *testing.T) {
		p := iterationsOf(100 * time.Millisecond)
		r := newRig(t, planOf(usersPhase("p", [3]float64{0, 20, 10}, [3]float64{20, 0, 10})), &p.fakeProgram)
		r.run()
		time.Sleep(5 * time.Second)
		if n := p.now.Load(); n < 9 || n > 11 {
			t.Errorf("%d users after a quarter, want 10", n)
		}
		time.Sleep(10 * time.Second)
		if n := p.now.Load(); n < 9 || n > 11 {
			t.Errorf("%d users after three quarters, want 10", n)
		}
		r.wait()
		if p.most.Load() != 20 {
			t.Errorf("%d users at once, want 20", p.most.Load())
		}
	})
	simulate(t, "pace is from start to start", func(t *testing.T) {
		p := iterationsOf(300 * time.Millisecond)
		phase := usersPhase("p", [3]float64{3, 3, 10})
		phase.Pace = time.Second
		r := newRig(t, planOf(phase), &p.fakeProgram)
		r.run()
		want(t, r.wait(), 30, 30, nil)
	})
	simulate(t, "a late next start is at once, and counts from when it was intended", func(t *testing.T) {
		phase := usersPhase("p", [3]float64{1, 1, 10})
		phase.Pace = time.Second
		var worst atomic.Int64
		p := &fakeProgram{RunFn: func(_ context.Context, j *job) bool {
			worst.Store(max(worst.Load(), int64(j.started-j.intended)))
			time.Sleep(2 * time.Second)
			return true
		}}
		r := newRig(t, planOf(phase), p)
		r.run()
		want(t, r.wait(), 5, 5, nil)
		if d := time.Duration(worst.Load()); d < time.Second || d > time.Second+10*time.Millisecond {
			t.Errorf("started %v after the intended instant, want 1s", d)
		}
		lag := r.sum.Select(metric.ScheduleLag, func(metric.Labels) bool { return true })
		if lag.Max() > time.Millisecond {
			t.Errorf("schedule lag %v is charged to the engine, but the target was slow", lag.Max())
		}
	})
	simulate(t, "pause, scale and hold", func(t *testing.T) {
		p := iterationsOf(100 * time.Millisecond)
		r := newRig(t, planOf(usersPhase("p", [3]float64{10, 10, 10})), &p.fakeProgram)
		r.run()
		time.Sleep(1540 * time.Millisecond)
		h := run.History{{Kind: run.ChangePause, At: 2 * time.Second}, {Kind: run.ChangeResume, At: 4 * time.Second}, {Kind: run.ChangeScale, At: 6 * time.Second, Factor: 2}}
		r.Apply(State{Revision: 2, Ranges: allRanges, History: h})
		time.Sleep(time.Second)
		if n := p.now.Load(); n != 0 {
			t.Errorf("%d users in the pause", n)
		}
		time.Sleep(2 * time.Second)
		if n := p.now.Load(); n != 10 {
			t.Errorf("%d users after the pause, want 10", n)
		}
		time.Sleep(3 * time.Second)
		if n := p.now.Load(); n != 20 {
			t.Errorf("%d users at twice the scale, want 20", n)
		}
		r.Hold(metric.CauseOutboxFull)
		time.Sleep(time.Second)
		if n := p.now.Load(); n != 0 {
			t.Errorf("%d users although held", n)
		}
		r.Hold("")
		time.Sleep(10 * time.Millisecond)
		if n := p.now.Load(); n != 20 {
			t.Errorf("%d users after the hold, want 20", n)
		}
		r.wait()
	})
	simulate(t, "no lease, no iteration", func(t *testing.T) {
		p := iterationsOf(100 * time.Millisecond)
		r := newRig(t, planOf(usersPhase("p", [3]float64{10, 10, 10})), &p.fakeProgram)
		r.run()
		r.SetLease(2 * time.Second)
		time.Sleep(3 * time.Second)
		if n := p.now.Load(); n != 0 {
			t.Errorf("%d users without a lease", n)
		}
		r.SetLease(never)
		time.Sleep(10 * time.Millisecond)
		if n := p.now.Load(); n != 10 {
			t.Errorf("%d users with a new lease, want 10", n)
		}
		r.wait()
	})
	simulate(t, "the phase ends when no user has data left", func(t *testing.T) {
		r := newRig(t, planOf(usersPhase("p", [3]float64{0, 4, 4}, [3]float64{4, 4, 60})), &fakeProgram{
			AdmitFn: func(j *job) bool { return j.n < 2 },
			RunFn:   func(context.Context, *job) bool { time.Sleep(100 * time.Millisecond); return true },
		})
		r.run()
		want(t, r.wait(), 12, 8, map[metric.Cause]int64{metric.CauseData: 4})
		if at := r.clock.Now(); at < 3*time.Second || at > 4*time.Second {
			t.Errorf("ended at %v: the last user comes at 3 s and has 200 ms of work", at)
		}
	})
	simulate(t, "a user without data does not start", func(t *testing.T) {
		r := newRig(t, planOf(usersPhase("p", [3]float64{10, 10, 2})), &fakeProgram{
			AdmitFn: func(j *job) bool { return j.user < 4 },
			RunFn:   func(context.Context, *job) bool { time.Sleep(time.Second); return true },
		})
		r.run()
		want(t, r.wait(), 14, 8, map[metric.Cause]int64{metric.CauseData: 6})
	})
}

// TestUsersMove: a user is at work on one worker at a time, on the one that owns its shard.
func TestUsersMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const half = scenario.Shards / 2
		a, b := iterationsOf(100*time.Millisecond), iterationsOf(100*time.Millisecond)
		plan := planOf(usersPhase("p", [3]float64{40, 40, 10}))
		left, right := newRig(t, plan, &a.fakeProgram), newRig(t, plan, &b.fakeProgram)
		left.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: 0, To: half}}})
		right.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: half, To: scenario.Shards}}})
		left.run()
		right.run()
		time.Sleep(1050 * time.Millisecond)
		if a.now.Load() != 20 || b.now.Load() != 20 {
			t.Errorf("%d and %d users, want 20 each", a.now.Load(), b.now.Load())
		}
		stamp := 3 * time.Second
		left.Apply(State{Revision: 2, Ranges: []schedule.Range{{From: 0, To: half}, {From: half, To: scenario.Shards, Since: stamp}}})
		right.Apply(State{Revision: 2, Ranges: []schedule.Range{{From: half, To: scenario.Shards, Until: stamp}}})
		time.Sleep(1900 * time.Millisecond)
		if a.now.Load() != 20 || b.now.Load() != 20 {
			t.Errorf("%d and %d users before the stamp, want 20 each", a.now.Load(), b.now.Load())
		}
		time.Sleep(time.Second)
		if a.now.Load() != 40 || b.now.Load() != 0 {
			t.Errorf("%d and %d users after the stamp, want 40 and 0", a.now.Load(), b.now.Load())
		}
		left.wait()
		right.wait()
	})
}

// TestEnginesShare: three engines that hand shards to each other count together what the plan has.
func TestEnginesShare(t *testing.T) {
	for _, kind := range []string{"uniform", schedule.Poisson} {
		simulate(t, kind, func(t *testing.T) {
			p := openPhase("p", [3]float64{0, 300, 4}, [3]float64{300, 300, 6})
			p.Arrivals = kind
			plan := planOf(p)
			var mu sync.Mutex
			rows := map[int64]int{}
			program := &fakeProgram{RunFn: func(_ context.Context, j *job) bool {
				mu.Lock()
				defer mu.Unlock()
				rows[j.row]++
				return true
			}}
			cut := []int{0, 5000, 11111, scenario.Shards}
			rigs := make([]*rig, 3)
			for i := range rigs {
				rigs[i] = newRig(t, plan, program)
				rigs[i].Apply(State{Revision: 1, Ranges: []schedule.Range{{From: cut[i], To: cut[i+1]}}})
				rigs[i].run()
			}
			history := run.History{
				{Kind: run.ChangeScale, At: 3 * time.Second, Factor: 1.5},
				{Kind: run.ChangePause, At: 5 * time.Second},
				{Kind: run.ChangeResume, At: 7 * time.Second},
			}
			moved := []schedule.Range{{From: 5000, To: 9000, Since: 4 * time.Second}}
			kept := []schedule.Range{{From: 5000, To: 9000, Until: 4 * time.Second}, {From: 9000, To: 11111}}
			time.Sleep(2 * time.Second)
			rigs[0].Apply(State{Revision: 2, History: history, Ranges: append([]schedule.Range{{From: 0, To: 5000}}, moved...)})
			rigs[1].Apply(State{Revision: 2, History: history, Ranges: kept})
			rigs[2].Apply(State{Revision: 2, History: history, Ranges: []schedule.Range{{From: 11111, To: scenario.Shards}}})
			var all metric.Arrivals
			for _, r := range rigs {
				all.Merge(r.wait())
			}
			stream := schedule.NewStream(plan.Seed, &plan.Phases[0])
			stream.Set(schedule.NewCurve(p.Rate, schedule.Factors(run.NewTimeline(history), 0)), allRanges)
			var n int64
			for a, ok := stream.Next(); ok; a, ok = stream.Next() {
				n++
				if rows[a.Index()] != 1 {
					t.Fatalf("arrival %d was fired %d times", a.Index(), rows[a.Index()])
				}
			}
			want(t, all, n, n, nil)
			if len(rows) != int(n) {
				t.Errorf("%d arrivals fired, want %d", len(rows), n)
			}
		})
	}
}
