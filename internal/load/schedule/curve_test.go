package schedule

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/scenario"
)

// profile builds segments from {from, to, seconds} as the plan does.
func profile(parts ...[3]float64) []scenario.Segment {
	var out []scenario.Segment
	var start time.Duration
	before := 0.0
	for _, p := range parts {
		s := scenario.Segment{
			Kind: "ramp", From: p[0], To: p[1], Start: start, For: time.Duration(p[2] * float64(time.Second)), Before: before,
		}
		s.Through = before + (p[0]+p[1])/2*s.For.Seconds()
		start, before = start+s.For, s.Through
		out = append(out, s)
	}
	return out
}

func drawProfile(t *rapid.T) []scenario.Segment {
	n := rapid.IntRange(1, 4).Draw(t, "segments")
	parts := make([][3]float64, n)
	rate := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1, 900))
	for i := range parts {
		from := rate.Draw(t, "from")
		to := from
		if rapid.Bool().Draw(t, "ramp") {
			to = rate.Draw(t, "to")
		}
		parts[i] = [3]float64{from, to, float64(rapid.IntRange(1, 12000).Draw(t, "ms")) / 1000}
	}
	return profile(parts...)
}

func drawFactors(t *rapid.T) []Factor {
	var out []Factor
	at := time.Duration(0)
	for range rapid.IntRange(0, 3).Draw(t, "factors") {
		at += time.Duration(rapid.Int64Range(0, 8e9).Draw(t, "at"))
		out = append(out, Factor{At: at, Value: rapid.SampledFrom([]float64{0.25, 0.5, 1, 1.5, 3}).Draw(t, "factor")})
	}
	return out
}

func TestCurveAt(t *testing.T) {
	tests := []struct {
		name     string
		segments []scenario.Segment
		factors  []Factor
		x        float64
		want     time.Duration
	}{
		{"hold starts at once", profile([3]float64{100, 100, 10}), nil, 0, 0},
		{"hold is evenly spaced", profile([3]float64{100, 100, 10}), nil, 250, 2500 * time.Millisecond},
		{"rising ramp", profile([3]float64{0, 100, 10}), nil, 125, 5 * time.Second},
		{"falling ramp", profile([3]float64{100, 0, 10}), nil, 375, 5 * time.Second},
		{"leading silence is skipped", profile([3]float64{0, 0, 5}, [3]float64{10, 10, 5}), nil, 0, 5 * time.Second},
		{"silence in between is skipped", profile([3]float64{10, 10, 1}, [3]float64{0, 0, 5}, [3]float64{10, 10, 1}), nil, 10, 6 * time.Second},
		{"doubled from the middle", profile([3]float64{100, 100, 10}), []Factor{{5 * time.Second, 2}}, 700, 6 * time.Second},
		{"factors are absolute", profile([3]float64{100, 100, 10}), []Factor{{0, 2}, {5 * time.Second, 2}}, 1200, 6 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := NewCurve(tt.segments, tt.factors).At(tt.x)
			if d := got - tt.want; !ok || d < -1 || d > 1 {
				t.Errorf("At(%v) = %v, %v, want %v", tt.x, got, ok, tt.want)
			}
		})
	}
}

func TestCurveCount(t *testing.T) {
	tests := []struct {
		name     string
		segments []scenario.Segment
		factors  []Factor
		want     int64
	}{
		{"nothing", nil, nil, 0},
		{"whole", profile([3]float64{400, 400, 300}), nil, 120000},
		{"a fraction counts as one", profile([3]float64{0.3, 0.3, 1}), nil, 1},
		{"ramp", profile([3]float64{0, 100, 30}), nil, 1500},
		{"scaled from the middle", profile([3]float64{400, 400, 300}), []Factor{{150 * time.Second, 1.5}}, 150000},
		{"scaled and back", profile([3]float64{100, 100, 30}), []Factor{{10 * time.Second, 2}, {20 * time.Second, 1}}, 4000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewCurve(tt.segments, tt.factors)
			if got := c.Count(); got != tt.want {
				t.Errorf("Count = %d, want %d", got, tt.want)
			}
			if _, ok := c.At(c.Total()); ok {
				t.Error("an arrival at the end of the integral is fired")
			}
		})
	}
}

// TestCurveInverse: the instant is the first nanosecond at which the integral is reached, and a
// later arrival is never earlier.
func TestCurveInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewCurve(drawProfile(t), drawFactors(t))
		if c.Total() == 0 {
			return
		}
		last := time.Duration(0)
		x := 0.0
		for range 50 {
			x += rapid.Float64Range(0, c.Total()/30).Draw(t, "step")
			at, ok := c.At(x)
			if ok != (x < c.Total()) {
				t.Fatalf("At(%v) = %v with a total of %v", x, ok, c.Total())
			}
			if !ok {
				return
			}
			if at < last || at >= c.Length() {
				t.Fatalf("At(%v) = %v after %v, length %v", x, at, last, c.Length())
			}
			last = at
			if at > 0 && c.Integral(at-1) > x {
				t.Fatalf("integral %v at %v, before arrival %v", c.Integral(at-1), at-1, x)
			}
			if c.Integral(at+1) < x {
				t.Fatalf("integral only %v behind arrival %v at %v", c.Integral(at+1), x, at)
			}
		}
	})
}

// TestCurveKeepsThePast: a change of scale leaves every arrival before it where it was.
func TestCurveKeepsThePast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segments, factors := drawProfile(t), drawFactors(t)
		before := NewCurve(segments, factors)
		cut := time.Duration(rapid.Int64Range(0, int64(before.Length())).Draw(t, "cut"))
		if n := len(factors); n > 0 && factors[n-1].At > cut {
			return
		}
		after := NewCurve(segments, append(factors[:len(factors):len(factors)], Factor{cut, 2.5}))
		for i := range before.Count() {
			a, _ := before.At(float64(i))
			b, ok := after.At(float64(i))
			if a < cut && (!ok || a != b) {
				t.Fatalf("arrival %d moved from %v to %v, %v by a change at %v", i, a, b, ok, cut)
			}
			if a >= cut && ok && b < cut {
				t.Fatalf("arrival %d moved from %v to %v before the change at %v", i, a, b, cut)
			}
		}
	})
}

func TestLogarithm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(0x1p-53, 1).Draw(t, "x")
		got, want := logarithm(x), math.Log(x)
		if math.Abs(got-want) > 4e-16*max(math.Abs(want), 0x1p-40) && math.Abs(got-want) > 1e-15*math.Abs(want) {
			t.Fatalf("logarithm(%v) = %v, want %v", x, got, want)
		}
	})
}
