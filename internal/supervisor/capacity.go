package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"proofload/internal/judge"
	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/search"
)

// capacity is the search of a run for what its target bears. What the search has come to stands in the record: the
// probes as they were judged, and in the history when each began. Here is only what is being measured, which a new
// leader reads again from what is committed, so that no probe is judged twice, and none on a part of its seconds.
type capacity struct {
	probe   string // id of the change that began the probe under way; empty: none is
	window  *judge.Window
	watch   *judge.Judge             // of the criteria that abort, since the probe began
	next    int64                    // the second of the probe that is folded next
	unfit   map[int64]bool           // seconds of the probe that were not VALID
	seconds map[int64]*metric.Second // of the probe, committed and not folded yet
	through map[metric.Source]int64  // newest second that each source has committed
}

func newCapacity(sum *metric.Aggregate) *capacity {
	c := &capacity{seconds: map[int64]*metric.Second{}, through: map[metric.Source]int64{}}
	for source, p := range sum.Parts {
		c.through[source] = p.LastSecond
	}
	return c
}

// keep adds what is committed of a second of the probe under way. It keeps nothing of s.
func (c *capacity) keep(s *metric.Second) {
	mine, ok := c.seconds[s.Index]
	if !ok {
		fresh := metric.NewSecond(s.Index)
		mine = &fresh
		c.seconds[s.Index] = mine
	}
	mine.Merge(*s)
}

// aborting returns the plan with those of its criteria that abort.
func aborting(plan *scenario.Plan) *scenario.Plan {
	own := *plan
	own.Criteria = slices.DeleteFunc(slices.Clone(plan.Criteria), func(c scenario.Criterion) bool { return c.OnBreach != "abort" })
	return &own
}

// cut says what a breach shows that ends a probe: nothing of the target where the generators were near their limit.
func (c *capacity) cut(probe run.Change, b judge.Breach) search.Verdict {
	v := search.Verdict{Rate: probe.Rate, Outcome: search.Broken, Criterion: b.Criterion, Reason: strings.TrimPrefix(b.Message, b.Criterion+": ")}
	for second := range c.unfit {
		if at := time.Duration(second) * time.Second; at >= b.From && at < b.To {
			v = search.Verdict{Rate: probe.Rate, Outcome: search.Limited, Reason: "the generators were at their limit or near it when " + b.Message}
		}
	}
	return v
}

// probeWindow returns the seconds that a probe is measured in, [from, to).
func probeWindow(s *scenario.Search, probe run.Change) (from, to int64) {
	from = int64((probe.At + s.Warm) / time.Second)
	return from, from + int64(s.Measure/time.Second)
}

// searchCommitted takes a segment that is committed now.
func (r *runner) searchCommitted(g *metric.Segment) {
	if r.capacity == nil {
		return
	}
	for source, p := range g.Parts {
		r.capacity.through[source] = max(r.capacity.through[source], p.LastSecond)
	}
	if probe, open := r.run.OpenProbe(); open {
		_, to := probeWindow(r.plan.Search, probe)
		for index, s := range g.Seconds {
			if index >= r.capacity.due(probe) && index < to {
				r.capacity.keep(s)
			}
		}
	}
}

// due is the second of a probe that is folded next.
func (c *capacity) due(probe run.Change) int64 {
	if c.probe == probe.ID {
		return c.next
	}
	return int64(probe.At / time.Second)
}

// searching reports whether the phase that is searched has started and is not over.
func (r *runner) searching() bool {
	s := r.plan.Search
	if s == nil || r.t0 == nil {
		return false
	}
	timeline := r.run.Timeline()
	start, known := schedule.Starts(r.plan.Phases, timeline)[s.Phase]
	plan := timeline.PlanTime(r.now())
	phase := r.searchedPhase()
	return known && plan >= start && plan < start+timeline.PhaseLength(s.Phase, start, phase.Length)
}

// searchEnded tells whether the search has come to its end.
func (r *runner) searchEnded() bool {
	return slices.ContainsFunc(r.run.History, func(c run.Change) bool {
		return c.Kind == run.ChangePhaseEnd && c.Phase == r.plan.Search.Phase
	})
}

