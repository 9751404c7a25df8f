package supervisor

import (
	"slices"
	"time"

	"proofload/internal/run"
)

// startMargin is how far ahead T0 must be, beyond the worst bound on a worker's clock, when the workers
// are told of it: the message takes a while, and what is due before it comes would be given up.
const startMargin = run.MinLead / 2

// stampT0 decides the start of run time and records it.
func (r *runner) stampT0() {
	if r.t0 != nil {
		return
	}
	r.stamp(run.Event{Kind: run.Started, Reason: "load starts"}, r.expect)
}

// stamp records a T0 that lies as far ahead as recording it and telling of it are expected to take.
func (r *runner) stamp(ev run.Event, apply func(run.Event) bool) bool {
	before := r.t0
	lead := run.Lead(r.worstBound(), r.view.lastWrite(), r.nearby())
	t0 := r.m.opts.Clock() + int64(lead)
	r.t0, ev.T0 = &t0, r.m.opts.Wall().Add(lead)
	applied := apply(ev)
	if !applied {
		r.t0 = before
	}
	return applied
}

// worstBound is the largest error of a worker's clock.
func (r *runner) worstBound() time.Duration {
	var worst time.Duration
	for _, h := range r.active() {
		if w, ok := r.m.fleet.Worker(h.worker.Name); ok {
			worst = max(worst, w.ClockBound())
		}
	}
	return worst
}

// nearby reports whether every worker is on this machine.
func (r *runner) nearby() bool {
	return !slices.ContainsFunc(r.active(), func(h *hand) bool {
		w, known := r.m.fleet.Worker(h.worker.Name)
		return known && !w.Loopback
	})
}

// announce lets the workers be told of T0, which is recorded now. It is false when recording it took so
// long that the beginning of the load would be lost: then a new T0 is recorded, which is possible as
// long as nobody was told of the first.
func (r *runner) announce() bool {
	if r.told0 != nil || r.t0 == nil {
		return true
	}
	ahead := time.Duration(*r.t0 - r.m.opts.Clock())
	if ahead < r.worstBound()+startMargin {
		late := r.log.With("late_by", r.worstBound()+startMargin-ahead)
		if r.stamp(run.Event{Kind: run.Restarted, Reason: "recording the start took too long"}, r.try) {
			late.Info("start put off, recording it took too long")
			return false
		}
		late.Warn("start is late") // a command was stamped against the first T0, or the run is ending
	}
	r.told0 = r.t0
	return true
}
