package report

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
)

// Fold gathers closed seconds, merged over the workers, into what a report needs of them. Adding is
// commutative, and the parts of one second may come one by one, so amendments are simply added. Its
// size grows by some hundred bytes per second of the run. It is not safe for concurrent use.
type Fold struct {
	rows     map[rowKey]*row
	lag      map[string]*hist.Histogram // by phase
	gap      map[string]*hist.Histogram // distances of arrivals, by phase
	slowest  map[metric.StepKey][]metric.Exemplar
	measures map[metric.Key]*tally
	infos    map[string]metric.Info
	phases   map[string]*metric.Arrivals
	points   map[int64]*second
}

// rowKey names a row of series.
type rowKey struct {
	phase, flow, step string
	warmup            bool
}

// row is one row of series.
type row struct {
	response, failed, service *hist.Histogram
	kinds, statuses, unsent   map[string]int64
	retried, followed         int64 // requests that were repetitions, and that a redirect led to
}

func newRow() *row {
	return &row{
		response: hist.New(), failed: hist.New(), service: hist.New(),
		kinds: map[string]int64{}, statuses: map[string]int64{}, unsent: map[string]int64{},
	}
}

// second is one second of the timeline; response is encoded, because there may be very many.
type second struct {
	arrivals metric.Arrivals
	unknown  int64
	response []byte
	requests int64
	errors   int64
	health   metric.Health
}

// NewFold returns an empty Fold.
func NewFold() *Fold {
	return &Fold{
		rows: map[rowKey]*row{}, lag: map[string]*hist.Histogram{}, gap: map[string]*hist.Histogram{},
		slowest:  map[metric.StepKey][]metric.Exemplar{},
		measures: map[metric.Key]*tally{}, infos: map[string]metric.Info{},
		phases: map[string]*metric.Arrivals{}, points: map[int64]*second{},
	}
}

// Add adds a closed second or a part of one. It keeps nothing of s.
func (f *Fold) Add(s *metric.Second) error {
	point := f.points[s.Index]
	if point == nil {
		point = &second{}
		f.points[s.Index] = point
	}
	maps.Copy(f.infos, s.Infos)
	f.addSlowest(s)
	point.health = max(point.health, s.Health) // the worst of its parts
	for key, a := range s.Arrivals {
		f.addArrivals(point, key, a)
	}
	response := hist.New()
	for key, value := range s.Series {
		f.addSeries(key, value, s)
		if key.Metric == metric.ResponseTime && value.Hist != nil {
			response.Merge(value.Hist)
			if key.Labels.Get("outcome") == "failed" {
				point.errors += count(value.Hist)
			}
		}
	}
	point.requests += count(response)
	return point.merge(response)
}

// merge adds response times to those of the second.
func (p *second) merge(response *hist.Histogram) error {
	if response.Empty() {
		return nil
	}
	if p.response != nil {
		var before hist.Histogram
		if err := before.UnmarshalBinary(p.response); err != nil {
			return fmt.Errorf("fold second: %w", err)
		}
		response.Merge(&before)
	}
	p.response = response.AppendBinary(nil)
	return nil
}

func (f *Fold) addArrivals(point *second, key metric.ArrivalKey, a *metric.Arrivals) {
	phase := f.phases[key.Phase]
	if phase == nil {
		phase = &metric.Arrivals{}
		f.phases[key.Phase] = phase
	}
	phase.Merge(*a)
	point.arrivals.Merge(*a)
}

func (f *Fold) addSeries(key metric.Key, value metric.Value, s *metric.Second) {
	phase := key.Labels.Get("phase")
	switch key.Metric {
	case metric.ResponseTime, metric.ServiceTime, metric.Unsent:
		if value.Hist != nil {
			f.row(key.Labels).add(key, value.Hist)
		}
	case metric.ScheduleLag:
		if f.lag[phase] == nil {
			f.lag[phase] = hist.New()
		}
		if value.Hist != nil {
			f.lag[phase].Merge(value.Hist)
		}
	case metric.ArrivalGap:
		if f.gap[phase] == nil {
			f.gap[phase] = hist.New()
		}
		if value.Hist != nil {
			f.gap[phase].Merge(value.Hist)
		}
	case metric.Retried:
		f.row(key.Labels).retried += value.Count
	case metric.Redirects:
		f.row(key.Labels).followed += value.Count
	default:
		f.addMeasure(key, value, s.Index)
	}
}

// row returns the row that labels belong to.
func (f *Fold) row(labels metric.Labels) *row {
	key := rowKey{labels.Get("phase"), labels.Get("flow"), labels.Get("step"), labels.Get("warmup") == "true"}
	r := f.rows[key]
	if r == nil {
		r = newRow()
		f.rows[key] = r
	}
	return r
}

func (r *row) add(key metric.Key, h *hist.Histogram) {
	switch key.Metric {
	case metric.ServiceTime:
		r.service.Merge(h)
		return
	case metric.Unsent:
		r.unsent[key.Labels.Get("error")] += count(h)
		return
	}
	r.response.Merge(h)
	if key.Labels.Get("outcome") != "failed" {
		return
	}
	r.failed.Merge(h)
	kind := key.Labels.Get("error")
	if kind == "" {
		kind = "unknown"
	}
	r.kinds[kind] += count(h)
	if status := key.Labels.Get("status"); status != "" {
		r.statuses[status] += count(h)
	}
}

// merge adds another row.
func (r *row) merge(o *row) {
	r.response.Merge(o.response)
	r.failed.Merge(o.failed)
	r.service.Merge(o.service)
	add(r.kinds, o.kinds)
	add(r.statuses, o.statuses)
	add(r.unsent, o.unsent)
	r.retried += o.retried
	r.followed += o.followed
}

// add adds counts to those of into.
func add(into, counts map[string]int64) {
	for key, n := range counts {
		into[key] += n
	}
}

// variation is the coefficient of variation of the gaps between the arrivals of a phase; nil when
// there are fewer than two of them.
func (f *Fold) variation(phase string) *float64 {
	h := f.gap[phase]
	if h == nil || h.Count() < 2 || !(h.Mean() > 0) {
		return nil
	}
	cv := h.Stddev() / h.Mean()
	return &cv
}

// last returns the index after the last second, 0 of an empty fold.
func (f *Fold) last() int64 { return after(f.points) }

// after returns the index after the last of some seconds, 0 of none.
func after(points map[int64]*second) int64 {
	if len(points) == 0 {
		return 0
	}
	return slices.Max(slices.Collect(maps.Keys(points))) + 1
}

// dist describes h.
func dist(h *hist.Histogram) Dist {
	if h == nil || h.Empty() {
		return Dist{}
	}
	q := h.QuantileValue
	return Dist{
		Count: count(h), Mean: h.Mean(), Stddev: h.Stddev(), Min: h.MinValue(), Max: h.MaxValue(),
		P50: q(0.5), P90: q(0.9), P95: q(0.95), P99: q(0.99), P999: q(0.999),
	}
}

// count returns the number of values of h as the int64 that reports use.
func count(h *hist.Histogram) int64 { return int64(h.Count()) }

// seconds of d, or 0 of a negative one.
func seconds(d time.Duration) float64 { return max(0, d.Seconds()) }

// per returns n per second of d, or nil when d is not positive.
func per(n int64, d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	rate := float64(n) / d.Seconds()
	return &rate
}
