package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load"
	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// work is the execution of one run on this worker: it prepares the engine, starts it at T0, seals a
// batch per second, and closes the books.
type work struct {
	agent *Agent
	run   string
	log   hclog.Logger
	end   context.CancelFunc // ends everything, at once
	wg    sync.WaitGroup

	mu         sync.Mutex
	wanted     wire.Assignment
	engine     *load.Engine
	clock      *runClock
	state      wire.WorkerState
	failure    string
	stopLoad   context.CancelFunc // starts no more work
	tasks      map[string]bool
	totals     wire.Totals
	lastStatus wire.Status
	last       lease
	ready      chan struct{} // closed when the engine is prepared or cannot be
}

// newWork begins to prepare.
func newWork(ctx context.Context, a *Agent, wanted wire.Assignment) *work {
	// The work outlives the agent's context by the time that work in flight takes to finish.
	workCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	loadCtx, stopLoad := context.WithCancel(workCtx)
	w := &work{
		agent: a, run: wanted.Run, log: a.log.With("run_id", wanted.Run), end: cancel, stopLoad: stopLoad,
		wanted: wanted, state: wire.WorkerPreparing, tasks: map[string]bool{}, ready: make(chan struct{}),
		clock: newRunClock(a.opts.Clock),
	}
	a.mu.Lock()
	w.last = a.leases
	a.mu.Unlock()
	w.report()
	w.wg.Go(func() { w.prepare(workCtx) })
	w.wg.Go(func() {
		select {
		case <-ctx.Done(): // the worker was told to end: finish what is in flight and close the books
			w.finish(wire.GoalStop)
		case <-workCtx.Done():
		}
	})
	w.wg.Go(func() { w.execute(workCtx, loadCtx) })
	return w
}

// close ends the work at once and waits for it.
func (w *work) close() {
	w.end()
	w.wg.Wait()
	w.mu.Lock()
	engine := w.engine
	w.mu.Unlock()
	if engine != nil {
		if err := engine.Close(); err != nil {
			w.log.Warn("engine not closed cleanly", "error", err)
		}
	}
}

// prepare fetches the plan and its files and prepares the engine.
func (w *work) prepare(ctx context.Context) {
	defer close(w.ready)
	engine, err := w.build(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			w.log.Error("run not prepared", "error", err)
		}
		w.state, w.failure = wire.WorkerFailed, err.Error()
		w.reportLocked()
		return
	}
	w.engine = engine
	w.state = wire.WorkerReady
	w.applyLocked()
	w.reportLocked()
}

func (w *work) build(ctx context.Context) (*load.Engine, error) {
	files := w.agent.link.files
	data, err := files.Get(ctx, w.wanted.PlanDigest)
	if err != nil {
		return nil, fmt.Errorf("fetch plan: %w", err)
	}
	plan, err := scenario.DecodePlan(data)
	if err != nil {
		return nil, err
	}
	content := map[string][]byte{}
	for _, f := range plan.Files() {
		if content[f.Digest], err = files.Get(ctx, f.Digest); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", f.Name, err)
		}
	}
	opts := load.Options{
		Plan: plan, Worker: w.agent.opts.Name, Clock: w.clock, Secrets: w.wanted.Secrets,
		Drain: w.wanted.Drain, Logger: w.log,
		Files: func(digest string) ([]byte, error) {
			if data, ok := content[digest]; ok {
				return data, nil
			}
			return nil, fmt.Errorf("file %s is not part of the plan", digest)
		},
	}
	if w.agent.opts.Host != nil {
		opts.Host = w.agent.opts.Host
	}
	engine, err := load.New(opts)
	if err != nil {
		return nil, err
	}
	if err := engine.Prepare(ctx); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}

// apply takes a newer assignment of the same run.
func (w *work) apply(a wire.Assignment) {
	w.mu.Lock()
	w.wanted = a
	w.applyLocked()
	w.reportLocked()
	w.mu.Unlock()
	if a.Goal == wire.GoalStop {
		w.finish(a.Goal)
	}
}

