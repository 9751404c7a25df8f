package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load"
	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// work is the execution of one run on this worker: it prepares the engine, starts it at T0, seals a
// batch per second, and closes the books.
type work struct {
	agent       *Agent
	run         string
	incarnation int64 // of the life that it is of
	log         hclog.Logger
	life        context.Context    // of everything here; kept because tasks arrive from another goroutine
	end         context.CancelFunc // of life, at once
	starting    context.Context    // of setup: it ends when the run, or this worker, is told to stop
	stopSetup   context.CancelFunc // ends starting
	wg          sync.WaitGroup
	tasking     sync.Mutex // held while setup or teardown is executed: never both at a time

	mu         sync.Mutex
	wanted     wire.Assignment
	told       instruction // the one that the engine was told last
	tellings   uint64      // how many it was told
	engine     *load.Engine
	alone      *alone // nil: nothing aborts that this worker could judge; only the sealer uses it
	clock      *runClock
	state      wire.WorkerState
	failure    string
	stopLoad   context.CancelFunc // starts no more work
	tasks      map[string]bool
	closing    bool // no task may begin any more
	totals     wire.Totals
	lastStatus wire.Status
	passed     wire.Assignment // the last one that the engine was given
	handOverTo time.Duration   // run time up to which hand-overs were heard of
	heard      time.Duration   // run time through which the load was executed when the last was heard of
	stopped    time.Duration   // run time at which it was told to stop; 0: before T0, or not yet
	last       lease
	ready      chan struct{} // closed when the engine is prepared or cannot be
	executed   chan struct{} // closed when the load has ended and the books are closed
}

// newWork begins to prepare.
func newWork(ctx context.Context, a *Agent, wanted wire.Assignment) *work {
	// The work outlives the agent's context by the time that work in flight takes to finish.
	workCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	loadCtx, stopLoad := context.WithCancel(workCtx)
	starting, stopSetup := context.WithCancel(workCtx)
	w := &work{
		agent: a, run: wanted.Run, incarnation: a.link.Incarnation(), log: a.log.With("run_id", wanted.Run), life: workCtx, end: cancel, stopLoad: stopLoad,
		starting: starting, stopSetup: stopSetup,
		wanted: wanted, state: wire.WorkerPreparing, tasks: map[string]bool{}, ready: make(chan struct{}),
		executed: make(chan struct{}), clock: newRunClock(a.opts.Clock, a.opts.Instant),
	}
	w.resume()
	w.report()
	w.wg.Go(func() { w.prepare(workCtx, wanted) })
	w.wg.Go(func() {
		defer close(w.executed)
		w.execute(workCtx, loadCtx)
	})
	return w
}

// settle is how long a worker that was told to end waits, after its last batch, for a leader to say that it is
// committed. What is not by then stays in the outbox for the next start.
const settle = 3 * time.Second

// drain hands the load over if that is possible, starts no more work, lets what is in flight finish within
// the time that the assignment allows, closes the books, and waits a moment for them to be committed.
func (w *work) drain() {
	p := &patience{led: w.agent.link.led, left: leaderless}
	w.handOver(p)
	w.stopSetup()
	w.finish()
	w.mu.Lock()
	allowed := cmp.Or(w.wanted.Drain, scenario.DefaultTimeout)
	if w.engine != nil {
		allowed += w.engine.Killed()
	}
	w.mu.Unlock()
	limit := time.NewTimer(allowed + settle)
	defer limit.Stop()
	select {
	case <-w.executed:
	case <-limit.C:
		w.log.Warn("load did not end in time and is cut", "drain", allowed)
		return
	}
	if !p.await(settle, func() bool { return !w.agent.outbox.Holds(w.run) }) {
		w.log.Info("last batches are not committed yet and stay in the outbox")
	}
}

// close ends the work at once and waits for it.
func (w *work) close() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.end()
	w.wg.Wait()
	w.agent.counts.idle()
	w.mu.Lock()
	engine := w.engine
	w.mu.Unlock()
	if engine != nil {
		if err := engine.Close(); err != nil {
			w.log.Warn("engine not closed cleanly", "error", err)
		}
	}
}

// apply takes an assignment of the same run, unless a newer one is in force.
func (w *work) apply(a wire.Assignment) {
	w.mu.Lock()
	wanted, news := follow(w.wanted, a)
	if !news {
		w.mu.Unlock()
		return
	}
	w.wanted = wanted
	w.applyLocked()
	w.reportLocked()
	w.mu.Unlock()
	if wanted.Goal == wire.GoalStop {
		w.stopSetup()
		w.finish()
	}
}

