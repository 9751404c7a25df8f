package load

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

// busyClock takes 50 us of time for each reading, as an arrival that is dispatched does.
type busyClock struct {
	simClock
	extra *atomic.Int64
}

func (c busyClock) Now() time.Duration {
	return c.simClock.Now() + time.Duration(c.extra.Add(int64(50*time.Microsecond)))
}

// TestGoingOnIsOneInstant: a user who goes on at once does so when the iteration before has ended, so that no time
// lies between the two; the lag tells of none.
func TestGoingOnIsOneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := planOf(usersPhase("p", [3]float64{1, 1, 2}))
		var n, late atomic.Int64
		prog := &fakeProgram{RunFn: func(_ context.Context, j *job) bool {
			if j.n > 0 {
				n.Add(1)
				late.Add(int64(j.started - j.intended))
			}
			time.Sleep(100 * time.Millisecond)
			return true
		}}
		var extra atomic.Int64
		r := newRig(t, plan, prog, func(o *Options) { o.Clock = busyClock{simClock{time.Now()}, &extra} })
		r.run()
		r.wait()
		if n.Load() < 10 || late.Load() != 0 {
			t.Errorf("%d iterations followed one, %v after its end in all", n.Load(), time.Duration(late.Load()))
		}
	})
}

// TestExecutedIsTrue: nothing that is due later than what Apply returns may have been started.
func TestExecutedIsTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var newest time.Duration
		p := openPhase("p", [3]float64{5000, 5000, 2})
		prog := &fakeProgram{RunFn: func(_ context.Context, j *job) bool {
			mu.Lock()
			defer mu.Unlock()
			newest = max(newest, j.intended)
			return true
		}}
		var extra atomic.Int64
		r := newRig(t, planOf(p), prog, func(o *Options) { o.Clock = busyClock{simClock{time.Now()}, &extra} })
		r.Apply(State{Revision: 1, Ranges: allRanges})
		r.SetLease(never)
		ctx := context.Background()
		if err := r.begin(ctx); err != nil {
			t.Fatal(err)
		}
		r.work = ctx
		time.Sleep(20 * time.Millisecond) // the pacer was not scheduled for so long
		r.pass(ctx)
		executed := r.Apply(State{Revision: 2, Ranges: []schedule.Range{{From: 0, To: scenario.Shards, Until: 15 * time.Millisecond}}})
		synctest.Wait()
		mu.Lock()
		if newest > executed {
			t.Errorf("Apply says nothing due after %v was started; one due at %v was", executed, newest)
		}
		mu.Unlock()
		r.halted = true
		for _, l := range r.lanes {
			l.close()
		}
		r.runners.Wait()
	})
}