// applyLocked passes the assignment on to the engine.
func (w *work) applyLocked() {
	a := w.wanted
	if a.T0 != nil && w.last.known {
		w.clock.tie(*a.T0 - int64(w.last.leader.Value))
	}
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
	state := load.State{
		Revision: a.Revision, History: a.History, Permits: maps.Clone(a.Permits),
		AtCap: slices.Clone(a.AtCap), Halt: a.Goal == wire.GoalStop,
	}
	for _, r := range a.Ranges {
		state.Ranges = append(state.Ranges, schedule.Range{From: r.From, To: r.To, Since: r.Since})
	}
	w.engine.Apply(state)
	w.leaseLocked()
}

// lease takes what the newest heartbeat brought.
func (w *work) lease(l lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = l
	if w.wanted.T0 != nil {
		w.clock.tie(*w.wanted.T0 - int64(l.leader.Value))
	}
	w.leaseLocked()
}

func (w *work) leaseLocked() {
	if w.engine != nil && w.clock.tied() {
		w.engine.SetLease(w.clock.at(w.last.until))
	}
}

// finish starts no more work.
func (w *work) finish(wire.Goal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state < wire.WorkerStopping {
		w.state = wire.WorkerStopping
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
		return
	}
	if !w.awaitStart(loadCtx) {
		w.books(0)
		return
	}
	w.mu.Lock()
	w.state = wire.WorkerRunning
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
		due := w.clock.tied() && w.wanted.Goal == wire.GoalRun && w.clock.Now() >= -head
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

// sealLag is how long after the end of a second it is sealed, so that samples which ended in it have
// been recorded.
const sealLag = 30 * time.Millisecond

// seal turns every second into a batch until the engine has ended.
func (w *work) seal(ctx context.Context, engine *load.Engine, ended <-chan error) {
	seq := uint64(0)
	second := int64(0)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				w.log.Warn("load ended", "error", err)
			}
			// Every second has a batch of its own, also when the end came late to this loop.
			for last := int64(w.clock.Now() / time.Second); second <= last; second++ {
				seq = w.batch(engine, second)
			}
			w.books(seq)
			return
		case <-ctx.Done():
			if err := <-ended; err != nil {
				w.log.Debug("load cut", "error", err)
			}
			return
		case <-poll.C:
		}
		for w.clock.Now() >= time.Duration(second+1)*time.Second+sealLag {
			seq = w.batch(engine, second)
			second++
		}
		w.progress()
	}
}

// batch seals one second into the outbox and returns the number of its batch.
func (w *work) batch(engine *load.Engine, index int64) uint64 {
	s := engine.Seal(index)
	w.machine(&s)
	w.mu.Lock()
	revision := w.wanted.ShardRevision
	for _, a := range s.Arrivals {
		w.totals.Planned += a.Planned
		w.totals.Sent += a.Sent
		w.totals.Succeeded += a.Succeeded
		w.totals.Failed += a.Failed
	}
	requests, _ := s.Requests()
	w.totals.Requests += requests
	w.mu.Unlock()
	incarnation := w.agent.link.Incarnation()
	var number uint64
	for {
		sealed, err := w.agent.outbox.Append(w.run, incarnation, func(seq uint64) []byte {
			return metric.EncodeBatch(metric.Batch{
				Run: w.run, Source: metric.Source{Worker: w.agent.opts.Name, Incarnation: incarnation}, Seq: seq,
				ShardRevision: revision, From: time.Duration(index) * time.Second, To: time.Duration(index+1) * time.Second,
				Second: s,
			})
		})
		if err == nil {
			number = sealed.Seq
			break
		}
		// Nothing is dropped: without room for samples no new work may start.
		w.log.Error("samples not spooled, trying again", "error", err)
		engine.Hold(metric.CauseOutboxFull)
		time.Sleep(100 * time.Millisecond)
	}
	if w.agent.outbox.Full() {
		engine.Hold(metric.CauseOutboxFull)
	} else {
		engine.Hold("")
	}
	w.agent.link.wakeUp()
	return number
}

