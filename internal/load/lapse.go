package load

import (
	"slices"
	"time"

	"proofload/internal/metric"
)

// lapse is a stretch of run time in which the lease was over, so that nothing could be started.
type lapse struct{ from, to time.Duration }

// lapses knows when an engine had no lease.
type lapses struct {
	over time.Duration // run time from which the lease is over: it may lie ahead, or be long ago
	past []lapse       // those that a newer lease has ended, in order
}

// keepLapses is how long ago a lapse may have ended that is still asked for: the arrivals that were due in
// it are passed at once when it ends, unless the machine stands still.
const keepLapses = time.Minute

// lease notes at run time now that the lease ends at until.
func (l *lapses) lease(until, now time.Duration) {
	l.past = slices.DeleteFunc(l.past, func(p lapse) bool { return p.to < now-keepLapses })
	switch {
	case until <= now: // it was taken away, or is no longer than it was
		l.over = min(l.over, now)
	case l.over < now:
		l.past = append(l.past, lapse{l.over, now})
		l.over = until
	default:
		l.over = until
	}
}

// within reports whether the lease was over in any part of a stretch that has passed.
func (l *lapses) within(from, to time.Duration) bool {
	return from < to && (l.over < to || slices.ContainsFunc(l.past, func(p lapse) bool { return p.from < to && from < p.to }))
}

// lapsed reports whether in any part of a stretch this engine had something to fire and no lease to do so.
func (e *Engine) lapsed(from, to time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	from, to = max(from, e.skew), min(to, e.paced)
	plan := e.timeline.PlanTime(from)
	if !slices.ContainsFunc(e.phases, func(p *phase) bool { return p.known && !p.over(plan) }) {
		return false
	}
	for _, r := range e.ranges {
		until := to
		if r.Until > 0 {
			until = min(until, r.Until)
		}
		if e.lapses.within(max(from, r.Since), until) {
			return true
		}
	}
	return false
}

// tardy says why an arrival is given up that is too far behind: one that still had time when the lease ended
// was held up by that, whatever the machine did. The engine's lock must be held.
func (e *Engine) tardy(due, late time.Duration) metric.Cause {
	if slices.ContainsFunc(e.lapses.past, func(p lapse) bool { return p.from < due+late && due < p.to }) {
		return metric.CauseNoLease
	}
	return metric.CauseLate
}
