package supervisor

import (
	"cmp"
	"math"
	"slices"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// loss is shards that lost their owner. Up to at it owned them, and what it did in a stretch that no
// batch covers is unknown; from then until the heirs take over nobody fired them.
type loss struct {
	member run.Member
	ranges []run.Range
	at     time.Duration // run time at which the owner was given up
	until  time.Duration // run time from which others own the shards; 0: nobody ever did
}

// lose notes what lost workers owned, and tells them to start nothing more should they come back:
// what was theirs may be another's.
func (r *runner) lose(lost []*hand, until time.Duration) {
	for _, h := range lost {
		r.view.lose(sourceOf(h.member))
		if ranges := r.run.Shards.Ranges(h.member); len(ranges) > 0 {
			ranges = slices.Clone(ranges)
			for i, g := range ranges {
				if slices.ContainsFunc(r.handings, func(o *handing) bool { return o.at == g.Until && slices.Contains(o.givers, h) }) {
					// The takers have it only when those who have all of it do, or from now on.
					if ranges[i].Until = 0; until == 0 && r.plan.Loss.Policy == "shed" {
						ranges[i].Until = max(g.Until, *h.lost)
					}
				}
			}
			r.losses = append(r.losses, loss{member: h.member, ranges: ranges, at: *h.lost, until: until})
		}
		h.revision++
		stop := wire.Assignment{Revision: h.revision, Run: r.id, PlanDigest: r.run.Plan, Goal: wire.GoalStop, T0: r.told0, ShardRevision: r.run.Shards.Revision + 1, History: r.run.History, Drain: r.drainTime()}
		if h.gone {
			stop = wire.Assignment{} // another life of it has nothing to finish
		}
		r.m.fleet.Assign(h.member, stop, 0)
	}
}

// account is what the arrivals that are in no batch are derived from.
type account struct {
	plan      *scenario.Plan
	history   run.History
	probes    []run.Probe
	sum       *metric.Aggregate // of all that is committed; it changes no more
	losses    []loss
	closed    map[metric.Source]bool          // sources that have said that they are through, and whose batches are all there
	stopped   map[metric.Source]time.Duration // run time at which a source that said so had been told to start nothing more
	end       time.Duration                   // run time at which the load ended
	completed bool                            // by itself
	moved     bool                            // shards have had more than one owner
}

// account takes what is needed from the run; the run must be past its last batch.
func (r *runner) account() account {
	a := account{
		plan: r.plan, history: r.run.History, probes: slices.Clone(r.run.Probes), sum: r.sum, losses: slices.Clone(r.losses),
		closed: map[metric.Source]bool{}, stopped: map[metric.Source]time.Duration{},
		end: r.now(), moved: r.run.Shards.Revision > 1,
	}
	if s := r.run.Stop; s != nil {
		a.completed = s.Kind == run.StopCompleted
		a.end = s.At
	}
	for _, h := range r.everybody() {
		if h.final != nil && r.complete(h) {
			a.closed[sourceOf(h.member)] = true
		}
		if at := h.status.Stop.At; at > 0 {
			a.stopped[sourceOf(h.member)] = at
		}
	}
	return a
}

// missing derives, by phase, the arrivals that no batch tells of, and when they were due. The schedule is a
// function of the plan and the history alone, so that what a lost worker would have fired is counted and not
// guessed. Of the closed model nothing can be derived: an iteration is planned when it starts. Excess is how many
// arrivals the batches tell of that the schedule does not have: two workers have executed the same part of it.
func (a account) missing() (out map[string]report.Missing, excess int64) {
	out = map[string]report.Missing{}
	timeline := run.NewTimeline(a.history)
	starts := schedule.Starts(a.plan.Phases, timeline)
	for i := range a.plan.Phases {
		p := &a.plan.Phases[i]
		start, known := starts[p.Name]
		if !known || len(p.Rate) == 0 {
			continue
		}
		w := walk{
			plan: a.plan, phase: p, curve: schedule.Executed(p, timeline, start),
			timeline: timeline, start: start, end: a.end,
		}
		unknown, lost := dues{}, dues{}
		for _, l := range a.losses {
			theirs, nobodys := a.stretches(l, a.sum.Parts[sourceOf(l.member)], cmp.Or(p.Late, scenario.DefaultLate))
			unknown.add(w.due(theirs))
			lost.add(w.due(nobodys))
		}
		if told, regular := a.planned(p.Name); a.completed && regular {
			// The schedule ran to its end, so that the number of all arrivals decides: one that was due at
			// the end of a worker's last batch and fired after it is among the unknown ones, as is whatever else
			// stands in no book.
			all := w.curve.Count()
			if p.Arrivals == schedule.Poisson {
				if all = told; len(a.losses) > 0 || a.moved { // they must be walked through to be counted
					all = w.count()
				}
			}
			excess += max(0, told-all)
			// Stretches may overlap with what an heir has executed already; the number of all arrivals does not.
			lost = lost.only(min(lost.total(), max(0, all-told)), w.last())
			unknown = unknown.only(max(0, all-told-lost.total()), w.last())
		}
		if m := missingOf(unknown, lost); len(m.Seconds) > 0 {
			out[p.Name] = m
		}
	}
	return out, excess
}

// stretches divides what a loss left open, in run time: where its owner may have fired, and where
// nobody did. covered is what its owner's batches tell; nil: nothing. That the load has ended says nothing of an
// owner that may not have heard of it: it may have fired until it was given up. Late is how far behind an arrival may
// be fired.
func (a account) stretches(l loss, covered *metric.Part, late time.Duration) (unknown, lost []schedule.Range) {
	var told time.Duration
	if covered != nil {
		told = covered.To
	}
	given, heirs := l.at, time.Duration(math.MaxInt64)
	if at, known := a.stopped[sourceOf(l.member)]; known {
		given = min(given, at+1) // what was due at that very instant it may have fired
	}
	if a.closed[sourceOf(l.member)] {
		given = told // it has told all: what it fired later is nothing
	}
	if l.until > 0 {
		heirs = l.until
	}
	given = max(told, given)
	add := func(to []schedule.Range, g run.Range, from, until time.Duration) []schedule.Range {
		if from = max(from, g.Since); from >= until {
			return to
		}
		return append(to, schedule.Range{From: g.From, To: g.To, Since: from, Until: until})
	}
	for _, g := range l.ranges {
		end := heirs
		if !g.Current() {
			end = min(end, g.Until) // from there on it is another's, who tells of it
		}
		from := told
		if g.Since > 0 && given > told { // it may have heard that it has this only then, and fired what was still in time
			from -= late
		}
		unknown = add(unknown, g, from, min(given, end))
		lost = add(lost, g, given, min(end, a.end))
	}
	return unknown, lost
}

// planned returns the arrivals of a phase that batches tell of; false when it did not run its course
// on every worker because its data were used up.
func (a account) planned(phase string) (n int64, regular bool) {
	regular = true
	for key, row := range a.sum.Total.Arrivals {
		if key.Phase == phase {
			n += row.Planned
			regular = regular && row.NotSent[metric.CauseData] == 0
		}
	}
	return n, regular
}
