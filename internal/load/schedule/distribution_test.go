package schedule

import (
	"math"
	"slices"
	"testing"
	"time"

	"proofload/internal/scenario"
)

// TestDistributions: what is drawn has the moments that the scenario asks for, and is never negative.
func TestDistributions(t *testing.T) {
	const n = 40_000
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	half := math.Sqrt(2 / math.Pi) // mean of the positive half of the standard normal distribution, doubled
	for _, tc := range []struct {
		name               string
		dist               scenario.Distribution
		mean, stddev       float64 // milliseconds
		median, least, top float64
	}{
		{"constant", scenario.Distribution{Kind: "constant", Value: ms(7)}, 7, 0, 7, 7, 7},
		{"uniform", scenario.Distribution{Kind: "uniform", Min: ms(10), Max: ms(30)}, 20, 20 / math.Sqrt(12), 20, 10, 30},
		{"exponential", scenario.Distribution{Kind: "exponential", Mean: ms(20)}, 20, 20, 20 * math.Ln2, 0, math.Inf(1)},
		{"normal", scenario.Distribution{Kind: "normal", Mean: ms(100), Stddev: ms(10)}, 100, 10, 100, 0, math.Inf(1)},
		// Cut at zero: half of the values are 0, the others half of a normal distribution.
		{"normal around zero", scenario.Distribution{Kind: "normal", Stddev: ms(10)}, 10 * half / 2, 10 * math.Sqrt(0.5-half*half/4), 0, 0, math.Inf(1)},
		{"lognormal", scenario.Distribution{Kind: "lognormal", Median: ms(50), Sigma: 0.5}, 50 * math.Exp(0.125), 50 * math.Exp(0.125) * math.Sqrt(math.Exp(0.25)-1), 50, 0, math.Inf(1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := NewDraw(11, tc.name)
			var all []float64
			sum, squares := 0.0, 0.0
			for i := range uint64(n) {
				v := d.Child(i).Duration(tc.dist)
				if again := d.Child(i).Duration(tc.dist); again != v {
					t.Fatalf("the same draw gave %v and %v", v, again)
				}
				x := v.Seconds() * 1000
				if x < tc.least || x > tc.top {
					t.Fatalf("%v is out of bounds", v)
				}
				all = append(all, x)
				sum, squares = sum+x, squares+x*x
			}
			slices.Sort(all)
			mean := sum / n
			stddev := math.Sqrt(max(squares/n-mean*mean, 0))
			for what, pair := range map[string][2]float64{"mean": {mean, tc.mean}, "deviation": {stddev, tc.stddev}, "median": {all[n/2], tc.median}} {
				if got, want := pair[0], pair[1]; math.Abs(got-want) > 0.03*tc.mean+1e-6 {
					t.Errorf("%s is %.3f ms, want %.3f ms", what, got, want)
				}
			}
		})
	}
}
