package judge

import (
	"cmp"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// calendar knows when the phases of a plan are scheduled. Starts that the history has to tell are,
// as long as it does not, taken from the first second in which an arrival was planned.
type calendar struct {
	phases   map[string]*scenario.Phase
	timeline run.Timeline
	known    bool // the history was given; else paused is what the seconds say
	paused   time.Duration
	stopped  time.Duration // run time at which the schedule was cut short; 0: it was not
	seen     map[string]time.Duration
	dry      map[string]bool // phases whose data ran out, which ended them before their time
}

func newCalendar(plan *scenario.Plan) calendar {
	c := calendar{phases: map[string]*scenario.Phase{}, seen: map[string]time.Duration{}, dry: map[string]bool{}}
	for i := range plan.Phases {
		c.phases[plan.Phases[i].Name] = &plan.Phases[i]
	}
	return c
}

// plan returns the plan time at a run time at or after the last observed second.
func (c *calendar) plan(at time.Duration) time.Duration {
	if c.known {
		return c.timeline.PlanTime(at)
	}
	return at - c.paused
}

// start returns the plan time at which a phase starts, as far as it is known.
func (c *calendar) start(name string) (time.Duration, bool) {
	for range c.phases { // bounded, so that a circle of with ends too
		p := c.phases[name]
		switch {
		case p == nil:
			return 0, false
		case p.With != "":
			name = p.With
			continue
		case p.After == "":
			return p.At, true
		}
		if at, ok := c.timeline.PhaseStart(name); ok {
			return c.timeline.PlanTime(at), true
		}
		at, ok := c.seen[name]
		return at, ok
	}
	return 0, false
}

// length returns how long a phase is that starts at a plan time, as it was executed.
func (c *calendar) length(name string, start time.Duration) time.Duration {
	return c.timeline.PhaseLength(name, start, c.phases[name].Length)
}

// notice remembers phases that are seen to have begun, or to have run out of data.
func (c *calendar) notice(s metric.Second) {
	for key, a := range s.Arrivals {
		if a.NotSent[metric.CauseData] > 0 {
			c.dry[key.Phase] = true
		}
		if _, ok := c.seen[key.Phase]; !ok && a.Planned > 0 {
			c.seen[key.Phase] = c.plan(time.Duration(s.Index) * time.Second)
		}
	}
}

// end returns the index after the last second that is known to be scheduled; 0: none is.
func (c *calendar) end() int64 {
	var plan time.Duration
	for name := range c.phases {
		if start, ok := c.start(name); ok && !c.dry[name] {
			plan = max(plan, start+c.length(name, start))
		}
	}
	at, ok := c.timeline.RunTime(plan)
	if !c.known || !ok {
		return 0
	}
	if c.stopped > 0 {
		at = min(at, c.stopped)
	}
	return int64((at + time.Second - 1) / time.Second)
}

// covered returns how much of a second the schedules of the phases cover together, pauses left out.
func (c *calendar) covered(index int64, pausedIn time.Duration, phases []string) time.Duration {
	from := time.Duration(index) * time.Second
	lo, hi := c.plan(from), c.plan(from+time.Second)
	if !c.known {
		hi -= min(pausedIn, time.Second)
	}
	if c.stopped > 0 {
		hi = min(hi, c.plan(max(from, min(c.stopped, from+time.Second))))
	}
	var parts [][2]time.Duration
	for _, name := range phases {
		if start, ok := c.start(name); ok {
			parts = append(parts, [2]time.Duration{max(lo, start), min(hi, start+c.length(name, start))})
		}
	}
	slices.SortFunc(parts, func(a, b [2]time.Duration) int { return cmp.Compare(a[0], b[0]) })
	var sum time.Duration
	end := lo
	for _, p := range parts {
		if p[0] = max(p[0], end); p[1] > p[0] {
			sum += p[1] - p[0]
			end = p[1]
		}
	}
	return sum
}
