package schedule

import (
	"math"
	"sort"
	"time"

	"proofload/internal/scenario"
)

// Factor sets the scale of a profile from an instant of phase time on; absolute, not relative to an
// earlier one.
type Factor struct {
	At    time.Duration // zero or before: from the start
	Value float64
}

// Curve is the integral of a phase's rate as it is executed: the plan's segments times the factors
// in force. It only grows with phase time. It is immutable.
type Curve struct {
	segments []scenario.Segment
	pieces   []piece
	slopes   slopes // grows only while a curve is made
}

// piece is a stretch of one segment under one factor.
type piece struct {
	seg    *scenario.Segment
	slope  *slope        // of an arc
	from   time.Duration // phase time, [from, to)
	to     time.Duration
	factor float64
	base   float64 // the plan's integral at from
	before float64 // the executed integral at from
	after  float64 // the executed integral at to
}

// NewCurve integrates segments under the factors, which must be in the order of their instants.
// Before the first of them the factor is 1. Neither slice may be changed afterwards.
func NewCurve(segments []scenario.Segment, factors []Factor) *Curve {
	return newCurve(segments, factors, slopes{})
}

// Under returns the curve of the same profile under other factors; it takes less time than a new one.
func (c *Curve) Under(factors []Factor) *Curve { return newCurve(c.segments, factors, c.slopes) }

// newCurve makes a curve with tables of which those that it needs may be there.
func newCurve(segments []scenario.Segment, factors []Factor, known slopes) *Curve {
	all := cuts(segments, factors)
	c := &Curve{segments: segments, pieces: make([]piece, 0, len(all)), slopes: known}
	before := 0.0
	for _, cut := range all {
		if cut.seg.Stamps != nil && cut.from == cut.seg.Start {
			before = math.Ceil(before) // so that the recorded arrivals are the next whole ones
		}
		p := piece{seg: cut.seg, slope: known.of(cut.seg), from: cut.from, to: cut.to, factor: cut.factor, before: before}
		p.base = cut.seg.Before
		if cut.from > cut.seg.Start {
			p.base = p.planned(p.from)
		}
		if p.after = p.seg.Through; p.factor != 1 || p.before != p.base || p.to < p.seg.Start+p.seg.For {
			p.after = p.integral(p.to)
		}
		before = p.after
		c.pieces = append(c.pieces, p)
	}
	return c
}

// cut is a stretch of a segment under one factor.
type cut struct {
	seg      *scenario.Segment
	from, to time.Duration
	factor   float64
}

// cuts divides the segments at the instants of the factors.
func cuts(segments []scenario.Segment, factors []Factor) []cut {
	out := make([]cut, 0, len(segments)+len(factors))
	factor, next := 1.0, 0
	for i := range segments {
		seg := &segments[i]
		from, end := seg.Start, seg.Start+seg.For
		for from < end {
			for next < len(factors) && factors[next].At <= from {
				factor = factors[next].Value
				next++
			}
			to := end
			if next < len(factors) && factors[next].At < end {
				to = factors[next].At
			}
			out = append(out, cut{seg: seg, from: from, to: to, factor: factor})
			from = to
		}
	}
	return out
}

// Length returns the phase time at which the profile ends.
func (c *Curve) Length() time.Duration {
	if len(c.pieces) == 0 {
		return 0
	}
	return c.pieces[len(c.pieces)-1].to
}

// Total returns the integral over the whole profile.
func (c *Curve) Total() float64 {
	if len(c.pieces) == 0 {
		return 0
	}
	return c.pieces[len(c.pieces)-1].after
}

// Count returns the number of arrivals of a uniform phase. What rounding has put on top of a whole number is
// no arrival.
func (c *Curve) Count() int64 {
	total := c.Total()
	return int64(math.Ceil(float64(total - float64(1e-9+float64(1e-14*total)))))
}

// Integral returns the integral from the phase's start to t.
func (c *Curve) Integral(t time.Duration) float64 {
	i := sort.Search(len(c.pieces), func(i int) bool { return c.pieces[i].to > t })
	if i == len(c.pieces) {
		return c.Total()
	}
	if t < c.pieces[i].from {
		return c.pieces[i].before
	}
	return c.pieces[i].integral(t)
}

