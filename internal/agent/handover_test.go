package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/wire"
)

// giver returns work that is under load, of an agent which is attached to nobody.
func giver(t *testing.T) *work {
	t.Helper()
	a, err := New(Options{
		Name: "w", Addresses: []string{"127.0.0.1:1"}, DataDir: t.TempDir(),
		Clock: func() int64 { return time.Now().UnixNano() }, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &work{
		agent: a, log: hclog.NewNullLogger(), run: "r", state: wire.WorkerRunning, executed: make(chan struct{}), clock: newRunClock(a.opts.Clock, a.opts.Instant),
		wanted: wire.Assignment{Run: "r", Goal: wire.GoalRun, Ranges: []wire.ShardRange{{From: 0, To: 16384}}},
	}
	w.clock.tie(a.opts.Clock() - int64(time.Minute))
	return w
}

// lead has a leader answer the worker from now on, until ctx ends.
func (w *work) lead(ctx context.Context) {
	s := &session{link: w.agent.link, began: w.agent.opts.Clock()}
	w.agent.link.live.Store(s)
	for ctx.Err() == nil {
		s.mu.Lock()
		s.last.received = w.agent.opts.Clock()
		s.mu.Unlock()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// TestHandOverWaitsForALeader: a worker that is told to end while nobody leads goes on until somebody does, who
// needs his time to give its part to others; but not for ever.
func TestHandOverWaitsForALeader(t *testing.T) {
	for name, row := range map[string]struct {
		leads time.Duration // from when on somebody leads; 0: nobody
		taken time.Duration // when others have its part; 0: never
		want  time.Duration
	}{
		"nobody leads":                    {0, 0, leaderless},
		"nobody else is there":            {1, 0, handOverWait},
		"others have it":                  {1, 2 * time.Second, 2*time.Second + handOverSettle},
		"others have it after a failover": {6 * time.Second, 8 * time.Second, 8*time.Second + handOverSettle},
		"nobody else is there afterwards": {6 * time.Second, 0, 6*time.Second + handOverWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := giver(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if row.leads > 0 {
					time.AfterFunc(row.leads, func() { w.lead(ctx) })
				}
				if row.taken > 0 {
					time.AfterFunc(row.taken, func() {
						w.mu.Lock()
						defer w.mu.Unlock()
						w.wanted.Ranges[0].Until = w.clock.Now()
					})
				}
				began := time.Now()
				w.handOver(&patience{led: w.agent.link.led, left: leaderless})
				if took := time.Since(began); (took - row.want).Abs() > 100*time.Millisecond {
					t.Errorf("it went on for %v, want %v", took, row.want)
				}
				if w.agent.link.up.leave == "" {
					t.Error("nobody was asked to take the load over")
				}
			})
		})
	}
}

// TestLastBatchesWaitForALeader: what a worker that was told to end has not seen committed would be missing if it
// left before the next leader has come. It has one patience for all that it waits for.
func TestLastBatchesWaitForALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := &patience{led: func() bool { return time.Since(began) > 6*time.Second }, left: leaderless}
		if !p.await(settle, func() bool { return time.Since(began) > 8*time.Second }) {
			t.Error("two seconds after a leader had come it waited no longer")
		}
		began = time.Now()
		if p.await(settle, func() bool { return false }) {
			t.Error("it waited for what never came")
		}
		if took, want := time.Since(began), leaderless-6*time.Second; (took - want).Abs() > 100*time.Millisecond {
			t.Errorf("it waited for another %v without a leader, want %v", took, want)
		}
	})
}

// TestDrainIsToldAgain: who takes a run over has not heard that one of its workers was to be drained.
func TestDrainIsToldAgain(t *testing.T) {
	w := giver(t)
	a := w.agent
	a.drained("maintenance")
	if a.link.up.leave != "" || !a.link.left {
		t.Error("a worker without work has to ask for nothing, and leaves")
	}
	busy := giver(t).agent
	busy.assigned(w.wanted)
	busy.drained("maintenance")
	if busy.link.up.leave != "maintenance" || busy.link.left {
		t.Errorf("a worker under load asks %q, and has left: %v", busy.link.up.leave, busy.link.left)
	}
}
