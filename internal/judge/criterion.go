package judge

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// Lines that the language fixes.
const (
	minValid = 0.95 // share of a criterion's seconds that must be valid
	maxEmpty = 0.05 // share of its windows that may be empty
)

// criterion is one criterion of the plan as it is folded.
type criterion struct {
	scenario.Criterion
	left, over selection
	spots      []place
	scope      scope
	problem    error // why it cannot be judged at all
	rows       map[metric.Labels]*row
	ground     map[metric.Labels]*row // by the part of `by` that the plan tells: what rows seen later begin with
	groups     map[metric.Key]group   // of the series seen, so that labels are read once
	seconds    secondCount
	foreseen   []string // the labels of By that the plan tells
	needed     int      // breached windows in a row that make a breach
	window     int64    // the one that is open
	open       bool
}

// secondCount counts the seconds in which a criterion was active.
type secondCount struct{ active, valid int64 }

// invalid tells whether too few seconds were valid.
func (c secondCount) invalid() bool {
	return c.active > 0 && float64(c.valid) < minValid*float64(c.active)
}

func newCriterion(plan *scenario.Plan, src scenario.Criterion) *criterion {
	c := &criterion{
		Criterion: src, needed: 1,
		rows: map[metric.Labels]*row{}, ground: map[metric.Labels]*row{}, groups: map[metric.Key]group{},
	}
	if !(c.Met > 0) {
		c.Met = 1 // a share of nothing would always be met
	}
	if c.Severity == "" {
		c.Severity = "critical"
	}
	c.left, c.problem = newSelection(src.Check.Left)
	if src.Check.Over != nil && c.problem == nil {
		c.over, c.problem = newSelection(*src.Check.Over)
	}
	if c.problem == nil {
		_, c.problem = holds(src.Check.Op, 0, 0)
	}
	for _, name := range src.During {
		if !slices.ContainsFunc(plan.Phases, func(p scenario.Phase) bool { return p.Name == name }) {
			c.problem = fmt.Errorf("the plan has no phase %q", name)
		}
	}
	if c.problem != nil {
		return c
	}
	if src.Window > 0 && src.For > src.Window {
		c.needed = int((src.For + src.Window - 1) / src.Window)
	}
	c.spots = within(places(plan, src.During), c.left.other)
	c.scope = newScope(c.spots, len(src.During) > 0)
	c.foresee()
	return c
}

// foresee makes the rows that the plan alone tells, so that a step that was never reached has one,
// and the ground for those that it cannot tell.
func (c *criterion) foresee() {
	var known []string
	switch {
	case c.left.metric == metric.Iterations || c.left.inFlight:
		known = placeLabels[:2]
	case slices.Contains(timed, c.left.metric):
		known = placeLabels
	}
	for _, name := range c.By {
		if slices.Contains(known, name) {
			c.foreseen = append(c.foreseen, name)
		}
	}
	into := c.rows
	if len(c.foreseen) < len(c.By) {
		into = c.ground
	}
	if len(c.foreseen) == 0 {
		into[metric.Labels{}] = c.newRow(metric.Labels{})
	}
	for _, p := range c.spots {
		var pairs []string
		for _, name := range c.foreseen {
			pairs = append(pairs, name, p.get(name))
		}
		if l := metric.NewLabels(pairs...); into[l] == nil {
			into[l] = c.newRow(l)
		}
	}
}

func (c *criterion) newRow(l metric.Labels) *row {
	return &row{labels: l, tried: l.Without(scenario.OutcomeLabels...), scope: newScope(at(c.spots, l), c.scope.warmup)}
}

// discover makes the row of a group that is seen for the first time. It begins with what its ground
// has seen, as if it had been there from the start.
func (c *criterion) discover(l metric.Labels) {
	if c.rows[l] != nil {
		return
	}
	r := c.newRow(l)
	c.rows[l] = r
	var pairs []string
	for _, name := range c.foreseen {
		pairs = append(pairs, name, l.Get(name))
	}
	if g := c.ground[metric.NewLabels(pairs...)]; g != nil {
		if !g.derived {
			g.derived = true
			g.endStreak(c)
		}
		r.frame = g.frame.ground()
	}
}

// group is where a series belongs: its labels of `by`, and those of them that do not tell the outcome.
type group struct{ labels, tried metric.Labels }

// group returns the group of a series.
func (c *criterion) group(key metric.Key) group {
	if len(c.By) == 0 {
		return group{}
	}
	g, ok := c.groups[key]
	if !ok {
		pairs := make([]string, 0, 2*len(c.By))
		for _, name := range c.By {
			pairs = append(pairs, name, key.Labels.Get(name))
		}
		g.labels = metric.NewLabels(pairs...)
		g.tried = g.labels.Without(scenario.OutcomeLabels...)
		c.groups[key] = g
	}
	return g
}

// instant is a second as all criteria see it.
type instant struct {
	metric.Second
	paused bool
	valid  bool
	cal    *calendar
}

// windowOf returns the number of the window in which a second begins.
func (c *criterion) windowOf(index int64) int64 {
	return int64(time.Duration(index) * time.Second / c.Window)
}