// searchForbids refuses to scale a run while a search sets the rate: what it finds would not be what it says.
func (r *runner) searchForbids(ev run.Event) error {
	if _, known := r.run.Answer(ev.ID); r.capacity == nil || ev.Kind != run.ScaleRequested || known || r.searchEnded() {
		return nil
	}
	return &run.TransitionError{
		Run: r.id, From: r.run.State, Event: ev.Kind,
		Detail: fmt.Sprintf("a search sets the rate of phase %s until it is done", r.plan.Search.Phase),
	}
}

func (r *runner) searchedPhase() *scenario.Phase {
	i := slices.IndexFunc(r.plan.Phases, func(p scenario.Phase) bool { return p.Searched })
	return &r.plan.Phases[i]
}

// checkSearch goes on with the search: it judges the probe under way when all of its seconds are committed, and begins
// the next one.
func (r *runner) checkSearch() {
	if r.capacity == nil || r.rebuilding != nil || r.run.State != run.Running || !r.searching() || r.searchEnded() {
		return
	}
	if probe, open := r.run.OpenProbe(); open {
		r.measure(probe)
		return
	}
	r.nextProbe()
}

// measure folds what is committed of the probe under way, as far as everybody's part of it is.
func (r *runner) measure(probe run.Change) {
	c, s := r.capacity, r.plan.Search
	from, to := probeWindow(s, probe)
	if c.probe != probe.ID {
		c.next, c.unfit = c.due(probe), map[int64]bool{}
		c.probe, c.window, c.watch = probe.ID, judge.NewWindow(r.plan, s.Phase, from, to), judge.New(aborting(r.plan))
		maps.DeleteFunc(c.seconds, func(index int64, _ *metric.Second) bool { return index < c.next || index >= to })
	}
	c.window.SetSchedule(r.run.History)
	c.watch.SetSchedule(r.run.History, 0)
	if r.run.Timeline().PausedWithin(probe.At, min(r.now(), time.Duration(to)*time.Second)) > 0 {
		r.judged(run.Probe{Change: probe.ID, Cut: true, Verdict: search.Verdict{
			Rate: probe.Rate, Outcome: search.Disturbed, Reason: "the run was paused while it was measured",
		}})
		return
	}
	moved := false
	for ; c.next < to && r.wholeNow(c.next); c.next++ {
		if second, ok := c.seconds[c.next]; ok {
			delete(c.seconds, c.next)
			second.Charge(charging(r.plan))
			c.window.Observe(*second)
			c.watch.Observe(*second)
			if moved = true; second.Health != metric.HealthValid {
				c.unfit[c.next] = true
			}
		}
	}
	if breaches := c.watch.Breaches(); len(breaches) > 0 {
		// What would end another run is an answer here: the load ends, and the search goes on.
		r.judged(run.Probe{Change: probe.ID, Cut: true, Verdict: c.cut(probe, breaches[0])})
		return
	}
	if c.next < to {
		if moved {
			r.view.judged(progressOf(c.window.Standing()))
		}
		return
	}
	proof := c.window.Proof(probeLoad(r.plan, r.run.History, probe))
	r.judged(run.Probe{Change: probe.ID, Verdict: proof.Verdict})
}

// wholeNow reports whether everybody who may have a part of a second has committed it.
func (r *runner) wholeNow(second int64) bool {
	end := time.Duration(second+1) * time.Second
	for _, source := range r.awaited(second) {
		if through, heard := r.capacity.through[source]; !heard || through < second {
			return false
		}
	}
	return r.now() >= end
}

// probeLoad is the load that the schedule has in the measured seconds of a probe.
func probeLoad(plan *scenario.Plan, history run.History, probe run.Change) judge.Expected {
	timeline := run.NewTimeline(history)
	e := judge.Expected{Rate: probe.Rate}
	for i := range plan.Phases {
		p := &plan.Phases[i]
		if !p.Searched {
			continue
		}
		start := schedule.Starts(plan.Phases, timeline)[p.Name]
		curve := schedule.Executed(p, timeline, start)
		from, to := probeWindow(plan.Search, probe)
		at := func(second int64) float64 {
			return curve.Integral(timeline.PlanTime(time.Duration(second)*time.Second) - start)
		}
		e.Arrivals, e.Poisson = at(to)-at(from), p.Arrivals == schedule.Poisson
	}
	return e
}