// applyLocked passes the assignment on to the engine.
func (w *work) applyLocked() {
	a := w.wanted
	w.tieLocked()
	if w.engine == nil {
		return
	}
	if len(a.Setup) > 0 {
		var values map[string]any
		if err := json.Unmarshal(a.Setup, &values); err != nil {
			w.state, w.failure = wire.WorkerFailed, fmt.Sprintf("values of setup: %v", err)
			return
		}
		w.engine.SetSetup(values)
	}
	if now := (instruction{a.Epoch, a.Revision, a.Goal}); now != w.told {
		w.told, w.tellings = now, w.tellings+1
	}
	state := load.State{
		Revision: w.tellings, History: a.History, Permits: maps.Clone(a.Permits),
		Halt: a.Goal == wire.GoalStop,
	}
	for _, r := range a.Ranges {
		state.Ranges = append(state.Ranges, schedule.Range{From: r.From, To: r.To, Since: r.Since, Until: r.Until})
	}
	executed := w.engine.Apply(state)
	if to := a.HandOver(); to > w.handOverTo {
		w.handOverTo = to
		if !a.Corrects(w.passed) { // what was handed over and only moved was executed up to when it was heard of first
			w.heard = executed
		}
	}
	w.passed = a
	w.leaseLocked()
}

// lease takes what a heartbeat brought. It may be called with two of them in the wrong order.
func (w *work) lease(l lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := max(l.until, w.last.until)
	if l.epoch >= w.last.epoch {
		w.last = l
	}
	w.last.until = until
	w.tieLocked()
	w.leaseLocked()
}

// tieLocked passes on where T0 is. An assignment states it on the clock of the leader that it comes from:
// with the offset of another one it would be somewhere else.
func (w *work) tieLocked() {
	if w.wanted.T0 != nil && w.last.known && w.last.epoch == w.wanted.Epoch {
		w.clock.tie(*w.wanted.T0 - int64(w.last.leader.Value))
	}
}

func (w *work) leaseLocked() {
	if w.engine != nil && w.clock.known() {
		w.engine.SetLease(w.clock.at(w.last.until))
	}
}

// finish starts no more work.
func (w *work) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state < wire.WorkerStopping {
		w.state = wire.WorkerStopping
		if w.clock.known() {
			w.stopped = max(0, w.clock.Now())
		}
		w.reportLocked()
	}
	w.stopLoad()
}

// execute waits for the start, runs the engine and seals its seconds.
func (w *work) execute(ctx, loadCtx context.Context) {
	select {
	case <-w.ready:
	case <-ctx.Done():
		return
	}
	w.mu.Lock()
	engine := w.engine
	w.mu.Unlock()
	if engine == nil {
		if ctx.Err() == nil {
			w.books(0) // it did nothing and never will: that is its final, which the run waits for
		}
		return
	}
	if !w.awaitStart(loadCtx) {
		w.tasking.Lock() // setup may still be ending, and who has sent the final sends no more load
		w.books(0)
		w.tasking.Unlock()
		return
	}
	w.clock.begin()
	w.mu.Lock()
	if w.state < wire.WorkerRunning {
		w.state = wire.WorkerRunning
	}
	w.reportLocked()
	w.mu.Unlock()
	ended := make(chan error, 1)
	w.wg.Go(func() { ended <- engine.Run(loadCtx) })
	w.seal(ctx, engine, ended)
}

// awaitStart waits until T0 is known and near; it is false when the run was stopped before.
func (w *work) awaitStart(ctx context.Context) bool {
	const head = 20 * time.Millisecond // the engine is woken a little early and paces to T0 itself
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		w.mu.Lock()
		due := w.clock.known() && w.wanted.Goal == wire.GoalRun && w.clock.Now() >= -head
		w.mu.Unlock()
		if due {
			return true
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}

// books sends the final, once the last batch is sealed. A worker that failed stays so.
func (w *work) books(last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = max(w.state, wire.WorkerDone)
	w.agent.link.Finish(wire.Final{Run: w.run, Incarnation: w.agent.link.Incarnation(), LastSeq: last, Totals: w.totals})
	w.reportLocked()
}
