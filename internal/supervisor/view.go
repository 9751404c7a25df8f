package supervisor

import (
	"maps"
	"slices"
	"sync"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/result"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// view is what is seen of a run from outside. The runner writes it; anybody reads it, and nobody
// who reads can hold the runner up. Numbers come in with each batch, so that they are live;
// what is not committed yet is provisional.
type view struct {
	plan *scenario.Plan

	mu       sync.Mutex
	snap     wire.RunView
	events   []wire.Event
	marked   map[metric.Source]uint64
	watchers map[*Watcher]struct{}

	recent    map[int64]*metric.Second // the last windowSeconds seconds, provisional
	newest    int64
	totals    wire.Counts
	phases    map[string]*wire.Counts
	inFlight  map[string]map[string]int64 // by phase and worker, at the end of its last second
	through   int64
	criteria  []wire.CriterionProgress
	write     time.Duration    // how long the last commit took
	delivered map[string]int64 // requests by worker
}

// windowSeconds is the length of the live window.
const windowSeconds = 5

func newView(plan *scenario.Plan, head result.Head) *view {
	v := &view{
		plan: plan, marked: head.Marks.Map(), watchers: map[*Watcher]struct{}{},
		recent: map[int64]*metric.Second{}, phases: map[string]*wire.Counts{},
		inFlight: map[string]map[string]int64{}, through: head.Facts.JudgedThrough,
		delivered: map[string]int64{},
	}
	v.totals.NotSent = map[string]int64{}
	v.snap.Seed, v.snap.Planned = plan.Seed, plan.Planned()
	for _, p := range plan.Phases {
		v.phases[p.Name] = &wire.Counts{NotSent: map[string]int64{}}
		v.inFlight[p.Name] = map[string]int64{}
	}
	return v
}

// update takes the run as it is now and wakes those who watch.
func (v *view) update(r *runner) {
	now := r.now()
	elapsed, paused := r.run.Times(now)
	v.mu.Lock()
	defer v.mu.Unlock()
	changed := v.snap.Run.State != r.run.State || v.snap.Run.Reason != r.run.Reason || len(v.snap.Run.History) != len(r.run.History)
	v.snap.Run, v.snap.Elapsed, v.snap.Paused = r.run, elapsed, paused
	v.snap.Workers = r.crewNames()
	if r.t0 != nil && now >= 0 {
		v.snap.Progress = v.progress(r, now)
	}
	if changed {
		v.wake()
	}
}

// event adds to the run's events.
func (v *view) event(r *runner, kind, detail string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, wire.Event{
		Number: uint64(len(v.events)) + 1, RunTime: r.now(), Kind: kind, Detail: detail, Time: r.m.opts.Wall(),
	})
	v.wake()
}

// Events returns the events so far.
func (v *view) log() []wire.Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.events)
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
	s, ok := v.recent[b.Second.Index]
	if !ok {
		fresh := metric.NewSecond(b.Second.Index)
		s = &fresh
		v.recent[b.Second.Index] = s
	}
	s.Merge(b.Second)
	if b.Second.Index > v.newest {
		v.newest = b.Second.Index
		maps.DeleteFunc(v.recent, func(index int64, _ *metric.Second) bool { return index <= v.newest-windowSeconds })
		v.wake()
	}
	for key, a := range b.Second.Arrivals {
		if p := v.phases[key.Phase]; p != nil {
			count(p, *a)
		}
		count(&v.totals, *a)
	}
	for name, by := range v.inFlight {
		by[b.Source.Worker] = inFlight(b.Second, name)
	}
	v.requests(b.Second)
	n, _ := b.Second.Requests()
	v.delivered[b.Source.Worker] += n
}

// samples returns how many requests a worker has delivered.
func (v *view) samples(worker string) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.delivered[worker]
}

