package hist

import (
	"errors"
	"math"
	"math/big"
	"time"
)

// ErrNotFinite says that a value is infinite or no number.
var ErrNotFinite = errors.New("value is not a finite number")

// Histogram counts durations, and numbers of any unit in their place. The zero value is empty and ready
// for use. Pages of 128 counters, one per power of two, are made when first needed; after that
// recording allocates nothing.
type Histogram struct {
	count    uint64 // without those of large
	zero     uint64
	min, max int64
	sum      sum
	squares  squares
	positive pages
	negative *pages // mirrored; made when first needed

	large *Histogram // of values beyond a duration, in coarser steps; made when first needed, and has none itself
}

// Footprint returns about how many bytes of memory h holds.
func (h *Histogram) Footprint() int {
	n := 8*octaves + 128
	for _, p := range []*pages{&h.positive, h.negative} {
		if p == nil {
			continue
		}
		for _, pg := range p {
			if pg != nil {
				n += 8 * perOctave
			}
		}
	}
	if h.large != nil {
		n += h.large.Footprint()
	}
	return n
}

// New returns an empty histogram.
func New() *Histogram { return &Histogram{} }

// Record counts one duration.
func (h *Histogram) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN counts a duration n times.
func (h *Histogram) RecordN(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	v := int64(d)
	if h.count == 0 {
		h.min, h.max = v, v
	} else {
		h.min, h.max = min(h.min, v), max(h.max, v)
	}
	h.count += n
	h.sum.add(product(v, n))
	h.squares.add(square(v, n))
	switch {
	case v > 0:
		h.positive.add(index(uint64(v)), n)
	case v < 0:
		if h.negative == nil {
			h.negative = &pages{}
		}
		h.negative.add(index(magnitude(v)), n)
	default:
		h.zero += n
	}
}

// Merge adds all that o counted. It does not change o.
func (h *Histogram) Merge(o *Histogram) {
	if o == nil {
		return
	}
	if o.large != nil && !o.large.Empty() {
		h.beyond().Merge(o.large)
	}
	if o.count == 0 {
		return
	}
	if h.count == 0 {
		h.min, h.max = o.min, o.max
	} else {
		h.min, h.max = min(h.min, o.min), max(h.max, o.max)
	}
	h.count += o.count
	h.zero += o.zero
	h.sum.add(o.sum)
	h.squares.add(o.squares)
	h.positive.merge(&o.positive)
	if o.negative != nil {
		if h.negative == nil {
			h.negative = &pages{}
		}
		h.negative.merge(o.negative)
	}
}

// Reset empties the histogram and keeps its memory.
func (h *Histogram) Reset() {
	positive, negative, large := h.positive, h.negative, h.large
	*h = Histogram{positive: positive, negative: negative, large: large}
	h.positive.clear()
	if h.large != nil {
		h.large.Reset()
	}
	if h.negative != nil {
		h.negative.clear()
	}
}

// Release empties the histogram and gives its memory back for others. Nobody else may be using it.
func (h *Histogram) Release() {
	h.positive.release()
	if h.negative != nil {
		h.negative.release()
	}
	if h.large != nil {
		h.large.Release()
	}
	*h = Histogram{}
}

// Clone returns a copy that shares nothing.
func (h *Histogram) Clone() *Histogram {
	c := &Histogram{}
	c.Merge(h)
	return c
}

// Count returns the number of values.
func (h *Histogram) Count() uint64 {
	if h.large == nil {
		return h.count
	}
	return h.count + h.large.count
}

// Empty reports whether nothing was counted.
func (h *Histogram) Empty() bool { return h.Count() == 0 }

// Sum returns the sum of all values in seconds (or the unit of RecordValue), rounded once.
func (h *Histogram) Sum() float64 {
	s, _ := h.sums()
	f, _ := new(big.Rat).SetFrac(s, big.NewInt(1e9)).Float64()
	return f
}

// Mean returns the mean in seconds (or the unit of RecordValue), exact but for one rounding; 0 of an
// empty histogram.
func (h *Histogram) Mean() float64 {
	if h.Empty() {
		return 0
	}
	n := new(big.Int).SetUint64(h.Count())
	s, _ := h.sums()
	f, _ := new(big.Rat).SetFrac(s, n.Mul(n, big.NewInt(1e9))).Float64()
	return f
}

// Stddev returns the standard deviation of the population in seconds (or the unit of RecordValue):
// sqrt(n*sum(v^2) - sum(v)^2) / n, computed in integers up to the root.
func (h *Histogram) Stddev() float64 {
	if h.Empty() {
		return 0
	}
	n := new(big.Int).SetUint64(h.Count())
	s, squares := h.sums()
	v := new(big.Int).Mul(n, squares)
	v.Sub(v, s.Mul(s, s))
	const precision = 128
	root := new(big.Float).SetPrec(precision).Sqrt(new(big.Float).SetPrec(precision).SetInt(v))
	n.Mul(n, big.NewInt(1e9))
	f, _ := root.Quo(root, new(big.Float).SetPrec(precision).SetInt(n)).Float64()
	return f
}

// Min and Max return the smallest and the largest value; 0 of an empty histogram. They are for
// durations: of numbers beyond the longest one they return that. MinValue and MaxValue are for both.
func (h *Histogram) Min() time.Duration { return h.at(1) }

// Max returns the largest value; see Min.
func (h *Histogram) Max() time.Duration { return h.at(h.Count()) }

// Quantile returns the value of rank ceil(q n), as the mid-point of its bucket, held within
// [Min, Max]. q is taken to nine decimals and held within [0, 1]; q = 0 is the minimum, 1 the
// maximum. It is 0 of an empty histogram. It is for durations, as Min is.
func (h *Histogram) Quantile(q float64) time.Duration { return h.at(Rank(q, h.Count())) }

// at returns the value of a rank as a duration.
func (h *Histogram) at(rank uint64) time.Duration {
	if h.Empty() {
		return 0
	}
	part, rank := h.part(rank)
	v := part.within(rank)
	switch {
	case part == h:
		return v
	case v < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

// within returns the value of a rank within [1, count], large ones left out.
func (h *Histogram) within(rank uint64) time.Duration {
	switch rank {
	case h.count:
		return time.Duration(h.max)
	case 1:
		return time.Duration(h.min)
	}
	return min(max(h.ranked(rank), time.Duration(h.min)), time.Duration(h.max))
}

// ranked returns the mid-point of the bucket of a rank within [1, count].
func (h *Histogram) ranked(rank uint64) time.Duration {
	if h.negative != nil {
		for i, n := range h.negative.descending {
			if rank <= n {
				return -middle(i)
			}
			rank -= n
		}
	}
	if rank <= h.zero {
		return 0
	}
	rank -= h.zero
	for i, n := range h.positive.ascending {
		if rank <= n {
			return middle(i)
		}
		rank -= n
	}
	return time.Duration(h.max)
}

// Equal reports whether two histograms hold the same.
func (h *Histogram) Equal(o *Histogram) bool {
	return string(h.AppendBinary(nil)) == string(o.AppendBinary(nil))
}
