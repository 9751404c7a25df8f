package scenario

import (
	"slices"
	"sort"
	"time"
)

// arcInstants is how many instants of an arc are looked at for a peak that it makes together with another
// phase's: between them its height changes by less than 0.2 % of the amplitude.
const arcInstants = 64

// Peak returns the highest rate of arrivals and the highest number of users at any instant of the
// undelayed plan. What is linear is looked at where it begins and ends, which is enough; recorded arrivals
// by the second.
func (p *Plan) Peak() (rate, users float64) {
	starts := make([]time.Duration, len(p.Phases))
	var instants []time.Duration
	for i, ph := range p.Phases {
		starts[i] = p.Start(ph.Name)
		for _, s := range slices.Concat(ph.Rate, ph.Users) {
			instants = append(instants, starts[i]+s.Start, starts[i]+s.Start+s.For)
			for _, at := range s.within() {
				instants = append(instants, starts[i]+s.Start+at)
			}
		}
	}
	slices.Sort(instants)
	for _, at := range slices.Compact(instants) {
		// Both sides of a step count.
		for _, side := range []time.Duration{-1, 0} {
			r, u := 0.0, 0.0
			for i, ph := range p.Phases {
				r += level(ph.Rate, at+side-starts[i])
				u += level(ph.Users, at+side-starts[i])
			}
			rate, users = max(rate, r), max(users, u)
		}
	}
	return rate, users
}

// within returns the instants between a segment's ends at which its height is worth a look.
func (s *Segment) within() []time.Duration {
	var out []time.Duration
	if s.Arc != nil {
		for at := time.Duration(0); at < s.For; at += s.For/arcInstants + 1 {
			out = append(out, at)
		}
	}
	if s.Stamps != nil {
		for at := time.Second; at < s.For; at += time.Second {
			out = append(out, at)
		}
	}
	return out
}

// level returns the height of a profile at a phase time; 0 outside it.
func level(segments []Segment, at time.Duration) float64 {
	i := sort.Search(len(segments), func(i int) bool { return segments[i].Start+segments[i].For > at })
	if i == len(segments) || at < segments[i].Start {
		return 0
	}
	return segments[i].Height(at)
}

// Height returns the height at a phase time that lies within the segment; of recorded arrivals, that of the
// whole second since the segment's start.
func (s *Segment) Height(at time.Duration) float64 {
	d := at - s.Start
	switch {
	case s.Arc != nil && s.Arc.Falling:
		return s.Arc.Height(s.For - d + s.Arc.Foot)
	case s.Arc != nil:
		return s.Arc.Height(d + s.Arc.Foot)
	case s.Stamps != nil:
		from := d.Truncate(time.Second)
		first := sort.Search(len(s.Stamps.At), func(i int) bool { return s.Stamps.At[i] >= from })
		last := sort.Search(len(s.Stamps.At), func(i int) bool { return s.Stamps.At[i] >= from+time.Second })
		return s.Stamps.Each * float64(last-first)
	}
	return s.From + (s.To-s.From)*float64(d)/float64(s.For)
}
