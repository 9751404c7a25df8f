package hist

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// durations draws values over the whole range, with edges and repetitions.
func durations(t *rapid.T, label string) []time.Duration {
	value := rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(0, int64(time.Minute)),
		rapid.Int64Range(-1000, 1000),
		rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, 500_000_000, 1_000_000_000, 2_000_000_000, 1_953_125}),
	)
	raw := rapid.SliceOfN(value, 0, 200).Draw(t, label)
	out := make([]time.Duration, len(raw))
	for i, v := range raw {
		out[i] = time.Duration(v)
	}
	return out
}

func of(values []time.Duration) *Histogram {
	h := New()
	for _, v := range values {
		h.Record(v)
	}
	return h
}

// TestMergeLaws proves on the encoded bytes that merging is commutative and associative and the
// same as recording everything in one histogram.
func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := durations(t, "a"), durations(t, "b"), durations(t, "c")
		x, y := values(t, "x"), values(t, "y")
		with := func(h *Histogram, v []float64) *Histogram {
			h.Merge(numbers(t, v...))
			return h
		}
		merge := func(hs ...*Histogram) []byte {
			m := New()
			for _, h := range hs {
				m.Merge(h)
			}
			return m.AppendBinary(nil)
		}
		whole := with(of(slices.Concat(a, b, c)), slices.Concat(x, y)).AppendBinary(nil)
		bc := with(of(b), y)
		bc.Merge(of(c))
		for name, got := range map[string][]byte{
			"abc": merge(with(of(a), x), with(of(b), y), of(c)), "cba": merge(of(c), with(of(b), y), with(of(a), x)), "a(bc)": merge(with(of(a), x), bc),
		} {
			if !bytes.Equal(got, whole) {
				t.Errorf("merge %s differs from recording all", name)
			}
		}
	})
}

// TestExactness compares with an implementation that keeps every value: count, extremes, mean and
// deviation must be exact, quantiles within one bucket.
func TestExactness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := durations(t, "values")
		if len(values) == 0 {
			t.Skip("nothing to compare")
		}
		h := of(values)
		slices.Sort(values)
		if h.Count() != uint64(len(values)) || h.Min() != values[0] || h.Max() != values[len(values)-1] {
			t.Fatalf("count %d min %v max %v", h.Count(), h.Min(), h.Max())
		}
		mean, deviation := exactMoments(values)
		if h.Mean() != mean {
			t.Errorf("mean %v, want %v", h.Mean(), mean)
		}
		if got := h.Stddev(); math.Abs(got-deviation) > 1e-12*deviation {
			t.Errorf("deviation %v, want %v", got, deviation)
		}
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
			want := values[max(int(math.Ceil(q*float64(len(values))-1e-9)), 1)-1]
			if got := h.Quantile(q); !near(got, want) {
				t.Errorf("quantile %v = %v, want %v within a bucket", q, got, want)
			}
		}
	})
}

func near(got, want time.Duration) bool {
	return math.Abs(float64(got)-float64(want)) <= 0.0055*math.Abs(float64(want))+0.5
}

// exactMoments is independent of the package: rational numbers up to the last step.
func exactMoments(values []time.Duration) (mean, deviation float64) {
	n := big.NewRat(int64(len(values)), 1)
	sum := new(big.Rat)
	for _, v := range values {
		sum.Add(sum, big.NewRat(int64(v), 1_000_000_000))
	}
	average := new(big.Rat).Quo(sum, n)
	squares := new(big.Rat)
	for _, v := range values {
		d := new(big.Rat).Sub(big.NewRat(int64(v), 1_000_000_000), average)
		squares.Add(squares, d.Mul(d, d))
	}
	squares.Quo(squares, n)
	mean, _ = average.Float64()
	root := new(big.Float).SetPrec(200).SetRat(squares)
	deviation, _ = root.Sqrt(root).Float64()
	return mean, deviation
}

