package hist

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// values draws numbers of any size that a measure may have.
func values(t *rapid.T, label string) []float64 {
	return rapid.SliceOfN(rapid.OneOf(
		rapid.Float64Range(-1e6, 1e6),
		rapid.Float64Range(-1e15, 1e15),
		rapid.Float64Range(-Limit, Limit),
		rapid.SampledFrom([]float64{0, longest, -longest, math.Nextafter(longest, 1e10), 1 << 33, 16 << 30, 1 << 40, 1.7e12, Limit, -Limit}),
	), 0, 50).Draw(t, label)
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

// numbers counts values.
func numbers(t fataler, values ...float64) *Histogram {
	t.Helper()
	h := New()
	for _, v := range values {
		if err := h.RecordValue(v); err != nil {
			t.Fatal(v, err)
		}
	}
	return h
}

func TestRecordValue(t *testing.T) {
	h := New()
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if h.RecordValue(bad) == nil {
			t.Errorf("%v was counted", bad)
		}
	}
	if !h.Empty() {
		t.Error("a refused value was counted")
	}
	h = numbers(t, 12.5, -3, 0, 9.2e9)
	if got, want := h.Sum(), 12.5-3+9.2e9; got != want {
		t.Errorf("sum %v, want %v", got, want)
	}
}

// TestMemoryOfLargeMachines: bytes of memory are as exact as durations, and what is beyond all that a
// histogram holds counts as the most that it does, so that it does not pass below a limit.
func TestMemoryOfLargeMachines(t *testing.T) {
	h := numbers(t, 8<<30, 16<<30, 16<<30, 1<<40)
	if h.Count() != 4 || h.MinValue() != 8<<30 || h.MaxValue() != 1<<40 || h.Sum() != 40<<30+1<<40 {
		t.Errorf("%d values from %v to %v, sum %v", h.Count(), h.MinValue(), h.MaxValue(), h.Sum())
	}
	if got := h.QuantileValue(0.5); math.Abs(got-16<<30) > 0.0055*16*(1<<30) {
		t.Errorf("median %v, want 16 GiB", got)
	}
	if got, ok := h.QuantileBeyond(1, 1); ok {
		t.Errorf("the fifth of four values is %v", got)
	}
	for v, want := range map[float64]float64{1e30: Limit, -1e30: -Limit} {
		if h := numbers(t, v); math.Abs(h.MaxValue()-want) > 1e-9*Limit || h.Count() != 1 {
			t.Errorf("%v counts as %v, want %v", v, h.MaxValue(), want)
		}
	}
	if h := numbers(t, 1e12, -1e12); h.Max() != math.MaxInt64 || h.Min() != math.MinInt64 || h.Quantile(0.5) != math.MinInt64 {
		t.Errorf("as durations: %v to %v", h.Min(), h.Max())
	}
}

// TestValuesAreExact compares with rational numbers, to the step in which values are kept.
func TestValuesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := values(t, "values")
		if len(all) == 0 {
			t.Skip("nothing to compare")
		}
		h := numbers(t, all...)
		slices.Sort(all)
		sum, most := new(big.Rat), max(math.Abs(all[0]), math.Abs(all[len(all)-1]))
		for _, v := range all {
			sum.Add(sum, new(big.Rat).SetFloat64(v))
		}
		n := float64(len(all))
		want, _ := sum.Float64()
		if got := h.Sum(); math.Abs(got-want) > n*(1e-10*most+1e-9) || math.Abs(h.Mean()*n-got) > 1e-12*n*most {
			t.Errorf("sum %v and mean %v, want %v", got, h.Mean(), want)
		}
		equal := func(got, want float64) bool { return math.Abs(got-want) <= 1e-10*math.Abs(want)+1e-9 }
		if h.Count() != uint64(n) || !equal(h.MinValue(), all[0]) || !equal(h.MaxValue(), all[len(all)-1]) {
			t.Errorf("%d values from %v to %v, want %v to %v", h.Count(), h.MinValue(), h.MaxValue(), all[0], all[len(all)-1])
		}
		var squares float64
		for _, v := range all {
			squares += (v - want/n) * (v - want/n)
		}
		if got := h.Stddev(); math.Abs(got-math.Sqrt(squares/n)) > 1e-6*most+1e-9 {
			t.Errorf("deviation %v, want %v", got, math.Sqrt(squares/n))
		}
		for _, q := range []float64{0, 0.25, 0.5, 0.9, 1} {
			want := all[max(int(math.Ceil(q*n-1e-9)), 1)-1]
			if got := h.QuantileValue(q); math.Abs(got-want) > 0.0055*math.Abs(want)+1e-9 {
				t.Errorf("quantile %v is %v, want %v", q, got, want)
			}
		}
	})
}

// TestExport: the buckets that are handed on hold every value within their bounds, in order.
func TestExport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := values(t, "values")
		h := numbers(t, all...)
		slices.Sort(all)
		negative := slices.Collect(h.NegativeBuckets())
		slices.Reverse(negative)
		i := 0
		take := func(n uint64, lower, upper float64) {
			for range n {
				if v := math.Abs(all[i]); v < lower*(1-1e-9)-1e-9 || v > upper*(1+1e-9)+1e-9 {
					t.Fatalf("%v in (%v, %v]", all[i], lower, upper)
				}
				i++
			}
		}
		for k, b := range negative {
			if k > 0 && b.Index >= negative[k-1].Index {
				t.Fatalf("negative buckets %v", negative)
			}
			lower, upper := Bounds(b.Index)
			take(b.Count, lower, upper)
		}
		take(h.ZeroCount(), 0, 0)
		last := math.MinInt
		for b := range h.Buckets() {
			if b.Index <= last {
				t.Fatalf("bucket %d after %d", b.Index, last)
			}
			last = b.Index
			lower, upper := Bounds(b.Index)
			take(b.Count, lower, upper)
		}
		if i != len(all) {
			t.Fatalf("%d of %d values are in buckets", i, len(all))
		}
	})
}

// TestLargeValuesCostNothingOtherwise: a histogram of durations has no part for them.
func TestLargeValuesCostNothingOtherwise(t *testing.T) {
	if h := of([]time.Duration{1, time.Hour, math.MaxInt64}); h.large != nil {
		t.Error("durations have made a part for large values")
	}
}