// machine adds the measurements of this machine to a second.
func (w *work) machine(s *metric.Second) {
	if w.agent.opts.Host == nil {
		return
	}
	for _, m := range w.agent.opts.Host.Measure() {
		key := metric.Key{Metric: m.Name, Labels: metric.NewLabels("worker", w.agent.opts.Name)}
		if v, err := measured(m.Value); err == nil {
			s.Add(key, v)
			s.Infos[m.Name] = metric.Info{Category: m.Category, Unit: m.Unit}
		}
	}
}

// books sends the final, once the last batch is sealed.
func (w *work) books(last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == wire.WorkerDone {
		return
	}
	w.state = wire.WorkerDone
	w.agent.link.Finish(wire.Final{Run: w.run, Incarnation: w.agent.link.Incarnation(), LastSeq: last, Totals: w.totals})
	w.reportLocked()
}

// progress reports when a phase has got further.
func (w *work) progress() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reportLocked()
}

func (w *work) report() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reportLocked()
}

// reportLocked posts the status if it says something new. How many operations are in flight is news
// only when a phase's schedule has ended.
func (w *work) reportLocked() {
	s := wire.Status{Run: w.run, Revision: w.wanted.Revision, State: w.state, Error: w.failure}
	if w.engine != nil {
		status := w.engine.Status()
		s.Skew = status.Skew
		for _, p := range status.Phases {
			in := int64(0)
			if p.Ended && !p.Drained {
				in = max(p.InFlight, 1)
			}
			s.Phases = append(s.Phases, wire.PhaseStatus{Phase: p.Phase, Started: p.Started, Ended: p.Ended, InFlight: in})
		}
	}
	if sameStatus(s, w.lastStatus) {
		return
	}
	w.lastStatus = s
	w.agent.link.Report(&s)
}

func sameStatus(a, b wire.Status) bool {
	if a.Run != b.Run || a.Revision != b.Revision || a.State != b.State || a.Error != b.Error || len(a.Phases) != len(b.Phases) {
		return false
	}
	for i, p := range a.Phases {
		q := b.Phases[i]
		if p.Started != q.Started || p.Ended != q.Ended || (p.InFlight == 0) != (q.InFlight == 0) {
			return false
		}
	}
	return true
}

// task runs setup or teardown, once for each id.
func (w *work) task(t wire.Task) {
	w.mu.Lock()
	if w.tasks[t.ID] {
		w.mu.Unlock()
		return
	}
	w.tasks[t.ID] = true
	w.mu.Unlock()
	w.wg.Go(func() {
		<-w.ready
		w.mu.Lock()
		engine := w.engine
		w.mu.Unlock()
		result := wire.TaskResult{ID: t.ID, Run: t.Run}
		if engine == nil {
			result.Error = "worker could not be prepared"
		} else if err := w.steps(engine, t, &result); err != nil {
			result.Error = err.Error()
		}
		w.agent.link.Result(result)
	})
}

// taskTimeout bounds setup and teardown as a whole.
const taskTimeout = 10 * time.Minute

func (w *work) steps(engine *load.Engine, t wire.Task, result *wire.TaskResult) error {
	ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
	defer cancel()
	var saved map[string]any
	var err error
	switch t.Kind {
	case "setup":
		saved, result.Requests, err = engine.Setup(ctx)
	case "teardown":
		result.Requests, err = engine.Teardown(ctx)
	default:
		err = errors.New("task is of an unknown kind: " + t.Kind)
	}
	if err != nil {
		return err
	}
	if result.Saved, err = json.Marshal(saved); err != nil {
		return fmt.Errorf("values of %s: %w", t.Kind, err)
	}
	return nil
}
