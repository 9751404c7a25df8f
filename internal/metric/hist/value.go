package hist

import (
	"math"
	"math/big"
	"math/bits"
	"time"
)

// Values of RecordValue up to longest are kept as durations are, in steps of 1e-9. Those beyond it are kept
// in a histogram of their own, each divided by 2^coarser: a power of two, so that the two have the
// same buckets, and their sums add up to whole steps.
const (
	longest = 9.2e9
	coarser = 30
)

// Limit bounds the magnitude of values: what is beyond it counts as that.
const Limit = longest * (1 << coarser)

// RecordValue counts a number of any unit, kept to the nearest 1e-9, or beyond 9.2e9 to one part in
// 10^10. It returns ErrNotFinite, and counts nothing, for what is not a finite number.
func (h *Histogram) RecordValue(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ErrNotFinite
	}
	if math.Abs(v) <= longest {
		h.Record(time.Duration(math.Round(v * 1e9)))
		return nil
	}
	v = min(max(v, -Limit), Limit)
	h.beyond().Record(time.Duration(math.Round(v / (1 << coarser) * 1e9)))
	return nil
}

// beyond returns where values beyond longest are counted.
func (h *Histogram) beyond() *Histogram {
	if h.large == nil {
		h.large = New()
	}
	return h.large
}

// sums returns the sums of all values, and of their squares, in steps of 1e-9.
func (h *Histogram) sums() (sum, squares *big.Int) {
	sum, squares = h.sum.big(), h.squares.big()
	if h.large != nil {
		large := h.large.sum.big()
		sum.Add(sum, large.Lsh(large, coarser))
		large = h.large.squares.big()
		squares.Add(squares, large.Lsh(large, 2*coarser))
	}
	return sum, squares
}

// MinValue returns the smallest value; 0 of an empty histogram.
func (h *Histogram) MinValue() float64 { return h.value(1) }

// MaxValue returns the largest value; 0 of an empty histogram.
func (h *Histogram) MaxValue() float64 { return h.value(h.Count()) }

// QuantileValue returns what Quantile does, in seconds (or the unit of RecordValue).
func (h *Histogram) QuantileValue(q float64) float64 { return h.value(Rank(q, h.Count())) }

// QuantileBeyond returns the quantile as if beyond more values had been counted, each larger than
// any that a histogram holds: operations that never ended, or were never let start. It is false
// when the quantile is one of those, or when there are no values at all.
func (h *Histogram) QuantileBeyond(q float64, beyond uint64) (float64, bool) {
	rank := Rank(q, h.Count()+beyond)
	return h.value(rank), rank <= h.Count()
}

// value returns the value of a rank; 0 of one that there is not.
func (h *Histogram) value(rank uint64) float64 {
	if rank == 0 || rank > h.Count() {
		return 0
	}
	part, rank := h.part(rank)
	v := part.within(rank).Seconds()
	if part != h {
		v *= 1 << coarser
	}
	return v
}

// part returns the part of h that holds the value of a rank, and its rank there.
func (h *Histogram) part(rank uint64) (*Histogram, uint64) {
	if h.large == nil || h.large.Empty() {
		return h, rank
	}
	var below uint64 // of the large ones
	if h.large.negative != nil {
		below = h.large.negative.total()
	}
	switch {
	case rank <= below:
		return h.large, rank
	case rank <= below+h.count:
		return h, rank - below
	}
	return h.large, rank - h.count
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