// judged records a probe, and says what comes of it.
func (r *runner) judged(p run.Probe) {
	if !r.expect(run.Event{Kind: run.ProbeJudged, Probe: &p, Reason: "the probe is judged"}) {
		return
	}
	r.capacity.probe = ""
	r.view.judged(nil)
	text := fmt.Sprintf("probe %d at %s", len(r.run.Probes), judge.FormatRate(p.Rate))
	switch p.Outcome {
	case search.Held:
		text += " held"
	case search.Broken:
		text += fmt.Sprintf(" broke %q: %s", p.Criterion, p.Reason)
	case search.Limited:
		text += " was not measured: " + p.Reason
	default:
		text += " was disturbed: " + p.Reason
	}
	r.view.event(r, "search", text)
}

// nextProbe begins the next probe once the target has had its rest, or ends the search.
func (r *runner) nextProbe() {
	s := r.plan.Search
	so, err := search.Replay(s.Config(), r.run.Verdicts())
	if err != nil {
		r.abandon(fmt.Errorf("search of phase %s: %w", s.Phase, err))
		return
	}
	step := so.Next()
	if step.Done {
		found := judge.Searched{Phase: s.Phase, Result: step.Result}
		if r.expect(run.Event{Kind: run.PhaseEnded, Phase: s.Phase, Reason: "the search is done"}) {
			r.view.event(r, "search", found.Sentence())
		}
		return
	}
	rest, waiting := r.resting()
	if waiting {
		return
	}
	r.expect(run.Event{
		Kind: run.ProbeStarted, Phase: s.Phase, Rate: step.Rate, For: s.Load(), At: rest,
		Reason: fmt.Sprintf("probe %d at %s", len(r.run.Probes)+1, judge.FormatRate(step.Rate)),
	})
}

// resting returns when the next probe may begin at the earliest, in run time, and whether something of the last one is
// still in flight, which is waited for as long as an iteration may take.
func (r *runner) resting() (until time.Duration, waiting bool) {
	s := r.plan.Search
	timeline := r.run.Timeline()
	probes := timeline.Probes(s.Phase)
	if len(probes) == 0 {
		return 0, false
	}
	last := probes[len(probes)-1]
	ended, known := timeline.RunTime(last.Plan + last.For)
	if !known {
		return 0, true
	}
	now := r.now()
	busy := now < ended || r.view.inFlightIn(s.Phase) > 0
	return ended + s.Cool, busy && now < ended+r.restTime()
}

// ofSearch tells whether what happened at a run time is the affair of the search.
func (r *runner) ofSearch(at time.Duration) bool {
	s := r.plan.Search
	if s == nil {
		return false
	}
	timeline := r.run.Timeline()
	start, known := schedule.Starts(r.plan.Phases, timeline)[s.Phase]
	plan := timeline.PlanTime(at)
	// A window may begin before the phase, and what was in flight at its end takes a while.
	return known && plan+time.Minute >= start && plan < start+timeline.PhaseLength(s.Phase, start, r.searchedPhase().Length)+r.restTime()
}

// restTime is how long what a probe has started may be in flight, and a second until that is known.
func (r *runner) restTime() time.Duration {
	return r.plan.Longest(r.searchedPhase()) + time.Second
}

// searchedResult is what the search of the run has come to; nil: the run searches nothing.
func (r *runner) searchedResult() *judge.Searched {
	s := r.plan.Search
	if s == nil {
		return nil
	}
	so, err := search.Replay(s.Config(), r.run.Verdicts())
	if err != nil {
		r.log.Error("search not replayed", "error", err)
	}
	found := &judge.Searched{Phase: s.Phase, Result: so.Next().Result}
	began := r.run.History.Probes()
	for i, p := range r.run.Probes {
		counts := p.Outcome == search.Held && p.Rate == found.Result.Low
		if found.Result.Kind == search.TooLow {
			counts = p.Outcome == search.Broken && p.Rate == found.Result.High && !p.Cut
		}
		if counts {
			from, to := probeWindow(s, began[i])
			found.Windows = append(found.Windows, [2]int64{from, to})
		}
	}
	return found
}