// TestIndexIsUpperInclusive checks every edge that a nanosecond value can hit, and the neighbours of
// all others, against logarithms of high precision.
func TestIndexIsUpperInclusive(t *testing.T) {
	for shift := range 9 { // 2^-k s is a whole number of nanoseconds for k up to 9
		ns := uint64(1_000_000_000) >> shift
		if got, want := index(ns), -shift*perOctave-1; got != want {
			t.Errorf("index(2^-%d s) = %d, want %d: the edge belongs to the lower bucket", shift, got, want)
		}
		if got, want := index(ns+1), -shift*perOctave; got != want {
			t.Errorf("index(2^-%d s + 1 ns) = %d, want %d", shift, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Uint64Range(1, math.MaxInt64).Draw(t, "ns")
		lower, upper := Bounds(index(ns))
		seconds := float64(ns) * 1e-9
		if seconds < lower*(1-1e-15) || seconds > upper*(1+1e-15) {
			t.Errorf("%d ns is in (%v, %v] s", ns, lower, upper)
		}
	})
}

// TestIndexIsExact compares with powers of whole numbers: i is right when 2^i < (ns/1e9)^128 <= 2^(i+1).
func TestIndexIsExact(t *testing.T) {
	second := new(big.Int).Exp(big.NewInt(1_000_000_000), big.NewInt(perOctave), nil)
	above := func(ns *big.Int, i int) bool { // whether ns lies above the lower edge of bucket i
		left, right := new(big.Int).Exp(ns, big.NewInt(perOctave), nil), new(big.Int).Set(second)
		if i >= 0 {
			right.Lsh(right, uint(i))
		} else {
			left.Lsh(left, uint(-i))
		}
		return left.Cmp(right) > 0
	}
	check := func(ns uint64) {
		t.Helper()
		v, i := new(big.Int).SetUint64(ns), index(ns)
		if !above(v, i) || above(v, i+1) {
			t.Errorf("index(%d ns) = %d is wrong", ns, i)
		}
	}
	for i := -22 * perOctave; i < 16*perOctave; i += 3 { // from 240 ns to 18 hours, both sides of the edges
		ns := uint64(edge(i) * 1e9)
		check(ns)
		check(ns + 1)
	}
	for ns := uint64(1); ns < 1000; ns++ {
		check(ns)
	}
}

func TestRankIsExact(t *testing.T) {
	for _, c := range []struct {
		q    float64
		n    uint64
		want uint64
	}{
		{0.99, 100, 99},
		{0.999, 1000, 999},
		{0.95, 20, 19},
		{0.5, 1, 1},
		{0.5, 2, 1},
		{0.5, 3, 2},
		{0.99, 101, 100},
		{1, 7, 7},
		{0, 7, 1},
		{0.9999, 10_000, 9999},
		{0.07, 100, 7},
		{0.99, math.MaxUint64, 18262276632972456099},
	} {
		if got := Rank(c.q, c.n); got != c.want {
			t.Errorf("Rank(%v, %d) = %d, want %d", c.q, c.n, got, c.want)
		}
	}
}

func TestQuantileBeyond(t *testing.T) {
	h := New()
	for i := range 90 {
		h.Record(time.Duration(i+1) * time.Second)
	}
	for _, c := range []struct {
		name   string
		q      float64
		beyond uint64
		want   time.Duration
		ok     bool
	}{
		{"nothing beyond", 1, 0, 90 * time.Second, true},
		{"the largest that ended", 0.9, 10, 90 * time.Second, true},
		{"one further", 0.91, 10, 0, false},
		{"half", 0.5, 90, 90 * time.Second, true},
		{"smallest", 0, 1_000_000, time.Second, true},
	} {
		got, ok := h.QuantileBeyond(c.q, c.beyond)
		if got != c.want.Seconds() || ok != c.ok {
			t.Errorf("%s: %v %v, want %v %v", c.name, got, ok, c.want, c.ok)
		}
	}
	if _, ok := New().QuantileBeyond(0.5, 0); ok {
		t.Error("an empty histogram has a quantile")
	}
	if _, ok := New().QuantileBeyond(0.5, 3); ok {
		t.Error("values beyond all are a quantile")
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	h := of([]time.Duration{-time.Second, time.Millisecond, time.Second})
	if n := testing.AllocsPerRun(100, func() {
		h.Record(time.Second)
		h.Record(-time.Second)
		h.Record(time.Millisecond)
	}); n != 0 {
		t.Errorf("recording allocates %v times", n)
	}
}

// What a histogram needs follows what it was given lately: a value that came once does not hold memory for ever.
func TestResetGivesBackWhatIsNotUsed(t *testing.T) {
	h := New()
	for d := time.Microsecond; d < time.Hour; d *= 2 {
		h.Record(d)
	}
	for range 2 {
		h.Reset()
		h.Record(time.Millisecond)
	}
	pages := 0
	for _, pg := range h.positive {
		if pg != nil {
			pages++
		}
	}
	if pages != 1 {
		t.Errorf("%d pages for one value", pages)
	}
	if h.Count() != 1 || h.Quantile(1) != time.Millisecond {
		t.Errorf("%d values, the largest %v", h.Count(), h.Quantile(1))
	}
}

// TestDecodeRefuses names what an encoding may not be; the bytes are of one value of 1 ns.
func TestDecodeRefuses(t *testing.T) {
	good := of([]time.Duration{1}).AppendBinary(nil)
	for name, change := range map[string]func([]byte) []byte{
		"nothing":         func([]byte) []byte { return nil },
		"other scale":     func(b []byte) []byte { b[0]++; return b },
		"count mismatch":  func(b []byte) []byte { b[1]++; return b },
		"cut short":       func(b []byte) []byte { return b[:len(b)-1] },
		"trailing":        func(b []byte) []byte { return append(b, 0) },
		"longer number":   func(b []byte) []byte { return slices.Replace(b, 2, 3, 0x80, 0) },
		"too large":       func(b []byte) []byte { return slices.Replace(b, 1, 2, bytes.Repeat([]byte{0xff}, 11)...) },
		"minimum":         func(b []byte) []byte { b[3] = 4; return b },
		"maximum":         func(b []byte) []byte { b[4] = 4; return b },
		"sum":             func(b []byte) []byte { b[6] = 2; return b },
		"squares":         func(b []byte) []byte { b[9] = 0; return b },
		"large, and none": func(b []byte) []byte { b[0] |= wide; return append(b, Scale, 0) },
		"large, missing":  func(b []byte) []byte { b[0] |= wide; return b },
		"large, small":    func(b []byte) []byte { b[0] |= wide; return append(b, good...) },
	} {
		var h Histogram
		h.Record(7)
		err := h.UnmarshalBinary(change(slices.Clone(good)))
		if !errors.Is(err, ErrCorrupt) || !h.Empty() {
			t.Errorf("%s: %v, %d values", name, err, h.Count())
		}
	}
}

func TestResetKeepsNothing(t *testing.T) {
	h := of([]time.Duration{-5, 0, 7, time.Second})
	h.Merge(numbers(t, 1e12, -1e12))
	h.Reset()
	if !h.Equal(New()) {
		t.Error("a reset histogram is not empty")
	}
	h.Record(3)
	if !h.Equal(of([]time.Duration{3})) {
		t.Error("a reset histogram remembers")
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := of(durations(t, "values"))
		h.Merge(numbers(t, values(t, "numbers")...))
		var back Histogram
		if err := back.UnmarshalBinary(h.AppendBinary(nil)); err != nil {
			t.Fatal(err)
		}
		if !back.Equal(h) {
			t.Error("histogram changed on the way")
		}
	})
}

// FuzzUnmarshal proves that nothing but a canonical encoding is taken.
func FuzzUnmarshal(f *testing.F) {
	f.Add(New().AppendBinary(nil))
	f.Add(of([]time.Duration{-time.Hour, -1, 0, 0, 1, time.Millisecond, time.Second}).AppendBinary(nil))
	f.Add(numbers(f, 1e10, -1e18, 3).AppendBinary(nil))
	f.Add([]byte{Scale, 1, 0, 2, 2, 0, 1, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Histogram
		if h.UnmarshalBinary(data) != nil {
			if !h.Empty() {
				t.Error("a refused histogram is not empty")
			}
			return
		}
		if !bytes.Equal(h.AppendBinary(nil), data) {
			t.Error("two encodings of one histogram")
		}
		h.Quantile(0.99)
		h.Stddev()
	})
}
