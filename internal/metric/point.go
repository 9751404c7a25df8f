package metric

import "proofload/internal/metric/hist"

// Point is one point of a timeline: one second, or some that follow each other.
type Point struct {
	Arrivals         Arrivals // InFlight is that at the end of second Last
	Last             int64    // the newest second in it
	Requests, Failed int64    // that ended
	Health           Health   // the worst
	response         packed
}

// pointOf returns the point of a second, or of a part of one.
func pointOf(s Second) Point {
	p := Point{Last: s.Index, Health: s.Health}
	if p.Health == 0 {
		p.Health = HealthInvalid // nobody vouched for it
	}
	p.Requests, p.Failed = s.Requests()
	for _, row := range s.Arrivals {
		p.Arrivals.Merge(*row)
	}
	if h := s.Select(ResponseTime, nil); !h.Empty() {
		p.response = packed{}.plus(Value{Hist: h})
	}
	return p
}

// Response returns the response times of all requests; it is a copy, empty if there were none.
func (p *Point) Response() *hist.Histogram {
	if h := p.response.histogram(); h != nil {
		return h
	}
	return hist.New()
}

// merge adds o: a part of the same seconds, or of others.
func (p *Point) merge(o Point) {
	inFlight := p.Arrivals.InFlight
	p.Arrivals.Merge(o.Arrivals)
	switch {
	case p.Health == 0 || o.Last > p.Last: // p is new, or older
		p.Last, p.Arrivals.InFlight = o.Last, o.Arrivals.InFlight
	case o.Last < p.Last:
		p.Arrivals.InFlight = inFlight
	}
	p.Requests += o.Requests
	p.Failed += o.Failed
	p.Health = max(p.Health, o.Health)
	if h := o.response.histogram(); h != nil {
		p.response = p.response.plus(Value{Hist: h})
	}
}
