package metric

import (
	"cmp"
	"slices"
	"time"

	"proofload/internal/metric/hist"
)

// RingOptions configure a Ring.
type RingOptions struct {
	// Size is the number of seconds that are kept, at least 1.
	Size int
	// Keep says which metrics enter; nil takes all. The info of the engine's own metrics is empty.
	Keep func(metric string, info Info) bool
}

// Ring is a circular buffer of seconds. It answers questions about a window of them. A second may
// come in parts and late, as long as it is not older than what is kept. Its memory is bounded by its
// size and the number of series per second: values are kept encoded, some hundred bytes for a busy
// series and some ten for a single value. Only the newest seconds are kept as they are, because their parts
// still come, one from each worker: encoding anew for each would cost far more than what is added. It is
// not safe for concurrent use.
type Ring struct {
	opts   RingOptions
	slots  []ringSlot // by index modulo their number
	newest int64
	filled bool // whether there is a newest second
	missed int64
	infos  map[string]Info
}

// ringSlot is one second.
type ringSlot struct {
	used   bool
	index  int64
	paused time.Duration
	series map[Key]packed
	open   Second // what is not encoded yet
}

// ringOpen is how many of the newest seconds are not encoded yet.
const ringOpen = 3

// NewRing returns an empty ring.
func NewRing(opts RingOptions) *Ring {
	opts.Size = max(opts.Size, 1)
	return &Ring{opts: opts, slots: make([]ringSlot, opts.Size), infos: map[string]Info{}}
}

// Add takes a second or a part of one and keeps nothing of s. It is false when the second is older
// than what is kept; Missed counts those.
func (r *Ring) Add(s Second) bool {
	if s.Index < 0 || (r.filled && s.Index <= r.newest-int64(len(r.slots))) {
		r.missed++
		return false
	}
	if !r.filled || s.Index > r.newest {
		r.newest, r.filled = s.Index, true
		r.pack(s.Index - ringOpen)
	}
	at := &r.slots[s.Index%int64(len(r.slots))]
	if !at.used || at.index != s.Index {
		*at = ringSlot{used: true, index: s.Index, series: map[Key]packed{}}
	}
	at.paused = max(at.paused, s.Paused)
	for key, v := range s.Series {
		info, told := s.Infos[key.Metric]
		if !told {
			info = r.infos[key.Metric]
		}
		if r.opts.Keep != nil && !r.opts.Keep(key.Metric, info) {
			continue
		}
		if info != (Info{}) {
			r.infos[key.Metric] = info
		}
		at.open.Add(key, v)
	}
	r.pack(r.newest - ringOpen) // this one, if it is late
	return true
}

// pack encodes what the seconds up to last hold.
func (r *Ring) pack(last int64) {
	for i := range r.slots {
		s := &r.slots[i]
		if s.index > last || len(s.open.Series) == 0 {
			continue
		}
		for key, v := range s.open.Series {
			s.series[key] = s.series[key].plus(v)
		}
		s.open = Second{}
	}
}

// Missed returns how many seconds, or parts, came too late to be kept.
func (r *Ring) Missed() int64 { return r.missed }

// Info returns what is known of a metric that is kept.
func (r *Ring) Info(metric string) Info { return r.infos[metric] }

// Keys returns the series that have values in the newest n seconds, in order.
func (r *Ring) Keys(n int) []Key {
	seen := map[Key]bool{}
	for _, s := range r.window(r.newest, n) {
		for key := range s.series {
			seen[key] = true
		}
		for key := range s.open.Series {
			seen[key] = true
		}
	}
	keys := make([]Key, 0, len(seen))
	for key := range seen {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, Key.Compare)
	return keys
}

// window returns the seconds that are there of the n up to last, oldest first.
func (r *Ring) window(last int64, n int) []*ringSlot {
	var in []*ringSlot
	if !r.filled {
		return nil
	}
	before := max(last-int64(n), r.newest-int64(len(r.slots)))
	for i := range r.slots {
		if s := &r.slots[i]; s.used && s.index > before && s.index <= last {
			in = append(in, s)
		}
	}
	slices.SortFunc(in, func(a, b *ringSlot) int { return cmp.Compare(a.index, b.index) })
	return in
}

// Statistics describes the selected series over the n seconds up to last, as far as they are kept: seconds
// behind it are not looked at, because they may not be whole. Of seconds that were paused, only the rest
// counts; what was measured in wholly paused ones is left out.
func (r *Ring) Statistics(of Selector, last int64, n int) Statistics {
	g := newGather()
	var deltas []delta
	for _, s := range r.window(last, n) {
		active := time.Second - s.paused
		if active <= 0 {
			continue
		}
		g.active += active
		at := float64(s.index)
		deltas = append(deltas, delta{at, r.collect(g, at, s, of)})
	}
	if g.all.Empty() { // a counter, which also has a value where it did not move
		for _, d := range deltas {
			g.trend.Add(d.at, 1, float64(d.count))
		}
	}
	return g.statistics()
}

type delta struct {
	at    float64
	count int64
}

// collect adds one second to g and returns by how much counters moved in it.
func (r *Ring) collect(g *gather, at float64, s *ringSlot, of Selector) int64 {
	h := hist.New()
	var counted int64
	add := func(key Key, count int64, v *hist.Histogram) {
		counted += count
		h.Merge(v)
		if v != nil && key.Labels.Get("outcome") == "failed" {
			g.failed += v.Count()
		}
	}
	wanted := func(key Key) bool { return key.Metric == of.Metric && (of.Match == nil || of.Match(key.Labels)) }
	for key, p := range s.series {
		if wanted(key) {
			add(key, p.count, p.histogram())
		}
	}
	for key, v := range s.open.Series {
		if wanted(key) {
			add(key, v.Count, v.Hist)
		}
	}
	g.count += counted
	g.all.Merge(h)
	g.trend.Add(at, float64(h.Count()), h.Sum())
	return counted
}
