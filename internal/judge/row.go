package judge

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/metric"
)

// row is one result row of a criterion.
type row struct {
	labels  metric.Labels
	tried   metric.Labels // labels without those of the outcome
	derived bool          // ground: there are rows of it
	scope   scope
	frame   frame

	met, breached, tolerated, empty int64 // windows
	bare                            int64 // breached windows without samples, by age or held-back arrivals
	worst                           float64
	judged                          bool   // worst is set
	held                            int64  // arrivals
	doubtful                        int64  // windows
	doubts                          uint64 // requests in them that failed, and not because of the target
	streak                          streak
	violations                      []Violation
}

// streak is breached windows in a row.
type streak struct {
	windows          int
	from, to         int64 // windows
	known            int64 // the one with which the streak had lasted for `for`
	worst            float64
	requests, failed int64
	told             bool // as a Breach
}

// close judges the open window of the row and begins a new one. True with a breach that has now
// lasted for `for`.
func (r *row) close(c *criterion) (Breach, bool) {
	f := r.frame
	r.frame = frame{}
	found, v := c.judge(&f)
	r.held += f.held.arrivals
	switch found {
	case nothing:
		if f.active == 0 {
			r.endStreak(c)
		}
	case empty:
		r.empty++
	case doubtful:
		r.doubtful++
		r.doubts += f.doubts()
	case met:
		r.note(c, v)
		r.met++
		r.endStreak(c)
	case breached:
		r.note(c, v)
		r.breach(c, &f, v)
		if f.left.tried == 0 || c.left.latency && f.left.empty() {
			r.bare++
		}
		if r.streak.windows >= c.needed && !r.streak.told {
			r.streak.told = true
			return r.violation(c).breach(c), true
		}
	}
	return Breach{}, false
}

// note keeps the worst value.
func (r *row) note(c *criterion, v float64) {
	if !r.judged {
		r.worst, r.judged = v, true
		return
	}
	r.worst = worse(c.Check.Op, c.Check.Limit, r.worst, v)
}

// breach lengthens the streak by one window.
func (r *row) breach(c *criterion, f *frame, v float64) {
	s := &r.streak
	if s.windows == 0 {
		s.from, s.worst = c.window, v
	}
	s.windows++
	s.to = c.window
	if s.windows == c.needed {
		s.known = c.window
	}
	s.worst = worse(c.Check.Op, c.Check.Limit, s.worst, v)
	s.requests += f.requests
	s.failed += f.failed
}

// endStreak counts the windows of a streak, which is a violation if it has lasted.
func (r *row) endStreak(c *criterion) {
	if r.streak.windows >= c.needed {
		r.breached += int64(r.streak.windows)
		r.violations = append(r.violations, r.violation(c))
	} else {
		r.tolerated += int64(r.streak.windows)
	}
	r.streak = streak{}
}

// violation describes the streak as it is.
func (r *row) violation(c *criterion) Violation {
	return Violation{
		Criterion: c.Name, Labels: r.labels.Map(), Severity: c.Severity,
		From: time.Duration(r.streak.from) * c.Window, To: time.Duration(r.streak.to+1) * c.Window,
		KnownAt: time.Duration(r.streak.known+1) * c.Window,
		Worst:   finite(r.streak.worst), Limit: c.Check.Limit, Unit: c.Check.Unit,
		Series: r.series(c), Requests: r.streak.requests, Failed: r.streak.failed,
		labels: r.labels,
	}
}

// series names what the row looks at.
func (r *row) series(c *criterion) string {
	s := c.Check.Left.String()
	if c.Check.Over != nil {
		s += " / " + c.Check.Over.String()
	}
	if r.labels != (metric.Labels{}) {
		s += " by " + r.labels.String()
	}
	return s
}

