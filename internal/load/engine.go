package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load/schedule"
	"proofload/internal/load/transport"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// Engine executes one worker's part of one run: New, Prepare, Run once, Close. Apply, SetLease, Hold,
// Seal and Status may be called at any time and by any goroutine.
type Engine struct {
	opts    Options
	log     hclog.Logger
	clock   Clock
	waiter  Waiter
	program program
	acc     *metric.Accumulator
	pace    cadence
	express express
	own     *lane   // what the pacer itself counts
	lanes   []*lane // the runners
	runners sync.WaitGroup
	work    context.Context // of the iterations: ends when they are cut; set before the first starts

	setup    atomic.Pointer[map[string]any] // what setup saved
	draining atomic.Bool                    // Run waits for what is in flight

	mu           sync.Mutex
	phases       []*phase
	prepared     bool
	started      bool
	finished     bool
	stoppedEarly bool
	halted       bool
	applied      bool
	revision     uint64
	ranges       []schedule.Range
	history      run.History
	timeline     run.Timeline
	hold         metric.Cause  // why arrivals are held back; empty: they are not
	lease        time.Duration // run time from which nothing may start
	lapses       lapses
	blocked      bool          // the lease was over at the last pass
	resumed      time.Duration // run time at which the engine was last kept from starting anything
	covered      time.Duration
	reached      time.Duration // when the last arrival that was started or given up was due: a pass may be beyond covered
	skew         time.Duration
	paced        time.Duration   // run time at which pacing ended; never: it goes on
	turn         int             // of the lanes
	dispatched   int64           // iterations handed to runners; the pacer alone writes it, with the lock, and reads it without
	stopCheck    context.Context // that Run was given
	behind       bool            // a pass has left arrivals that are due, because nothing may start any more

	infos   map[string]metric.Info // of the plan's measures
	sealing sync.Mutex
	books   map[metric.ArrivalKey]int64 // iterations in flight at the end of the second sealed last
	check   *selfCheck
}

// New returns an engine that owns nothing yet. The caller must Close it.
func New(opts Options) (*Engine, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("new engine: %w", err)
	}
	opts = opts.withDefaults()
	waiter, err := opts.NewWaiter()
	if err != nil {
		return nil, fmt.Errorf("new engine: %w", err)
	}
	collector, err := transport.NewCollector()
	if err != nil {
		opts.Logger.Debug("answers are not collected", "error", err)
	}
	n := 2 * runtime.GOMAXPROCS(0)
	e := &Engine{
		opts: opts, log: opts.Logger.Named("load"), clock: opts.Clock, waiter: waiter, pace: newCadence(), express: express{collector: collector},
		acc:   metric.NewAccumulator(n+1, 0),
		books: map[metric.ArrivalKey]int64{}, check: newSelfCheck(opts.Plan, opts.Host), paced: never,
	}
	e.infos = infos(opts.Plan)
	e.own = &lane{rec: e.acc.Recorder(n)}
	for i := range n {
		e.lanes = append(e.lanes, &lane{rec: e.acc.Recorder(i), finished: make([]int64, len(opts.Plan.Phases))})
	}
	for i := range opts.Plan.Phases {
		e.phases = append(e.phases, newPhase(e, i))
	}
	return e, nil
}

// Apply makes s what the engine does from now on, and returns the run time through which it had executed
// what was in force until now: nothing that is due later has been started. A State that is not newer than the
// one in force changes nothing, so that it may be repeated.
//
// When a lease has ended and shards have been taken away meanwhile, Apply must be called before
// SetLease, else the engine counts arrivals that are no longer its own.
func (e *Engine) Apply(s State) (executed time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.applied && s.Revision <= e.revision {
		return max(e.covered, e.reached)
	}
	moved := !e.applied || !slices.Equal(e.ranges, s.Ranges) || !slices.Equal(e.history, s.History)
	e.applied, e.revision = true, s.Revision
	e.halted = e.halted || s.Halt
	if moved {
		e.ranges, e.history = slices.Clone(s.Ranges), slices.Clone(s.History)
		e.timeline = run.NewTimeline(e.history)
		e.configure()
	}
	for _, p := range e.phases {
		p.permits = e.permits(p.plan, s.Permits)
	}
	e.waiter.Wake()
	return max(e.covered, e.reached)
}

