package load

import (
	"sync"
	"sync/atomic"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// never is a run time that does not come.
const never = time.Duration(1<<63 - 1)

// phase is one phase on this worker. The engine's lock guards what is not immutable.
type phase struct {
	plan  *scenario.Phase
	index int
	flows []*flowRow // in the order of the mix
	mix   schedule.Mix
	draw  schedule.Draw
	owner schedule.Draw // its children are those of the users
	lag   metric.Handle
	gap   metric.Handle
	load  model
	users *closedLoad // load, in a closed phase

	known   bool          // start is decided
	start   time.Duration // plan time
	ended   bool          // the schedule has ended
	stopped atomic.Bool   // the data has run out: the schedule ends at the next pass

	permits    int64
	dispatched int64 // iterations handed to runners
	finished   int64 // of them those that have ended, as far as known; never more
	express    int64 // of them those that the pacer itself has in hand
}

// flowRow is a flow as part of one phase.
type flowRow struct {
	key        metric.ArrivalKey
	row        metric.ArrivalHandle
	ok, failed metric.Handle // of metric.Iterations
	labels     metric.Labels // of metric.Iterations that failed
	plain      string        // the step of a flow that can be executed by halves; empty: it cannot

	columns []atomic.Pointer[column] // by the index of a step
	samples sync.Map                 // *column of what programs print, by *flow.Step
}

// excused returns the series of iterations that a kind of error ended.
func (f *flowRow) excused(kind string) metric.Key {
	return metric.Key{Metric: metric.Iterations, Labels: f.labels.With("error", kind)}
}

// model is how a phase makes load: open or closed.
type model interface {
	// configure takes over the phase's start, the factors in force and the ranges owned.
	configure(e *Engine)
	// pass starts everything that is due at run time now and returns the run time of what comes next.
	pass(e *Engine, now time.Duration) time.Duration
	// length is the phase time at which the schedule ends.
	length() time.Duration
	// settle counts what was due by run time now and will not be started any more.
	settle(e *Engine, now time.Duration)
}

// newPhase prepares a phase and its series.
func newPhase(e *Engine, index int) *phase {
	plan := &e.opts.Plan.Phases[index]
	draw := schedule.NewDraw(e.opts.Plan.Seed, plan.Name)
	p := &phase{
		plan: plan, index: index,
		mix:  schedule.NewMix(plan.Mix),
		draw: draw, owner: draw.Named("user"),
		lag: e.acc.Hist(metric.Key{Metric: metric.ScheduleLag, Labels: metric.NewLabels("phase", plan.Name, "warmup", warmup(plan))}),
	}
	p.gap = e.acc.Hist(metric.Key{Metric: metric.ArrivalGap, Labels: metric.NewLabels("phase", plan.Name, "warmup", warmup(plan))})
	for _, w := range plan.Mix {
		labels := metric.NewLabels("phase", plan.Name, "flow", w.Flow, "warmup", warmup(plan))
		failed := labels.With("outcome", "failed")
		key := metric.ArrivalKey{Phase: plan.Name, Flow: w.Flow}
		p.flows = append(p.flows, &flowRow{
			key: key, row: e.acc.Arrivals(key), labels: failed,
			ok:     e.acc.Hist(metric.Key{Metric: metric.Iterations, Labels: labels.With("outcome", "ok")}),
			failed: e.acc.Hist(metric.Key{Metric: metric.Iterations, Labels: failed}),

			columns: make([]atomic.Pointer[column], len(e.opts.Plan.Flows[w.Flow].Steps)),
		})
	}
	if len(plan.Users) > 0 {
		p.users = newClosedLoad(p)
		p.load = p.users
	} else {
		p.load = newOpenLoad(p, e.opts.Plan.Seed)
	}
	return p
}

// warmup is the value of the label warmup.
func warmup(p *scenario.Phase) string {
	if p.Warmup {
		return "true"
	}
	return ""
}

// late is how far behind an arrival may be started.
func (p *phase) late() time.Duration {
	if p.plan.Late > 0 {
		return p.plan.Late
	}
	return scenario.DefaultLate
}

// inFlight returns the iterations handed out that have not ended, as of now.
func (p *phase) inFlight(lanes []*lane) int64 {
	p.finished = 0
	for _, l := range lanes {
		p.finished += l.done(p.index)
	}
	return p.dispatched - p.finished
}

// admits reports whether one more iteration may be in flight; when none may, how many are is noted. It
// asks the lanes only when what it knows is not enough.
func (p *phase) admits(e *Engine, now time.Duration) bool {
	if p.dispatched-p.finished < p.permits {
		return true
	}
	n := p.inFlight(e.lanes)
	if n < p.permits {
		return true
	}
	e.own.peak(p.plan.Name, n, second(now))
	return false
}

// end ends the schedule for good. The engine's lock must be held.
func (p *phase) end(e *Engine) {
	if p.ended {
		return
	}
	p.ended = true
	if p.users != nil {
		p.users.end(e)
	}
}

// over reports whether the schedule has ended at plan time now.
func (p *phase) over(plan time.Duration) bool {
	return p.known && (plan >= p.start+p.load.length() || p.stopped.Load())
}
