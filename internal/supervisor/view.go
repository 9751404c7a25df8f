package supervisor

import (
	"maps"
	"slices"
	"sync"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// view is what is seen of a run from outside. The runner writes it; anybody reads it, and nobody
// who reads can hold the runner up. Numbers come in with each batch, so that they are live;
// what is not committed yet is provisional.
type view struct {
	plan *scenario.Plan

	hub *metric.Hub[wire.RunView]

	mu     sync.Mutex
	snap   wire.RunView
	events []wire.Event // the newest, maxEvents at most
	before uint64       // events that are not kept any more
	marked map[metric.Source]uint64

	recent   *recent // provisional
	fresh    bool    // there is something that was not published
	totals   wire.Counts
	phases   map[string]*wire.Counts
	inFlight map[string]map[string]int64 // by phase and worker, at the end of its last second
	lost     map[metric.Source]bool      // lives that were given up
	through  int64
	criteria []wire.CriterionProgress
	write    time.Duration // how long the last commit took
}

// recordedEvents is how many of them the record keeps, for the next term and its report.
const recordedEvents = 100

// maxEvents bounds what is kept of a run's events: a worker that comes and goes makes them without end.
const maxEvents = 10_000

func newView(plan *scenario.Plan, head result.Head) *view {
	v := &view{
		plan: plan, marked: head.Marks.Map(), hub: metric.NewHub[wire.RunView](),
		recent: newRecent(), phases: map[string]*wire.Counts{},
		inFlight: map[string]map[string]int64{}, lost: map[metric.Source]bool{}, through: head.Facts.JudgedThrough,
	}
	for i, e := range head.Facts.Events {
		if i == 0 {
			v.before = e.Number - 1
		}
		v.events = append(v.events, wire.Event{Number: e.Number, RunTime: e.At, Kind: e.Kind, Detail: e.Detail, Time: e.Wall})
	}
	v.totals.NotSent = map[string]int64{}
	v.snap.Planned = plan.Planned()
	for _, p := range plan.Phases {
		v.phases[p.Name] = &wire.Counts{NotSent: map[string]int64{}}
		v.inFlight[p.Name] = map[string]int64{}
	}
	return v
}

// update takes the run as it is recorded, and publishes it when there is news. What is not recorded is
// not shown: the next leader would not know of it.
func (v *view) update(r *runner) {
	now, rec := r.now(), r.stored
	elapsed, paused := rec.Times(now)
	v.mu.Lock()
	defer v.mu.Unlock()
	changed := v.snap.Run.State != rec.State || v.snap.Run.Reason != rec.Reason || len(v.snap.Run.History) != len(rec.History)
	v.snap.Run, v.snap.Elapsed, v.snap.Paused = rec, elapsed, paused
	v.snap.Workers = r.crewNames()
	if v.recent.pending() && v.recent.settle(r.awaited(v.recent.newest)) {
		v.fresh = true // a second that is whole is a window that those who watch get
	}
	if r.t0 != nil && now >= 0 {
		v.snap.Progress = v.progress(r, now)
	}
	if changed || v.fresh {
		v.fresh = false
		v.hub.Publish(v.snap)
	}
}

// event adds to the run's events.
func (v *view) event(r *runner, kind, detail string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.events) == maxEvents {
		const gone = maxEvents / 10
		v.events, v.before = slices.Clone(v.events[gone:]), v.before+gone
	}
	e := wire.Event{
		Number: v.before + uint64(len(v.events)) + 1, RunTime: r.now(), Kind: kind, Detail: detail, Time: r.m.opts.Wall(),
	}
	v.events = append(v.events, e)
	v.fresh = true
	kept := r.facts.Events[max(0, len(r.facts.Events)-recordedEvents+1):]
	r.facts.Events = append(slices.Clip(kept), result.Event{Number: e.Number, At: e.RunTime, Wall: e.Time, Kind: kind, Detail: detail})
}

// log returns the events so far, and how many earlier ones are not kept.
func (v *view) log() (events []wire.Event, before uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.events), v.before
}

// since returns the events behind the first n, as far as they are kept, and how many there were in all;
// the lock is held.
func (v *view) since(n uint64) ([]wire.Event, uint64) {
	return slices.Clone(v.events[max(n, v.before)-v.before:]), v.before + uint64(len(v.events))
}

func (v *view) provisional(since time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if since.IsZero() || v.snap.ProvisionalSince.IsZero() {
		v.snap.ProvisionalSince = since
	}
}

func (v *view) marks(m map[metric.Source]uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.marked = m
}

