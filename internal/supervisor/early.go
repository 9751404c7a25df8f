package supervisor

import (
	"slices"

	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// early judges what has arrived, committed or not, for the sake of aborts alone: a target that breaks
// is not loaded on because the store is full as well. What is shown and reported is judged from
// committed seconds.
type early struct {
	segment *metric.Segment // of what has come since the last look
	closer  *metric.Closer
	judge   *judge.Judge
	looked  int64
}

// newEarly returns nil for a plan that aborts on nothing.
func newEarly(plan *scenario.Plan, run string, next int64) *early {
	if !slices.ContainsFunc(plan.Criteria, func(c scenario.Criterion) bool { return c.OnBreach == "abort" }) {
		return nil
	}
	return &early{segment: metric.NewSegment(run), closer: metric.NewCloser(next), judge: judge.New(plan)}
}

// checkAborts looks at what has come since the last time, as often as samples are committed, so that
// seconds become whole by the same measure.
func (r *runner) checkAborts() {
	e, now := r.early, r.m.opts.Clock()
	if e == nil || e.segment.Empty() || now-e.looked < int64(r.m.opts.CommitEvery) {
		return
	}
	fresh := e.segment
	e.segment, e.looked = metric.NewSegment(r.id), now
	r.judgeEarly(fresh)
}

// judgeEarly judges the seconds that what has arrived makes whole.
func (r *runner) judgeEarly(fresh *metric.Segment) {
	if r.rebuilding != nil {
		r.judgeMeanwhile(fresh)
		r.rebuilding.arrived = append(r.rebuilding.arrived, fresh)
		return
	}
	r.judgeBy(r.early, fresh)
}

func (r *runner) judgeBy(e *early, fresh *metric.Segment) {
	e.judge.SetSchedule(r.run.History, r.stoppedAt())
	for _, s := range e.closer.Commit(fresh, r.owners()) {
		s.Charge(charging(r.plan))
		e.judge.Observe(s)
	}
	for _, b := range e.judge.Breaches() {
		if b.OnBreach == "abort" {
			r.breached(b)
		}
	}
}
