package load

import (
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// openLoad starts an iteration at each arrival, whatever became of those before.
type openLoad struct {
	phase  *phase
	stream *schedule.Stream
	curve  *schedule.Curve

	share    float64 // of the ring that is owned
	last     float64 // where the curve stood when an arrival was sent last
	sent     bool    // there is a last one, under the same curve and share
	previous int64   // number of the arrival that was due last, sent or not
}

func newOpenLoad(p *phase, seed uint64) *openLoad {
	return &openLoad{phase: p, stream: schedule.NewStream(seed, p.plan), curve: schedule.NewCurve(p.plan.Rate, nil)}
}

func (o *openLoad) length() time.Duration { return o.curve.Length() }

func (o *openLoad) configure(e *Engine) {
	p := o.phase
	o.curve = o.curve.Executed(p.plan, e.timeline, p.start)
	o.stream.Set(o.curve, schedule.InPhase(e.ranges, e.timeline, p.start))
	owned := 0
	for _, r := range e.ranges {
		if r.Until == 0 { // what is being handed over is the others' already
			owned += r.To - r.From
		}
	}
	o.share, o.sent = float64(owned)/scenario.Shards, false
}

// gap measures the distance to the arrival that was sent before, as a share of what the schedule wants:
// of a worker's uniform arrivals each pair has a distance of its own, which their numbers tell, unless its
// share of the ring is a half, a quarter and so on.
func (o *openLoad) gap(e *Engine, a schedule.Arrival, now time.Duration) {
	at := o.curve.Integral(e.timeline.PlanTime(now) - o.phase.start)
	if o.sent {
		wanted := 1 / o.share
		if o.phase.plan.Arrivals != "poisson" {
			wanted = float64(a.Index() - o.previous)
		}
		e.own.gap(o.phase.gap, (at-o.last)/wanted, second(now))
	}
	o.last, o.sent = at, true
}

func (o *openLoad) pass(e *Engine, now time.Duration) time.Duration {
	for {
		a, ok := o.stream.Peek()
		if !ok {
			return never
		}
		due, ok := e.timeline.RunTime(o.phase.start + a.At)
		if !ok {
			return never
		}
		if due > now {
			return due
		}
		// The clock is read for each arrival: the one before may have taken its time, and none may
		// start when the lease is over.
		if now = e.clock.Now(); now >= e.lease || e.stopping() {
			e.behind = true
			return now
		}
		o.stream.Next()
		e.reached = max(e.reached, due)
		o.fire(e, a, due, now)
		o.previous = a.Index()
	}
}

// fire starts one arrival that is due, or gives it up.
func (o *openLoad) fire(e *Engine, a schedule.Arrival, due, now time.Duration) {
	p := o.phase
	draw := p.draw.Child(uint64(a.Shard)).Child(uint64(a.K))
	flow := p.flows[p.mix.Pick(draw.Float64(0))]
	j := job{phase: p, flow: flow, draw: draw, user: noUser, row: a.Index(), intended: due, ready: due}
	switch {
	case now-due > p.late():
		e.giveUp(flow, e.tardy(due, p.late()), now)
	case e.hold != "":
		e.giveUp(flow, e.hold, now)
	case p.admits(e, now):
		o.gap(e, a, now)
		if !e.send(&j, now) {
			e.dispatch(j)
		}
		p.admits(e, now) // notes when that was the last permit
	default:
		e.giveUp(flow, metric.CauseNoPermit, now)
	}
}

func (o *openLoad) settle(e *Engine, now time.Duration) {
	for {
		a, ok := o.stream.Peek()
		if !ok {
			return
		}
		if due, ok := e.timeline.RunTime(o.phase.start + a.At); !ok || due > now {
			return
		}
		o.stream.Next()
		draw := o.phase.draw.Child(uint64(a.Shard)).Child(uint64(a.K))
		e.giveUp(o.phase.flows[o.phase.mix.Pick(draw.Float64(0))], metric.CauseStopped, now)
	}
}
