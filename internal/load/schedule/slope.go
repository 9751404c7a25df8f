package schedule

import (
	"sort"
	"time"

	"proofload/internal/scenario"
)

// slopeCells is how many cells an arc is divided into. With so many, heights that are linear within a cell
// put no arrival of a wave with a period of an hour off by a nanosecond.
const slopeCells = 1 << 14

// slope is an arc of a wave seen from its foot, as a table: heights at the ends of cells, between which they
// are linear, and the integrals there, which are exact. As a table it is monotone, whatever rounding does
// to sums of sines, and that is what makes the order of arrivals certain.
type slope struct {
	cell    time.Duration   // length of one; the last may be shorter
	ends    []time.Duration // of the cells, the foot first
	heights []float64       // there; they do not fall
	sums    []float64       // the integral from the foot to there
}

// slopes are the tables of a curve. The arcs of a wave are alike, so that there are few.
type slopes map[slopeKey]*slope

type slopeKey struct {
	arc    scenario.Arc
	length time.Duration
}

// of returns the table of an arc; nil for a segment that is none.
func (m slopes) of(s *scenario.Segment) *slope {
	if s.Arc == nil {
		return nil
	}
	key := slopeKey{*s.Arc, s.For}
	key.arc.Falling = false
	if m[key] == nil {
		m[key] = newSlope(&key.arc, s.For)
	}
	return m[key]
}

func newSlope(a *scenario.Arc, length time.Duration) *slope {
	cell := max(1, (length+slopeCells-1)/slopeCells)
	n := int((length + cell - 1) / cell)
	s := &slope{cell: cell, ends: make([]time.Duration, n+1), heights: make([]float64, n+1), sums: make([]float64, n+1)}
	foot := a.Integral(a.Foot)
	for i := range n + 1 {
		at := min(cell*time.Duration(i), length)
		s.ends[i] = at
		height, sum := a.At(a.Foot + at)
		s.heights[i], s.sums[i] = max(0, height), max(0, float64(sum-foot))
		if i > 0 {
			s.heights[i] = max(s.heights[i], s.heights[i-1])
			s.sums[i] = max(s.sums[i], s.sums[i-1])
		}
	}
	return s
}

// integral returns the integral over d from the foot on.
func (s *slope) integral(d time.Duration) float64 {
	i := min(int(d/s.cell), len(s.sums)-2)
	f := float64(s.sums[i] + area(s.heights[i], s.half(i), seconds(d-s.ends[i])))
	return min(f, s.sums[i+1])
}

// at returns the time since the foot at which the integral reaches y.
func (s *slope) at(y float64) float64 {
	i := sort.Search(len(s.sums), func(i int) bool { return s.sums[i] > y }) - 1
	i = min(max(i, 0), len(s.sums)-2)
	return seconds(s.ends[i]) + root(s.heights[i], 2*s.half(i), y-s.sums[i])
}

// half is half of how fast the height grows in a cell.
func (s *slope) half(i int) float64 {
	return float64((s.heights[i+1]-s.heights[i])/seconds(s.ends[i+1]-s.ends[i])) / 2
}

// stampsIntegral returns the plan's integral at a time since the start of a segment of recorded arrivals: i
// of them at the i-th stamp, and in between it is linear, so that a scaled recording puts arrivals there.
func stampsIntegral(s *scenario.Segment, d time.Duration) float64 {
	at := s.Stamps.At
	i := sort.Search(len(at), func(i int) bool { return at[i] > d }) - 1
	if i < 0 {
		return s.Before
	}
	low := float64(s.Before + float64(float64(i)*s.Stamps.Each))
	high := float64(s.Before + float64(float64(i+1)*s.Stamps.Each))
	from, to := at[i], stampAfter(s, i)
	share := float64(d-from) / float64(to-from)
	return min(float64(low+float64(s.Stamps.Each*share)), high)
}

// stampsAt returns the time in seconds since the segment's start at which its integral reaches y.
func stampsAt(s *scenario.Segment, y float64) float64 {
	n := float64((y - s.Before) / s.Stamps.Each)
	i := min(max(int(n), 0), len(s.Stamps.At)-1)
	from, to := s.Stamps.At[i], stampAfter(s, i)
	return seconds(from) + float64((n-float64(i))*seconds(to-from))
}

// stampAfter returns the end of the stretch that begins at stamp i.
func stampAfter(s *scenario.Segment, i int) time.Duration {
	if i+1 < len(s.Stamps.At) {
		return s.Stamps.At[i+1]
	}
	return s.For
}