// result judges the row over all that it has seen. It changes nothing, so that it can be asked live;
// last is the newest observed second.
func (r *row) result(c *criterion, last int64) Criterion {
	out := Criterion{
		Name: c.Name, Check: c.Source, Labels: r.labels.Map(), During: c.During, Severity: c.Severity,
		Limit: c.Check.Limit, Unit: c.Check.Unit,
	}
	if c.problem != nil {
		out.Result, out.Reason = Invalid, "it cannot be judged: "+c.problem.Error()
		return out
	}
	if c.Window > 0 {
		r.windows(c, &out, last)
	} else {
		r.whole(c, &out)
	}
	if c.seconds.invalid() {
		out.Result = Invalid
		out.Reason = fmt.Sprintf("only %d of %d seconds are valid; 95 %% are needed", c.seconds.valid, c.seconds.active)
	}
	return out
}

// whole judges a row without windows.
func (r *row) whole(c *criterion, out *Criterion) {
	found, v := c.judge(&r.frame)
	switch found {
	case met:
		out.Result, out.Observed = Pass, finite(v)
	case breached:
		out.Result, out.Observed = Fail, finite(v)
		out.Reason = explain(c, r.frame.held.arrivals)
		to := time.Duration(r.frame.last+1) * time.Second
		out.violations = []Violation{{
			Criterion: c.Name, Labels: r.labels.Map(), Severity: c.Severity,
			From: time.Duration(r.frame.first) * time.Second, To: to, KnownAt: to,
			Worst: finite(v), Limit: c.Check.Limit, Unit: c.Check.Unit, Series: r.series(c),
			Requests: r.frame.requests, Failed: r.frame.failed, labels: r.labels,
		}}
	case doubtful:
		out.Result, out.Reason = Invalid, undecided(r.frame.doubts())
	default:
		out.Result, out.Reason = Invalid, "there are no samples"
		switch {
		case r.frame.doubts() > 0:
			out.Reason = undecided(r.frame.doubts())
		case r.frame.counted > 0 && r.frame.left.tried > 0:
			out.Reason = "there are no samples with these labels"
		}
	}
}

// windows judges a row with windows: it fails when too few of them held whatever the empty and the
// doubtful ones had shown.
func (r *row) windows(c *criterion, out *Criterion, last int64) {
	now := *r
	now.violations = slices.Clone(r.violations)
	now.endStreak(c)
	for i := range now.violations {
		now.violations[i].endBy(time.Duration(last+1) * time.Second)
	}
	held, judged := now.met+now.tolerated, now.met+now.tolerated+now.breached
	out.violations = now.violations
	if r.judged {
		out.Observed = finite(r.worst)
	}
	if judged == 0 {
		out.Result, out.Reason = Invalid, "no window has samples"
		if now.doubtful > 0 {
			out.Reason = undecided(now.doubts)
		}
		return
	}
	share := float64(held) / float64(judged)
	out.Met = &share
	open := now.empty + now.doubtful
	switch {
	case !enough(held+open, judged+open, c.Met):
		out.Result, out.Reason = Fail, explain(c, r.held)
	case float64(now.empty+now.bare) > maxEmpty*float64(judged+now.empty):
		out.Result = Invalid
		out.Reason = fmt.Sprintf("%d of %d windows have no samples", now.empty+now.bare, judged+now.empty)
	case !enough(held+now.doubtful, judged+now.doubtful, c.Met):
		out.Result, out.Reason = Fail, explain(c, r.held)
	case !enough(held, judged+now.doubtful, c.Met):
		out.Result, out.Reason = Invalid, undecided(now.doubts)
	case now.met == 0:
		out.Result, out.Reason = Invalid, "no window holds; those that do not are tolerated, which proves nothing"
	default:
		out.Result = Pass
	}
}

// undecided says why a row is not judged.
func undecided(n uint64) string {
	return fmt.Sprintf("%d requests failed, and not because of the target: whether it holds depends on them", n)
}

// enough tells whether n of all is at least a share, which may have been rounded.
func enough(n, all int64, share float64) bool {
	return float64(n) >= share*float64(all)*(1-1e-12)
}

// explain names the held-back arrivals that have part in a failure.
func explain(c *criterion, n int64) string {
	if n == 0 || !slices.ContainsFunc([]selection{c.left, c.over}, func(s selection) bool { return s.inFlight || s.charged() }) {
		return ""
	}
	return fmt.Sprintf("%d arrivals were held back by max_in_flight; what they would have sent counts as failed, and slower than every limit", n)
}
