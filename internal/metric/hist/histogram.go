package hist

import (
	"errors"
	"iter"
	"math"
	"math/big"
	"math/bits"
	"time"
)

// ErrRange says that a value lies outside what a histogram holds: it is not a number, or its
// magnitude is above MaxValue.
var ErrRange = errors.New("value is outside the range of a histogram")

// MaxValue bounds the magnitude of values given to RecordValue; they are kept in steps of 1e-9.
const MaxValue = 9.2e9

// Histogram counts durations. The zero value is empty and ready for use. Pages of 128 counters,
// one per power of two, are made when first needed; after that recording allocates nothing.
type Histogram struct {
	count    uint64
	zero     uint64
	min, max int64
	sum      sum
	squares  squares
	positive pages
	negative *pages // mirrored; made when first needed
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

// RecordValue counts a number of any unit, kept to the nearest 1e-9. It returns ErrRange, and counts
// nothing, for what is not a number or beyond MaxValue.
func (h *Histogram) RecordValue(v float64) error {
	if !(math.Abs(v) <= MaxValue) {
		return ErrRange
	}
	h.Record(time.Duration(math.Round(v * 1e9)))
	return nil
}

// Merge adds all that o counted. It does not change o.
func (h *Histogram) Merge(o *Histogram) {
	if o == nil || o.count == 0 {
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
	positive, negative := h.positive, h.negative
	*h = Histogram{positive: positive, negative: negative}
	h.positive.clear()
	if h.negative != nil {
		h.negative.clear()
	}
}

// Clone returns a copy that shares nothing.
func (h *Histogram) Clone() *Histogram {
	c := &Histogram{}
	c.Merge(h)
	return c
}

// Count returns the number of values.
func (h *Histogram) Count() uint64 { return h.count }

// Empty reports whether nothing was counted.
func (h *Histogram) Empty() bool { return h.count == 0 }

// Min and Max return the smallest and the largest value; 0 of an empty histogram.
func (h *Histogram) Min() time.Duration { return time.Duration(h.min) }

// Max returns the largest value; see Min.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Sum returns the sum of all values in seconds (or the unit of RecordValue), rounded once.
func (h *Histogram) Sum() float64 {
	f, _ := new(big.Rat).SetFrac(h.sum.big(), big.NewInt(1e9)).Float64()
	return f
}

// Mean returns the mean in seconds (or the unit of RecordValue), exact but for one rounding; 0 of an
// empty histogram.
func (h *Histogram) Mean() float64 {
	if h.count == 0 {
		return 0
	}
	n := new(big.Int).SetUint64(h.count)
	f, _ := new(big.Rat).SetFrac(h.sum.big(), n.Mul(n, big.NewInt(1e9))).Float64()
	return f
}

// Stddev returns the standard deviation of the population in seconds (or the unit of RecordValue):
// sqrt(n*sum(v^2) - sum(v)^2) / n, computed in integers up to the root.
func (h *Histogram) Stddev() float64 {
	if h.count == 0 {
		return 0
	}
	n := new(big.Int).SetUint64(h.count)
	s := h.sum.big()
	v := new(big.Int).Mul(n, h.squares.big())
	v.Sub(v, s.Mul(s, s))
	const precision = 128
	root := new(big.Float).SetPrec(precision).Sqrt(new(big.Float).SetPrec(precision).SetInt(v))
	n.Mul(n, big.NewInt(1e9))
	f, _ := root.Quo(root, new(big.Float).SetPrec(precision).SetInt(n)).Float64()
	return f
}

// Quantile returns the value of rank ceil(q n), as the mid-point of its bucket, held within
// [Min, Max]. q is taken to nine decimals and held within [0, 1]; q = 0 is the minimum, 1 the
// maximum. It is 0 of an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	v, _ := h.QuantileBeyond(q, 0)
	return v
}

// QuantileBeyond returns the quantile as if beyond more values had been counted, each larger than
// any that a histogram holds: operations that never ended, or were never let start. It is false
// when the quantile is one of those, or when there are no values at all.
func (h *Histogram) QuantileBeyond(q float64, beyond uint64) (time.Duration, bool) {
	if h.count+beyond == 0 {
		return 0, false
	}
	rank := Rank(q, h.count+beyond)
	switch {
	case rank > h.count:
		return 0, false
	case rank == h.count:
		return h.Max(), true
	case rank == 1:
		return h.Min(), true
	}
	return min(max(h.ranked(rank), h.Min()), h.Max()), true
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
	return h.Max()
}

// Rank returns max(1, ceil(q n)), in integers so that 0.99 of 100 is 99.
func Rank(q float64, n uint64) uint64 {
	const unit = 1_000_000_000
	parts := uint64(math.Round(min(max(q, 0), 1) * unit))
	hi, lo := bits.Mul64(parts, n)
	rank, rest := bits.Div64(hi, lo, unit)
	if rest > 0 {
		rank++
	}
	return max(rank, 1)
}

// CountAbove returns how many values lie in buckets above the one of d: what is certainly slower
// than d, to the width of a bucket.
func (h *Histogram) CountAbove(d time.Duration) uint64 {
	var above uint64
	switch {
	case d > 0:
		above = h.positive.countFrom(index(uint64(d)) + 1)
	case d == 0:
		above = h.positive.countFrom(least)
	default:
		above = h.zero + h.positive.countFrom(least)
		if h.negative != nil {
			above += h.negative.countFrom(least) - h.negative.countFrom(index(magnitude(int64(d))))
		}
	}
	return above
}

// CDF returns the share of values that do not lie in buckets above the one of d, from 0 to 1; 0 of
// an empty histogram.
func (h *Histogram) CDF(d time.Duration) float64 {
	if h.count == 0 {
		return 0
	}
	return float64(h.count-h.CountAbove(d)) / float64(h.count)
}

// Bucket is one bucket: Count values v with base^Index < |v| <= base^(Index+1) seconds.
type Bucket struct {
	Index int
	Count uint64
}

// Buckets yields the buckets of positive values that hold anything, lowest first.
func (h *Histogram) Buckets() iter.Seq[Bucket] {
	return func(yield func(Bucket) bool) {
		h.positive.ascending(func(i int, n uint64) bool { return yield(Bucket{i, n}) })
	}
}

// NegativeBuckets yields the buckets of negative values by their magnitude, lowest index first.
func (h *Histogram) NegativeBuckets() iter.Seq[Bucket] {
	return func(yield func(Bucket) bool) {
		if h.negative != nil {
			h.negative.ascending(func(i int, n uint64) bool { return yield(Bucket{i, n}) })
		}
	}
}

// ZeroCount returns how many values were zero.
func (h *Histogram) ZeroCount() uint64 { return h.zero }

// Bounds returns the edges of bucket i in seconds: lower exclusive, upper inclusive.
func Bounds(i int) (lower, upper float64) { return edge(i), edge(i + 1) }

// Equal reports whether two histograms hold the same.
func (h *Histogram) Equal(o *Histogram) bool {
	return string(h.AppendBinary(nil)) == string(o.AppendBinary(nil))
}