// committed returns through which batch a worker's sequence is durable.
func (v *view) committed(worker string, incarnation int64) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.marked[metric.Source{Worker: worker, Incarnation: incarnation}]
}

// lastWrite returns how long the last commit took.
func (v *view) lastWrite() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.write
}

func (v *view) wrote(took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.write = took
}

// batch adds what a worker has just delivered.
func (v *view) batch(b metric.Batch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.recent.add(b)
	v.add(b.Second)
	if v.lost[b.Source] {
		return // what it brings late is of long ago
	}
	for name, by := range v.inFlight {
		by[b.Source.Worker] = inFlight(b.Second, name)
	}
}

func (v *view) requests(s metric.Second) {
	for key, value := range s.Series {
		if value.Hist == nil {
			continue
		}
		var told wire.Counts
		switch n := int64(value.Hist.Count()); key.Metric {
		case metric.ResponseTime:
			told.Requests = n
			if key.Labels.Get("outcome") == "failed" {
				told.Errors = n
			}
		case metric.Unsent:
			told.Unsent = n
		default:
			continue
		}
		for _, c := range []*wire.Counts{&v.totals, v.phases[key.Labels.Get("phase")]} {
			if c == nil {
				continue
			}
			c.Requests += told.Requests
			c.Errors += told.Errors
			c.Unsent += told.Unsent
		}
	}
}

func (v *view) count(key metric.ArrivalKey, a metric.Arrivals) {
	if p := v.phases[key.Phase]; p != nil {
		count(p, a)
	}
	count(&v.totals, a)
}

func count(c *wire.Counts, a metric.Arrivals) {
	c.Planned += a.Planned
	c.Sent += a.Sent
	c.Succeeded += a.Succeeded
	c.Failed += a.Failed
	for cause, n := range a.NotSent {
		c.NotSent[string(cause)] += n
	}
}

func inFlight(s metric.Second, phase string) int64 {
	var n int64
	for key, a := range s.Arrivals {
		if key.Phase == phase {
			n += a.InFlight
		}
	}
	return n
}

// lose forgets what a worker that was given up had in flight: nobody can tell whether it still is.
func (v *view) lose(life metric.Source) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lost[life] = true
	for _, by := range v.inFlight {
		delete(by, life.Worker)
	}
}

// inFlightOf returns what a worker had in flight of a phase when it last told.
func (v *view) inFlightOf(phase, worker string) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.inFlight[phase][worker]
}

// inFlightIn returns what all workers had in flight of a phase when they last told.
func (v *view) inFlightIn(phase string) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return sum(v.inFlight[phase])
}

func sum(m map[string]int64) int64 {
	var n int64
	for _, v := range m {
		n += v
	}
	return n
}

// whole notes a second that is committed and judged, and to whom it charges the arrivals for which there
// was no permit.
func (v *view) whole(s metric.Second) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.through = s.Index
	v.recent.note(s)
	for key, a := range s.Arrivals {
		charged := map[metric.Cause]int64{}
		for _, cause := range []metric.Cause{metric.CauseMaxInFlight, metric.CauseCapShare} {
			charged[cause] = a.NotSent[cause]
		}
		v.count(key, metric.Arrivals{NotSent: charged})
	}
}

// judged takes the live judgement of the criteria.
func (v *view) judged(c []wire.CriterionProgress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.criteria = c
}

// progress builds the live view; the lock is held.
func (v *view) progress(r *runner, now time.Duration) *wire.Progress {
	p := &wire.Progress{
		RunTime: now, CommittedThrough: v.through, Load: clone(v.totals), Window: v.recent.window(),
		Criteria: v.criteria,
	}
	p.Validity, p.Causes = v.recent.validity(r.awaited(v.recent.shown))
	for _, ph := range v.plan.Phases {
		c := clone(*v.phases[ph.Name])
		c.InFlight = sum(v.inFlight[ph.Name])
		p.Load.InFlight += c.InFlight
		state, start := r.phaseState(ph, now)
		p.Phases = append(p.Phases, wire.PhaseProgress{Name: ph.Name, State: state, Start: start, Length: v.plan.Lasts(&ph), Load: c})
	}
	return p
}

func clone(c wire.Counts) wire.Counts {
	c.NotSent = maps.Clone(c.NotSent)
	return c
}

// snapshot returns the run as it is seen now.
func (v *view) snapshot() wire.RunView {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.snap
}

func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.snap.Ended = true
	v.hub.Publish(v.snap)
	v.hub.Close()
}