// configure passes the history and the ranges on to the phases that are not over.
func (e *Engine) configure() {
	starts := schedule.Starts(e.opts.Plan.Phases, e.timeline)
	for _, p := range e.phases {
		p.start, p.known = starts[p.plan.Name]
		if p.known && !p.ended {
			p.load.configure(e)
		}
	}
}

// permits returns how many iterations of a phase may be in flight here.
func (e *Engine) permits(p *scenario.Phase, given map[string]int64) int64 {
	if n, ok := given[p.Name]; ok {
		return n
	}
	limit := p.MaxInFlight
	if limit == 0 {
		limit = scenario.DefaultMaxInFlight
	}
	owned := 0
	for _, r := range e.ranges { // what is being handed over is executed until then
		owned += r.To - r.From
	}
	return limit * int64(owned) / scenario.Shards // rounded down: the fleet must not exceed its cap
}

// SetLease lets the engine start work until the given run time, exclusive. Before the first call
// nothing is started.
func (e *Engine) SetLease(until time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if until < e.lease {
		e.shut()
	}
	e.lapses.lease(until, e.clock.Now())
	e.lease = until
	e.waiter.Wake()
}

// Hold keeps arrivals from being sent, each counted as not sent with the cause, and users from
// starting, until it is called with an empty cause.
func (e *Engine) Hold(cause metric.Cause) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hold == cause {
		return
	}
	if cause == "" {
		e.resumed = e.clock.Now()
	}
	e.hold = cause
	e.shut()
	e.waiter.Wake()
}

// shut makes the users of closed phases ask before they go on.
func (e *Engine) shut() {
	for _, p := range e.phases {
		if p.users != nil {
			p.users.shut()
		}
	}
}

// Status returns how far the engine is.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{Revision: e.revision, Covered: e.covered, Skew: e.skew, Finished: e.finished}
	plan := e.timeline.PlanTime(e.clock.Now())
	for _, p := range e.phases {
		st := PhaseStatus{Phase: p.plan.Name, Started: p.known && plan >= p.start, Ended: p.ended, InFlight: p.inFlight(e.lanes)}
		st.Drained = st.Ended && st.InFlight == 0
		s.Phases = append(s.Phases, st)
	}
	return s
}

// Close releases what Prepare has opened. Run must have returned.
func (e *Engine) Close() error {
	errs := []error{e.waiter.Close()}
	if c, ok := e.program.(interface{ Close() error }); ok {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, e.express.collector.Close())...)
}

// giveUp counts an arrival that is not sent. The engine's lock must be held.
func (e *Engine) giveUp(flow *flowRow, cause metric.Cause, now time.Duration) {
	e.own.giveUp(flow.row, cause, second(now))
}

// nextLane returns the lanes in turn. The engine's lock must be held.
func (e *Engine) nextLane() *lane {
	e.turn++
	return e.lanes[e.turn%len(e.lanes)]
}

// setSkew notes that pacing began only at run time now.
func (e *Engine) setSkew(now time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.skew = now
}

// finish notes that nothing more will be started and nothing is in flight.
func (e *Engine) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finished = true
	e.log.Debug("load ended", "covered", e.covered)
}

// inFlightBooks brings the iterations in flight up to the second that has been sealed.
func (e *Engine) inFlightBooks(s metric.Second) {
	for key, row := range s.Arrivals {
		e.books[key] += row.Sent - row.Succeeded - row.Failed
	}
	maps.DeleteFunc(e.books, func(_ metric.ArrivalKey, n int64) bool { return n == 0 })
}