// At returns the instant at which the integral reaches x: the first nanosecond of phase time at
// which it does, outside of stretches whose rate is zero. It is monotone in x, and false when the
// profile ends before.
func (c *Curve) At(x float64) (time.Duration, bool) {
	i := c.find(x)
	if i < 0 {
		return 0, false
	}
	return c.pieces[i].invert(x), true
}

// find returns the piece in which the integral reaches x, -1 for none.
func (c *Curve) find(x float64) int {
	i := sort.Search(len(c.pieces), func(i int) bool { return c.pieces[i].after > x })
	if i == len(c.pieces) || x < 0 {
		return -1
	}
	return i
}

// integral returns the executed integral at t within the piece.
func (p *piece) integral(t time.Duration) float64 {
	f := p.planned(t)
	if p.factor == 1 && p.before == p.base {
		return f // as planned so far: the plan's own bounds, to the bit
	}
	return float64(p.before + float64(p.factor*float64(f-p.base)))
}

// invert returns the first nanosecond of the piece at which its integral is at least x. The inverse
// is a guess good to a few nanoseconds; what decides is the integral as it is computed, so
// that both agree to the bit and the result is monotone however the guess was rounded.
func (p *piece) invert(x float64) time.Duration {
	lo, hi := p.from, p.to-1 // the answer is in [lo, hi]: an arrival at p.to would be the next piece's
	guess := min(max(p.guess(x), lo), hi)
	const reach = 4
	if a := max(guess-reach, lo); a == lo || p.integral(a) < x {
		lo = a
	} else {
		hi = a
	}
	if b := min(guess+reach, hi); b == hi || p.integral(b) >= x {
		hi = b
	} else {
		lo = b
	}
	for lo < hi {
		mid := lo + (hi-lo)/2
		if p.integral(mid) >= x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// guess inverts the piece.
func (p *piece) guess(x float64) time.Duration {
	y := float64(p.base + float64((x-p.before)/p.factor)) // where the plan's own integral stands
	s := p.seg
	var t float64
	switch {
	case p.slope != nil && s.Arc.Falling:
		t = seconds(s.For) - p.slope.at(s.Through-y)
	case p.slope != nil:
		t = p.slope.at(y - s.Before)
	case s.Stamps != nil:
		t = stampsAt(s, y)
	case s.To >= s.From:
		t = root(s.From, float64((s.To-s.From)/seconds(s.For)), y-s.Before)
	default:
		t = seconds(s.For) - root(s.To, float64((s.From-s.To)/seconds(s.For)), s.Through-y)
	}
	ns := float64(t * 1e9)
	if !(ns < float64(s.For)) {
		return s.Start + s.For
	}
	return s.Start + time.Duration(ns)
}

// root solves rate*t + slope/2*t^2 = y for the t that is not negative; neither rate nor slope is
// negative. Written so that nothing cancels.
func root(rate, slope, y float64) float64 {
	if y <= 0 {
		return 0
	}
	disc := float64(float64(rate*rate) + float64(2*float64(slope*y)))
	return float64(2*y) / float64(rate+math.Sqrt(disc))
}

// planned returns the plan's integral at phase time t, which must lie within the segment. What falls is
// computed from its end, so that every operation is monotone, and with that the result.
func (p *piece) planned(t time.Duration) float64 {
	s := p.seg
	d := t - s.Start
	if d >= s.For {
		return s.Through
	}
	half := float64((s.To-s.From)/seconds(s.For)) / 2
	switch {
	case p.slope != nil && s.Arc.Falling:
		return max(float64(s.Through-p.slope.integral(s.For-d)), s.Before)
	case p.slope != nil:
		return min(float64(s.Before+p.slope.integral(d)), s.Through)
	case s.Stamps != nil:
		return min(stampsIntegral(s, d), s.Through)
	case s.To >= s.From:
		return min(float64(s.Before+area(s.From, half, seconds(d))), s.Through)
	default:
		return max(float64(s.Through-area(s.To, -half, seconds(s.For-d))), s.Before)
	}
}

// area returns rate*d + half*d^2.
func area(rate, half, d float64) float64 {
	return float64(float64(rate*d) + float64(half*float64(d*d)))
}

// seconds converts d, exactly rounded.
func seconds(d time.Duration) float64 { return float64(d) / 1e9 }
