package report

import (
	"maps"
	"slices"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
)

// maxPoints bounds the timeline: a longer run gets longer intervals.
const maxPoints = 3600

// intervals are the lengths in seconds that a point of the timeline may have.
var intervals = []int64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600}

// timeline lists the seconds in order, several to a point when there are very many.
func timelineOf(points map[int64]*second) Timeline {
	interval := intervals[len(intervals)-1]
	for _, candidate := range intervals {
		if after(points) <= candidate*maxPoints {
			interval = candidate
			break
		}
	}
	t := Timeline{IntervalS: float64(interval), Points: []Point{}}
	var open *second
	var index int64
	flush := func() {
		if open != nil {
			t.Points = append(t.Points, open.point(index*interval))
		}
	}
	for _, at := range slices.Sorted(maps.Keys(points)) {
		if open == nil || at/interval != index {
			flush()
			open, index = &second{}, at/interval
		}
		open.extend(points[at])
	}
	flush()
	return t
}

// extend adds the next second to an interval: counts add up, in flight is that of the last one.
func (p *second) extend(next *second) {
	p.arrivals.Merge(next.arrivals)
	p.arrivals.InFlight = next.arrivals.InFlight
	p.unknown += next.unknown
	p.requests += next.requests
	p.errors += next.errors
	p.health = max(p.health, next.health)
	switch {
	case p.response == nil:
		p.response = next.response
	case next.response != nil:
		h := decode(p.response)
		h.Merge(decode(next.response))
		p.response = h.AppendBinary(nil)
	}
}

func (p *second) point(at int64) Point {
	point := Point{
		AtS: float64(at), Planned: p.arrivals.Planned, Sent: p.arrivals.Sent, NotSent: p.arrivals.Withheld(), Unknown: p.unknown,
		Requests: p.requests, Errors: p.errors, InFlight: p.arrivals.InFlight, Validity: validity(p.health),
	}
	if h := decode(p.response); !h.Empty() {
		p50, p99 := h.Quantile(0.5).Seconds(), h.Quantile(0.99).Seconds()
		point.ResponseTime = Brief{P50S: &p50, P99S: &p99}
	}
	return point
}

// decode reads what Fold encoded itself.
func decode(data []byte) *hist.Histogram {
	h := hist.New()
	if data == nil {
		return h
	}
	if err := h.UnmarshalBinary(data); err != nil {
		panic("report: a histogram of the fold does not decode: " + err.Error())
	}
	return h
}

// validity names a health; a second for which no worker vouched is not valid.
func validity(h metric.Health) string {
	if h == 0 {
		return Invalid
	}
	return h.String()
}