// observe folds one second. A window closes with its last second, not with the one after it.
func (c *criterion) observe(s instant) []Breach {
	if c.problem != nil {
		return nil
	}
	var out []Breach
	if c.Window > 0 && c.open && c.windowOf(s.Index) != c.window {
		out = c.close()
	}
	active := c.scope.active(s)
	if active && !s.paused {
		c.seconds.active++
		if s.valid {
			c.seconds.valid++
		}
	}
	if c.Window > 0 {
		c.window, c.open = c.windowOf(s.Index), true
	}
	c.fold(s, active)
	if c.Window > 0 && c.windowOf(s.Index+1) != c.window {
		out = append(out, c.close()...)
	}
	return out
}

// missing counts a second that nobody reported.
func (c *criterion) missing(s instant) {
	if c.problem == nil && !s.paused && s.cal.covered(s.Index, 0, c.scope.phases) > 0 {
		c.seconds.active++
	}
}

// takes tells whether the samples of a second take part in this criterion.
func (c *criterion) takes(s instant) bool {
	if c.Window > 0 {
		return s.valid && !s.paused
	}
	return s.valid || c.left.totals() && (c.Check.Over == nil || c.over.totals())
}

// fold puts a second into the frames of the rows.
func (c *criterion) fold(s instant, active bool) {
	takes := c.takes(s)
	var series []metric.Key
	if takes {
		for key, v := range s.Series {
			if c.wants(key, v, active) {
				series = append(series, key)
			}
		}
	}
	for _, key := range series {
		if c.isLeft(key) && c.left.narrow(key.Labels) {
			c.discover(c.group(key).labels)
		}
	}
	for _, r := range c.folded() {
		for _, key := range series {
			c.take(r, key, s)
		}
		r.frame.second(s, r.scope, takes)
		if takes {
			r.gauges(c, s)
			r.frame.left.end(s.Index)
			r.frame.over.end(s.Index)
		}
	}
}

func (c *criterion) isLeft(key metric.Key) bool {
	return c.left.reads(key.Metric) && c.left.base(key.Labels)
}

func (c *criterion) isOver(key metric.Key) bool {
	return c.Check.Over != nil && c.over.reads(key.Metric) && c.over.base(key.Labels)
}

func (c *criterion) isRequest(key metric.Key) bool {
	return key.Metric == metric.ResponseTime && c.left.place(key.Labels)
}

// wants tells whether a series says anything to this criterion.
func (c *criterion) wants(key metric.Key, v metric.Value, active bool) bool {
	return (c.isLeft(key) || c.isOver(key) || c.isRequest(key)) &&
		(v.Hist == nil || !v.Hist.Empty()) && c.scope.holds(key.Labels, active)
}

// take puts a series into a row if it belongs there, or was tried there: then the two differ in
// labels of the outcome only.
func (c *criterion) take(r *row, key metric.Key, s instant) {
	g := c.group(key)
	if g.tried != r.tried {
		return
	}
	v := sample{Value: s.Series[key], labels: key.Labels, index: s.Index, unsent: key.Metric == metric.Unsent}
	same := g.labels == r.labels
	if c.isLeft(key) {
		r.frame.left.add(c.see(c.left, v, same, s.valid))
	}
	if c.isOver(key) {
		r.frame.over.add(c.see(c.over, v, same, s.valid))
	}
	if c.isRequest(key) {
		r.frame.request(key.Labels, v.Value)
	}
}

// see says what a series is to a selection. same tells that it has the labels of the row, valid that its
// second is: the failures of one that is not are in doubt as well, but what took long has taken long.
func (c *criterion) see(sel selection, v sample, same, valid bool) sample {
	if sel.among() && v.Hist != nil {
		return v // a request, which was tried, whatever became of it
	}
	v.selected = same && sel.narrow(v.labels)
	counted := sel.onlyCounts() && !c.byOutcome()
	switch theirs := metric.OriginOf(v.labels.Get("error")) == metric.OriginTarget; {
	case v.unsent:
		v.selected = v.selected && !counted // it is no request, but had it gone well it would be one
	case v.labels.Get("outcome") != "failed", counted, theirs && (valid || sel.latency):
		return v
	}
	v.doubtful = true
	v.spared = same && !c.byOutcome() && sel.narrow(v.labels.Without("error").With("outcome", "ok"))
	return v
}

// folded returns all rows, the ground included, in any order.
func (c *criterion) folded() []*row {
	out := make([]*row, 0, len(c.rows)+len(c.ground))
	for _, r := range c.rows {
		out = append(out, r)
	}
	for _, r := range c.ground {
		out = append(out, r)
	}
	return out
}

// live returns the rows that are judged now. Ground is one as long as nothing has been seen there.
func (c *criterion) live() []*row {
	return ordered(slices.DeleteFunc(c.folded(), func(r *row) bool { return r.derived }))
}

// listed returns the rows that are results, at least one. What was breached before anything was seen
// stays one.
func (c *criterion) listed() []*row {
	rows := slices.DeleteFunc(c.folded(), func(r *row) bool { return r.derived && len(r.violations) == 0 })
	if len(rows) == 0 {
		return []*row{{}}
	}
	return ordered(rows)
}

// ordered sorts rows as they are listed.
func ordered(rows []*row) []*row {
	slices.SortFunc(rows, func(a, b *row) int { return a.labels.Compare(b.labels) })
	return rows
}

// close judges the open window.
func (c *criterion) close() []Breach {
	var out []Breach
	for _, r := range c.live() {
		if b, ok := r.close(c); ok {
			out = append(out, b)
		}
	}
	for _, r := range c.ground {
		r.frame = frame{}
	}
	c.open = false
	return out
}
