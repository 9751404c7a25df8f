package schedule

import (
	"math"
	"math/rand/v2"
	"testing"

	"proofload/internal/scenario"
)

// TestDrawIsFixed pins the bits: a run repeated with the same seed by a later version or on another
// kind of machine must draw the same.
func TestDrawIsFixed(t *testing.T) {
	d := NewDraw(42, "steady").Named("arrivals").Child(7)
	for n, want := range []uint64{0x2160f1427eb0b2d7, 0xb21d88e1c4eb6605} {
		if got := d.Uint64(uint64(n)); got != want {
			t.Errorf("Uint64(%d) = %#x, want %#x", n, got, want)
		}
	}
	if got, want := math.Float64bits(d.Exponential(0)), uint64(0x40004c4efccf4986); got != want {
		t.Errorf("Exponential(0) = %#x, want %#x", got, want)
	}
}

func TestDrawsDiffer(t *testing.T) {
	seen := map[uint64]string{}
	note := func(what string, d Draw) {
		u := d.Uint64(0)
		if other, ok := seen[u]; ok {
			t.Errorf("%s draws the same as %s", what, other)
		}
		seen[u] = what
	}
	for _, seed := range []uint64{0, 1, 2} {
		for _, phase := range []string{"", "a", "b", "aa", "ab"} {
			d := NewDraw(seed, phase)
			note("root "+phase, d)
			for n := range uint64(100) {
				note("child", d.Child(n))
				note("grandchild", d.Child(n).Child(n))
			}
			note("name", d.Named(""))
			note("name a", d.Named("a"))
		}
	}
}

func TestExponentialMoments(t *testing.T) {
	const n = 200000
	var sum, squares float64
	for v := range uint64(20) {
		d := NewDraw(1, "x").Child(v)
		for k := range uint64(n / 20) {
			e := d.Exponential(k)
			if e < 0 || math.IsInf(e, 0) {
				t.Fatalf("Exponential = %v", e)
			}
			sum += e
			squares += e * e
		}
	}
	if mean := sum / n; math.Abs(mean-1) > 0.01 {
		t.Errorf("mean = %v, want 1", mean)
	}
	if second := squares / n; math.Abs(second-2) > 0.05 {
		t.Errorf("second moment = %v, want 2", second)
	}
}

func TestSource(t *testing.T) {
	d := NewDraw(3, "p")
	s := d.Source()
	r := rand.New(s)
	first := r.Uint64()
	if first != d.Uint64(0) || r.Uint64() != d.Uint64(1) {
		t.Error("a source does not walk through the numbers of its draw")
	}
	s.Reset(d)
	if r.Uint64() != first {
		t.Error("Reset does not start over")
	}
}

func TestMixPick(t *testing.T) {
	m := NewMix([]scenario.Weight{{Flow: "a", Weight: 1}, {Flow: "b", Weight: 2}, {Flow: "c", Weight: 1}})
	for _, tt := range []struct {
		u    float64
		want int
	}{{0, 0}, {0.2499, 0}, {0.25, 1}, {0.7499, 1}, {0.75, 2}, {0.9999999, 2}} {
		if got := m.Pick(tt.u); got != tt.want {
			t.Errorf("Pick(%v) = %d, want %d", tt.u, got, tt.want)
		}
	}
}
