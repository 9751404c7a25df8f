package supervisor

import (
	"maps"
	"math"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// recent is the live window: the last seconds that are known of all workers. Each worker tells of a second
// in a batch of its own, so that the newest one is a part only, and would pull the rate down.
type recent struct {
	ring    *metric.Ring
	through map[metric.Source]int64  // newest second that each source has told of
	newest  int64                    // newest second that anybody has told of; -1: none
	shown   int64                    // newest second of the window; -1: none
	judged  map[int64]*metric.Second // the seconds from shown on, without their series
	stats   *wire.Window             // of the window; nil when they are out of date
}

const (
	// windowSeconds is the length of the live window.
	windowSeconds = 5
	// windowBehind is how many seconds the window may be behind the newest one: a worker that says nothing
	// leaves its part out, and does not hold the window up.
	windowBehind = 2
)

func newRecent() *recent {
	return &recent{
		ring:    metric.NewRing(metric.RingOptions{Size: windowSeconds + windowBehind, Keep: inWindow}),
		through: map[metric.Source]int64{}, newest: -1, shown: -1, judged: map[int64]*metric.Second{},
	}
}

// inWindow says which metrics the live window is about.
func inWindow(name string, _ metric.Info) bool {
	return name == metric.ResponseTime || name == metric.ServiceTime || name == metric.ScheduleLag
}

// add takes a worker's part of a second.
func (w *recent) add(b metric.Batch) {
	index := b.Second.Index
	w.ring.Add(b.Second)
	if index <= w.shown {
		w.stats = nil
	}
	told, known := w.through[b.Source]
	if !known || index > told {
		w.through[b.Source] = index
	}
	w.newest = max(w.newest, index)
	w.note(b.Second)
}

// note takes the judgement of a second or of a part of it.
func (w *recent) note(s metric.Second) {
	if s.Index < w.shown {
		return
	}
	mine, ok := w.judged[s.Index]
	if !ok {
		first := metric.NewSecond(s.Index)
		mine = &first
		w.judged[s.Index] = mine
	}
	mine.Merge(metric.Second{Index: s.Index, Health: s.Health, Causes: s.Causes})
}

// pending reports whether a second has begun to come in that the window does not show.
func (w *recent) pending() bool { return w.newest > w.shown }

// settle moves the window on to the newest second of which nothing is missing, and reports whether it moved.
// Awaited are the sources that may still tell of a second.
func (w *recent) settle(awaited []metric.Source) bool {
	last := w.newest
	for _, s := range awaited {
		told, known := w.through[s]
		if !known {
			told = -1
		}
		last = min(last, told)
	}
	last = max(last, w.newest-windowBehind)
	if last <= w.shown {
		return false
	}
	w.shown, w.stats = last, nil
	maps.DeleteFunc(w.judged, func(index int64, _ *metric.Second) bool { return index < last })
	return true
}

// validity is the judgement of the newest second that is shown; empty before the first. One to which somebody
// of those awaited has not told his part is not valid: the numbers of the window are those of a part.
func (w *recent) validity(awaited []metric.Source) (health string, causes []string) {
	s, ok := w.judged[w.shown]
	if !ok {
		return "", nil
	}
	h, causes := s.Health, slices.Clone(s.Causes)
	for _, source := range awaited {
		if told, known := w.through[source]; !known || told < w.shown {
			h, causes = metric.HealthInvalid, append(causes, "missing: "+source.Worker)
		}
	}
	slices.Sort(causes)
	return h.String(), slices.Compact(causes)
}

// window is the statistics of the window. They are computed once for each change, however often they
// are asked for.
func (w *recent) window() wire.Window {
	if w.stats != nil {
		return *w.stats
	}
	of := func(name string) metric.Statistics {
		return w.ring.Statistics(metric.Selector{Metric: name}, w.shown, windowSeconds)
	}
	response := of(metric.ResponseTime)
	stats := wire.Window{
		Length: response.Seconds, Samples: int64(response.Count), Rate: response.Rate, ErrorRatio: response.ErrorRatio,
		P50: inDuration(response.P50), P95: inDuration(response.P95), P99: inDuration(response.P99),
		End: time.Duration(w.shown+1) * time.Second,
	}
	if stats.Samples > 0 {
		stats.ServiceP99, stats.Lag = inDuration(of(metric.ServiceTime).P99), inDuration(of(metric.ScheduleLag).P99)
	}
	w.stats = &stats
	return stats
}

func inDuration(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds * float64(time.Second)))
}

// awaited are the owners of shards that may still tell of a second: not those that have told all, nor
// those that were given up, nor those that own something only from later on. Of a run that is over nothing
// comes any more.
func (r *runner) awaited(second int64) []metric.Source {
	end := time.Duration(second+1) * time.Second
	if r.run.State.Final() {
		return nil
	}
	var out []metric.Source
	for _, o := range r.run.Shards.Owners {
		if !slices.ContainsFunc(o.Ranges, func(g run.Range) bool { return g.Since < end }) {
			continue
		}
		if h := r.life(o.Member); h == nil || h.lost == nil && !r.through(h) {
			out = append(out, sourceOf(o.Member))
		}
	}
	return out
}
