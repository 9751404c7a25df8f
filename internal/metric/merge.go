package metric

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"proofload/internal/metric/hist"
)

// NewSecond returns an empty second.
func NewSecond(index int64) Second {
	return Second{
		Index: index, Series: map[Key]Value{}, Infos: map[string]Info{},
		Arrivals: map[ArrivalKey]*Arrivals{}, Health: HealthValid,
	}
}

// Merge adds all that o holds to s, which keeps its index. It shares nothing with o afterwards.
// Paused is the same for all workers, so that the larger stands; the worst health stands. Where two
// describe a metric differently, the description that sorts first stands.
func (s *Second) Merge(o Second) {
	for key, v := range o.Series {
		s.Add(key, v)
	}
	for name, info := range o.Infos {
		s.describe(name, info)
	}
	if s.Arrivals == nil && len(o.Arrivals) > 0 {
		s.Arrivals = map[ArrivalKey]*Arrivals{}
	}
	for key, a := range o.Arrivals {
		mine, ok := s.Arrivals[key]
		if !ok {
			mine = &Arrivals{}
			s.Arrivals[key] = mine
		}
		mine.Merge(*a)
	}
	for phase, n := range o.Peaks {
		s.peak(phase, s.Peaks[phase]+n)
	}
	for key, x := range o.Slowest {
		s.exemplify(key, x)
	}
	s.Paused = max(s.Paused, o.Paused)
	s.Health = max(s.Health, o.Health)
	for _, c := range o.Causes {
		if i, found := slices.BinarySearch(s.Causes, c); !found {
			s.Causes = slices.Insert(s.Causes, i, c)
		}
	}
}

// describe notes what a metric is.
func (s *Second) describe(name string, info Info) {
	if s.Infos == nil {
		s.Infos = map[string]Info{}
	}
	if old, ok := s.Infos[name]; !ok || info.compare(old) < 0 {
		s.Infos[name] = info
	}
}

func (i Info) compare(o Info) int {
	return cmp.Or(strings.Compare(i.Category, o.Category), strings.Compare(i.Unit, o.Unit))
}

// Add adds a delta to one series. It keeps nothing of v.
func (s *Second) Add(key Key, v Value) {
	if s.Series == nil {
		s.Series = map[Key]Value{}
	}
	sum := s.Series[key]
	sum.Count += v.Count
	if v.Hist != nil {
		if sum.Hist == nil {
			sum.Hist = hist.New()
		}
		sum.Hist.Merge(v.Hist)
	}
	s.Series[key] = sum
}

// Clone returns a copy that shares nothing.
func (s *Second) Clone() Second {
	c := NewSecond(s.Index)
	c.Merge(*s)
	c.Health = s.Health
	return c
}

// Merge adds o to a.
func (a *Arrivals) Merge(o Arrivals) {
	a.Planned += o.Planned
	a.Sent += o.Sent
	a.Succeeded += o.Succeeded
	a.Failed += o.Failed
	for cause, n := range o.NotSent {
		if a.NotSent == nil {
			a.NotSent = map[Cause]int64{}
		}
		a.NotSent[cause] += n
	}
	a.InFlight += o.InFlight
	for step, age := range o.Oldest {
		if a.Oldest == nil {
			a.Oldest = map[string]time.Duration{}
		}
		a.Oldest[step] = max(a.Oldest[step], age)
	}
}

// Withheld returns how many arrivals were not sent, over all causes.
func (a Arrivals) Withheld() int64 {
	var n int64
	for _, c := range a.NotSent {
		n += c
	}
	return n
}

// Matching yields the series of a metric whose labels match, in no particular order; nil matches all.
func (s Second) Matching(metric string, match func(Labels) bool) iter.Seq2[Labels, Value] {
	return func(yield func(Labels, Value) bool) {
		for key, v := range s.Series {
			if key.Metric == metric && (match == nil || match(key.Labels)) && !yield(key.Labels, v) {
				return
			}
		}
	}
}

// Select merges the histograms of a metric whose labels match; it is empty when none does.
func (s Second) Select(metric string, match func(Labels) bool) *hist.Histogram {
	h := hist.New()
	for _, v := range s.Matching(metric, match) {
		h.Merge(v.Hist)
	}
	return h
}

// Total adds the counters of a metric whose labels match.
func (s Second) Total(metric string, match func(Labels) bool) int64 {
	var n int64
	for _, v := range s.Matching(metric, match) {
		n += v.Count
	}
	return n
}

// Requests counts the requests that ended, and those of them that failed.
func (s Second) Requests() (ended, failed int64) {
	for labels, v := range s.Matching(ResponseTime, nil) {
		if v.Hist == nil {
			continue
		}
		n := int64(v.Hist.Count())
		ended += n
		if labels.Get("outcome") == "failed" {
			failed += n
		}
	}
	return ended, failed
}

// String returns VALID, DEGRADED or INVALID; what nobody judged is not valid.
func (h Health) String() string {
	switch h {
	case HealthDegraded:
		return "DEGRADED"
	case HealthValid:
		return "VALID"
	}
	return "INVALID"
}

// Compare orders keys by metric, then labels.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Metric, o.Metric), k.Labels.Compare(o.Labels))
}
