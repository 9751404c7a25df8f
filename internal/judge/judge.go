package judge

import (
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// Judge folds the seconds of one run. It is not safe for concurrent use. The final judgement of a
// run takes a new Judge and all of its seconds, in order.
type Judge struct {
	plan     *scenario.Plan
	cal      calendar
	criteria []*criterion
	trust    trust
	last     int64 // newest observed second
	next     int64 // the one after the newest that was looked at, observed or missing
	breaches []Breach
	searched *Searched // nil: the run searches nothing, or every second counts
}

// TellsWorkers tells whether a criterion tells the workers' series of a metric apart, under the name by which it is recorded.
func (j *Judge) TellsWorkers(name string) bool {
	return slices.ContainsFunc(j.criteria, func(c *criterion) bool {
		by := slices.Contains(c.By, "worker")
		return c.left.reads(name) && (by || c.left.tellsWorkers()) ||
			c.Check.Over != nil && c.over.reads(name) && (by || c.over.tellsWorkers())
	})
}

// New returns a judge of runs of a plan, which it does not change. A criterion that cannot be judged,
// such as one with a broken pattern, is no error here: it ends as INVALID.
func New(plan *scenario.Plan) *Judge {
	j := &Judge{plan: plan, cal: newCalendar(plan), last: -1, trust: newTrust(plan)}
	for _, c := range plan.Criteria {
		j.criteria = append(j.criteria, newCriterion(plan, c))
	}
	return j
}

// SetSchedule makes the history known, so that phases begin and pauses lie exactly where they do, and
// the run time at which the load was told to stop; 0: not yet. Give it before the seconds that it
// concerns. Without it, what the seconds themselves say is used, to the second.
func (j *Judge) SetSchedule(h run.History, stopped time.Duration) {
	j.cal.timeline, j.cal.known, j.cal.stopped = run.NewTimeline(h), true, stopped
}

// Observe folds one closed second. Seconds come in order; one that is left out counts as missing, and
// one out of order is not folded and makes the run INVALID. s is not kept and not changed.
func (j *Judge) Observe(s metric.Second) {
	if s.Index < j.next {
		j.trust.disordered++
		return
	}
	j.skip(s.Index)
	j.cal.notice(s)
	if j.masked(s.Index, s.Arrivals) {
		j.cal.paused += min(s.Paused, time.Second)
		j.last, j.next = s.Index, s.Index+1
		return
	}
	i := instant{Second: s, paused: s.Paused > 0, cal: &j.cal}
	i.valid = s.Health == metric.HealthValid || s.Health == metric.HealthDegraded
	j.trust.observe(i)
	for _, c := range j.criteria {
		j.breaches = append(j.breaches, c.observe(i)...)
	}
	j.cal.paused += min(s.Paused, time.Second)
	j.last, j.next = s.Index, s.Index+1
}

// maxSkip bounds how many missing seconds are looked at one by one.
const maxSkip = 1 << 20

// skip counts the seconds that nobody reported before the given one. What is missing before the first
// observed second is missing too: run time begins at 0.
func (j *Judge) skip(before int64) {
	for n := j.next; n < before && n-j.next < maxSkip; n++ {
		if j.masked(n, nil) {
			continue
		}
		i := instant{Second: metric.Second{Index: n}, cal: &j.cal}
		at := time.Duration(n) * time.Second
		i.paused = j.cal.known && j.cal.timeline.PausedWithin(at, at+time.Second) > 0
		j.trust.missing(i)
		for _, c := range j.criteria {
			c.missing(i)
		}
	}
	j.next = max(j.next, before)
}

// Breaches returns the breaches since the last call, in order. A breach is told once, when it has
// lasted for `for`.
func (j *Judge) Breaches() []Breach {
	out := j.breaches
	j.breaches = nil
	return out
}

// Standing returns the rows of the criteria as they stand after the windows that have closed. Rows
// without samples so far are INVALID.
func (j *Judge) Standing() []Criterion {
	var out []Criterion
	for _, c := range j.criteria {
		for _, r := range c.listed() {
			row := r.result(c, j.last)
			row.violations = nil
			out = append(out, row)
		}
	}
	return out
}

// Final closes the last windows and judges the run; seconds that the schedule has after the newest one
// are missing, if the history is known. It may be called again with another input, but
// nothing may be observed after it.
func (j *Judge) Final(in Input) Outcome {
	var out Outcome
	if in.Stop == nil || in.Stop.Kind == run.StopCompleted || j.cal.stopped > 0 { // else it was stopped before the load began
		j.skip(j.cal.end())
	}
	for _, c := range j.criteria {
		if c.open {
			j.breaches = append(j.breaches, c.close()...)
		}
		for _, r := range c.listed() {
			row := r.result(c, j.last)
			for _, v := range row.violations {
				if end := in.loadEnd(); v.From < end { // else it is of what was in flight then
					v.endBy(end)
				}
				v.ID = ViolationID(in.Run, v.Criterion, v.labels, v.From)
				row.Violations = append(row.Violations, v.ID)
				out.Violations = append(out.Violations, v)
			}
			row.violations = nil
			out.Criteria = append(out.Criteria, row)
		}
	}
	out.Verdict, out.Generator = j.verdict(in, out.Criteria), j.trust.generator()
	return out
}