func (v *view) requests(s metric.Second) {
	for key, value := range s.Series {
		if key.Metric != metric.ResponseTime || value.Hist == nil {
			continue
		}
		n := int64(value.Hist.Count())
		failed := key.Labels.Get("outcome") == "failed"
		for _, c := range []*wire.Counts{&v.totals, v.phases[key.Labels.Get("phase")]} {
			if c == nil {
				continue
			}
			c.Requests += n
			if failed {
				c.Errors += n
			}
		}
	}
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

// atCap reports whether a phase was at its cap over the fleet when the workers last told.
func (v *view) atCap(phase string, limit int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return sum(v.inFlight[phase]) >= limit
}

func sum(m map[string]int64) int64 {
	var n int64
	for _, v := range m {
		n += v
	}
	return n
}

// whole notes a second that is committed and judged.
func (v *view) whole(s metric.Second) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.through = s.Index
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
		RunTime: now, CommittedThrough: v.through, Load: clone(v.totals), Window: v.window(),
		Criteria: v.criteria,
	}
	if s, ok := v.recent[v.newest]; ok {
		p.Validity, p.Causes = s.Health.String(), slices.Clone(s.Causes)
	}
	for _, ph := range v.plan.Phases {
		c := clone(*v.phases[ph.Name])
		c.InFlight = sum(v.inFlight[ph.Name])
		p.Load.InFlight += c.InFlight
		state, start := r.phaseState(ph, now)
		p.Phases = append(p.Phases, wire.PhaseProgress{Name: ph.Name, State: state, Start: start, Length: ph.Length, Load: c})
	}
	return p
}

func clone(c wire.Counts) wire.Counts {
	c.NotSent = maps.Clone(c.NotSent)
	return c
}

// window is the statistics of the recent seconds; the lock is held.
func (v *view) window() wire.Window {
	response, service, lag := hist.New(), hist.New(), hist.New()
	var requests, failed int64
	for _, s := range v.recent {
		response.Merge(s.Select(metric.ResponseTime, nil))
		service.Merge(s.Select(metric.ServiceTime, nil))
		lag.Merge(s.Select(metric.ScheduleLag, nil))
		n, f := s.Requests()
		requests, failed = requests+n, failed+f
	}
	w := wire.Window{Length: time.Duration(len(v.recent)) * time.Second, Samples: requests}
	if requests == 0 {
		return w
	}
	w.Rate = float64(requests) / float64(len(v.recent))
	w.ErrorRatio = float64(failed) / float64(requests)
	w.P50, w.P95, w.P99 = response.Quantile(0.5), response.Quantile(0.95), response.Quantile(0.99)
	w.ServiceP99, w.Lag = service.Quantile(0.99), lag.Quantile(0.99)
	return w
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
	v.wake()
}

// wake tells the watchers that there is something new; the lock is held.
func (v *view) wake() {
	for w := range v.watchers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// Watcher follows one run. A slow one misses snapshots, never events, and holds nothing up.
type Watcher struct {
	view *view
	wake chan struct{}
	seen int
}

// Watch follows a live run until Close.
func (m *Manager) Watch(id string) (*Watcher, error) {
	r, err := m.live(id)
	if err != nil {
		return nil, err
	}
	w := &Watcher{view: r.view, wake: make(chan struct{}, 1)}
	w.wake <- struct{}{}
	r.view.mu.Lock()
	defer r.view.mu.Unlock()
	r.view.watchers[w] = struct{}{}
	return w, nil
}

// C has an element whenever Next may have something new.
func (w *Watcher) C() <-chan struct{} { return w.wake }

// Next returns the run as it is now and the events since the last call. It must not be called
// concurrently with itself.
func (w *Watcher) Next() (wire.RunView, []wire.Event) {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	events := slices.Clone(w.view.events[w.seen:])
	w.seen = len(w.view.events)
	return w.view.snap, events
}

// Close stops following.
func (w *Watcher) Close() {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	delete(w.view.watchers, w)
}
