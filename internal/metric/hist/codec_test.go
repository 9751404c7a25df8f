package hist

import (
	"math/rand/v2"
	"testing"
)

// TestSmallSums shows that the quick check of sums says what the one with arbitrary precision says, of
// sums that are possible, of such that just are not, and of any others.
func TestSmallSums(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	said := map[bool]int{}
	for range 100_000 {
		h := New()
		n, size := 1+rnd.Uint64N(50), rnd.IntN(31)
		for range n {
			v := rnd.Int64N(1 << (size + 1))
			h.count++
			h.min, h.max = min(h.min, v), max(h.max, v)
			if h.count == 1 {
				h.min = v
			}
			h.sum.lo += uint64(v)
			h.squares.lo += uint64(v * v)
		}
		switch rnd.IntN(4) {
		case 0:
			h.sum.lo = h.count*uint64(h.min) + rnd.Uint64N(3) - 1
		case 1:
			h.sum.lo = h.count*uint64(h.max) + rnd.Uint64N(3) - 1
		case 2:
			h.squares.lo = rnd.Uint64() >> rnd.IntN(64)
		}
		got := h.smallSumsPossible()
		said[got]++
		if want := h.exactSumsPossible(); got != want {
			t.Fatalf("%+v: %v, exactly it is %v", h, got, want)
		}
	}
	if said[true] < 10_000 || said[false] < 10_000 {
		t.Errorf("answers %v: the test is about both", said)
	}
}

// TestReleasedHistogramsAreEmpty shows that the memory of one histogram is not another's.
func TestReleasedHistogramsAreEmpty(t *testing.T) {
	data := latencies().AppendBinary(nil)
	for range 100 {
		var h Histogram
		if err := h.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		sum := latencies()
		sum.Merge(&h)
		h.Release()
		if !h.Empty() || sum.Count() != 20_000 || !latencies().Equal(latencies()) {
			t.Fatalf("%d values in what was released, %d in the sum", h.Count(), sum.Count())
		}
		var again Histogram
		if err := again.UnmarshalBinary(data); err != nil || !again.Equal(latencies()) {
			t.Fatalf("decoded into memory that was released: %v", err)
		}
	}
}
