package load

import (
	"context"
	"errors"
	"time"

	"proofload/internal/scenario"
)

// longestWait bounds one wait of the pacer, so that a slewed clock, which runs up to 500 ppm slower
// or faster than the timer, cannot make it late by more than 50 us.
const longestWait = 100 * time.Millisecond

// errCut is the cause with which iterations are cut that outlast the time for draining.
var errCut = errors.New("cut: the time for draining is over")

// Run paces the load until every phase's schedule has ended under a lease, until the run is halted, or
// until ctx ends, and then waits for what is in flight: for as long as that takes when the plan has come to
// its end, else for Options.Drain, after which it is cut and counts as failed. It must be called
// once, after Prepare; it returns nil unless it was misused.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, e.waiter.Wake)()
	work, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	e.work = work
	if now := e.clock.Now(); now > 0 {
		e.setSkew(now)
	}
	for {
		next, done := e.pass(ctx)
		e.express.collect()
		if done {
			break
		}
		now := e.clock.Now()
		least := e.pace.wait(now, e.dispatched, e.express.sent)
		if wait := e.express.wait(max(min(next, now+longestWait)-now, least), e.pace.express); now < next {
			e.waiter.Wait(wait)
			e.pace.rest(e.clock.Now() - now)
		}
	}
	e.drain(ctx, cut)
	e.finish()
	return nil
}

// begin checks the order of calls.
func (e *Engine) begin(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.prepared:
		return errors.New("run engine: not prepared")
	case e.started:
		return errors.New("run engine: started twice")
	}
	e.started, e.stopCheck = true, ctx
	return nil
}

// pass starts what is due and returns the run time of what comes next; done says that no more will
// be started.
func (e *Engine) pass(ctx context.Context) (next time.Duration, done bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.clock.Now()
	if ctx.Err() != nil || e.halted {
		e.stop(now)
		e.paced = now
		return 0, true
	}
	e.endPhases(now)
	if e.allEnded() {
		e.covered, e.paced = max(e.covered, now), now
		return 0, true
	}
	if now >= e.lease {
		e.blocked = true
		return now + longestWait, false
	}
	if e.blocked {
		e.blocked, e.resumed = false, now
	}
	next, e.behind = never, false
	for _, p := range e.phases {
		if !p.known || p.ended {
			continue
		}
		next = min(next, p.load.pass(e, now))
		if end, ok := e.timeline.RunTime(p.start + p.load.length()); ok {
			next = min(next, end)
		}
	}
	if !e.behind {
		e.covered = max(e.covered, now)
	}
	return next, false
}

// stopping reports whether the context that Run was given has ended.
func (e *Engine) stopping() bool { return e.stopCheck.Err() != nil }

// endPhases notes the phases whose schedule has ended, once all that was due of them has been passed. A
// phase whose end comes while the lease is over stays open: what was due of it may still be this
// engine's to count, and only a lease says so.
func (e *Engine) endPhases(now time.Duration) {
	if now >= e.lease {
		return
	}
	plan := e.timeline.PlanTime(now)
	for _, p := range e.phases {
		if p.ended || !p.over(plan) {
			continue
		}
		e.behind = false
		p.load.pass(e, now) // what was due before the end and has not been passed yet
		if e.behind {
			return
		}
		p.end(e)
		e.log.Debug("phase schedule ended", "phase", p.plan.Name)
	}
}

func (e *Engine) allEnded() bool {
	for _, p := range e.phases {
		if !p.ended {
			return false
		}
	}
	return true
}

// stop counts what was due and will not be sent any more, and ends every phase.
func (e *Engine) stop(now time.Duration) {
	for _, p := range e.phases {
		if p.known && !p.ended && now < e.lease {
			p.load.settle(e, now)
		}
		p.end(e)
	}
	if now < e.lease && len(e.ranges) > 0 { // what has been taken away meanwhile is not covered up to now
		e.covered = max(e.covered, now)
	}
	e.stoppedEarly = true
}

// drain waits until nothing is in flight.
func (e *Engine) drain(ctx context.Context, cut context.CancelCauseFunc) {
	e.draining.Store(true)
	var deadline time.Duration
	for e.inFlight() > 0 {
		now := e.clock.Now()
		if allowed, bounded := e.patience(ctx); bounded && (deadline == 0 || now+allowed < deadline) {
			deadline = now + allowed
		}
		if deadline != 0 && now >= deadline {
			cut(errCut)
		}
		e.waiter.Wait(e.express.wait(longestWait, false))
		e.express.collector.Collect()
	}
	for _, l := range e.lanes {
		l.close()
	}
	e.runners.Wait()
}

// patience returns how long draining may take, and whether that is bounded.
func (e *Engine) patience(ctx context.Context) (allowed time.Duration, bounded bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.halted {
		return min(e.opts.Drain, scenario.StopTime), true
	}
	return e.opts.Drain, e.stoppedEarly || ctx.Err() != nil
}

// Killed is how long programs may take to end after they were cut.
func (e *Engine) Killed() time.Duration { return e.opts.Plan.Killed() }

// inFlight returns the iterations in flight over all phases.
func (e *Engine) inFlight() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	var n int64
	for _, p := range e.phases {
		n += p.inFlight(e.lanes)
	}
	return n
}

// dispatch hands a job to a runner. The engine's lock must be held.
func (e *Engine) dispatch(j job) {
	j.phase.dispatched++
	e.dispatched++
	l := e.nextLane()
	r := l.take()
	if r == nil {
		r = &runner{engine: e, lane: l, jobs: make(chan job, 1)}
		e.runners.Go(func() { r.loop(e.work) })
	}
	r.jobs <- j
}
