package metric

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The slope of a line is its slope, however many values a second has, and in whichever parts they come.
func TestTrend(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rise, base := rapid.Float64Range(-5, 5).Draw(rt, "rise"), rapid.Float64Range(0, 100).Draw(rt, "base")
		first := rapid.Int64Range(0, 1e6).Draw(rt, "first")
		var whole Trend
		parts := make([]Trend, 3)
		for i := range rapid.Int64Range(2, 200).Draw(rt, "seconds") {
			at, n := float64(first+2*i), float64(rapid.IntRange(1, 1000).Draw(rt, "values"))
			sum := n * (base + rise*float64(2*i))
			whole.Add(at, n, sum)
			parts[rapid.IntRange(0, 2).Draw(rt, "part")].Add(at, n, sum)
		}
		var merged Trend
		for _, part := range rapid.Permutation(parts).Draw(rt, "order") {
			merged.Merge(part)
		}
		for name, tr := range map[string]Trend{"whole": whole, "merged": merged} {
			if got, ok := tr.Slope(); !ok || math.Abs(got-rise) > 1e-6 {
				rt.Fatalf("%s: %v, want %v", name, got, rise)
			}
		}
	})
}

// A second with one odd value does not weigh as much as one with a thousand.
func TestTrendWeighsValues(t *testing.T) {
	var tr Trend
	tr.Add(0, 1, 10)
	for at := 1.0; at < 30; at++ {
		tr.Add(at, 1000, 10)
	}
	if got, ok := tr.Slope(); !ok || got > 0 || got < -0.0001 {
		t.Errorf("slope %v, want nearly 0", got)
	}
	var one Trend
	one.Add(7, 5, 50)
	if got, ok := one.Slope(); ok {
		t.Errorf("slope %v of one second", got)
	}
}
