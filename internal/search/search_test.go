package search

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var shop = Config{Low: 500, High: 20000, Precision: 0.02, Confirm: 3}

// tester is what a search is played for: a test, or one case of a property.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// run plays a search against a target to its end and returns the verdicts.
func run(t tester, c Config, target func(rate float64) Verdict) (Result, []Verdict) {
	t.Helper()
	s := New(c)
	var verdicts []Verdict
	for {
		step := s.Next()
		if step.Done {
			return step.Result, verdicts
		}
		if len(verdicts) >= c.Most() {
			t.Fatalf("no end after %d probes", len(verdicts))
		}
		if step.Rate < c.Low || step.Rate > c.High {
			t.Fatalf("a probe at %g/s, which is not between %g and %g", step.Rate, c.Low, c.High)
		}
		v := target(step.Rate)
		v.Rate = step.Rate
		verdicts = append(verdicts, v)
		next, err := s.Judged(v)
		if err != nil {
			t.Fatalf("%v", err)
		}
		s = next
	}
}

// sharp is a target that bears a rate and nothing above it.
func sharp(capacity float64) func(float64) Verdict {
	return func(rate float64) Verdict {
		if rate <= capacity {
			return Verdict{Outcome: Held}
		}
		return Verdict{Outcome: Broken, Criterion: "p99", Reason: "too slow"}
	}
}

func rates(verdicts []Verdict) []float64 {
	var out []float64
	for _, v := range verdicts {
		out = append(out, v.Rate)
	}
	return out
}

func TestSharpTarget(t *testing.T) {
	got, verdicts := run(t, shop, sharp(1190))
	want := Result{Kind: Found, Low: 1190, High: 1205, Criterion: "p99", Reason: "too slow", Probes: len(verdicts)}
	if got != want {
		t.Errorf("result %+v, want %+v; probes at %v", got, want, rates(verdicts))
	}
	if len(verdicts) > shop.Usual() {
		t.Errorf("%d probes, %d are usual at most", len(verdicts), shop.Usual())
	}
}

func TestEnds(t *testing.T) {
	limited := Verdict{Outcome: Limited, Reason: "schedule lag"}
	for _, tt := range []struct {
		name   string
		target func(float64) Verdict
		want   Result
	}{
		{"bears everything", sharp(math.Inf(1)), Result{Kind: AtLeast, Low: 20000}},
		{"bears exactly the highest", sharp(20000), Result{Kind: AtLeast, Low: 20000}},
		{"bears nothing", sharp(0), Result{Kind: TooLow, High: 500, Criterion: "p99", Reason: "too slow"}},
		{"the generators bear nothing", func(float64) Verdict { return limited }, Result{Kind: GeneratorLimit, High: 500, Reason: "schedule lag"}},
		{"never measured", func(float64) Verdict { return Verdict{Outcome: Disturbed, Reason: "no samples"} }, Result{Kind: Unmeasured, Reason: "no samples"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, verdicts := run(t, shop, tt.target)
			tt.want.Probes = len(verdicts)
			if got != tt.want {
				t.Errorf("result %+v, want %+v; probes at %v", got, tt.want, rates(verdicts))
			}
		})
	}
}

// TestHiccup: one probe that broke without need costs probes, and the result is right all the same.
func TestHiccup(t *testing.T) {
	for at := range 12 {
		n := 0
		got, verdicts := run(t, shop, func(rate float64) Verdict {
			if n++; n == at+1 {
				return Verdict{Outcome: Broken, Criterion: "p99", Reason: "hiccup"}
			}
			return sharp(9000)(rate)
		})
		if got.Kind != Found || got.Low > 9000 || got.High <= 9000 || got.High-got.Low > 0.02*got.High*1.0001 {
			t.Errorf("hiccup in probe %d: result %+v, probes at %v", at+1, got, rates(verdicts))
		}
	}
}

// TestUnsteady: a target that answers every time otherwise proves nothing above what always holds.
func TestUnsteady(t *testing.T) {
	n := 0
	got, verdicts := run(t, Config{Low: 100, High: 800, Precision: 0.1, Confirm: 2}, func(rate float64) Verdict {
		n++
		if rate <= 200 {
			return Verdict{Outcome: Held}
		}
		return sharp(float64(n % 2 * 1000))(rate)
	})
	held := 0
	for _, v := range verdicts {
		if v.Rate == got.Low && v.Outcome == Held {
			held++
		}
	}
	if got.Low < 200 || got.Kind.Valid() && held < 2 {
		t.Errorf("result %+v after %v", got, verdicts)
	}
}

func TestWrongVerdicts(t *testing.T) {
	s := New(shop)
	for name, v := range map[string]Verdict{
		"another rate": {Rate: 700, Outcome: Held}, "unknown": {Rate: 500, Outcome: "maybe"},
	} {
		if next, err := s.Judged(v); err == nil || next.Next() != s.Next() {
			t.Errorf("%s: %v, %+v", name, err, next.Next())
		}
	}
	if _, err := Replay(shop, []Verdict{{Rate: 500, Outcome: Held}, {Rate: 500, Outcome: Held}}); err == nil || !strings.Contains(err.Error(), "probe 2") {
		t.Errorf("a probe judged twice: %v", err)
	}
	done := New(shop)
	for range disturbedAt {
		var err error
		if done, err = done.Judged(Verdict{Rate: 500, Outcome: Disturbed}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := done.Judged(Verdict{Rate: 500, Outcome: Held}); err == nil {
		t.Error("a search that is done took a verdict")
	}
}

func TestConfigValidate(t *testing.T) {
	if err := shop.Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{{}, {Low: 5, High: 5, Precision: 0.1, Confirm: 1}, {Low: 1, High: 2, Precision: 1, Confirm: 1}, {Low: 1, High: 2, Precision: 0.1}, {Low: 1, High: math.Inf(1), Precision: 0.1, Confirm: 1}} {
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}

func drawConfig(t *rapid.T) Config {
	low := rapid.Float64Range(0.1, 10000).Draw(t, "low")
	return Config{
		Low: low, High: low * rapid.Float64Range(1.01, 1000).Draw(t, "span"),
		Precision: rapid.Float64Range(0.002, 0.5).Draw(t, "precision"), Confirm: rapid.IntRange(1, 6).Draw(t, "confirm"),
	}
}

// proven checks that a result follows from the verdicts.
func proven(t *rapid.T, c Config, r Result, verdicts []Verdict) {
	score := map[float64]int{}
	for _, v := range verdicts {
		switch v.Outcome {
		case Held:
			score[v.Rate]++
		case Broken:
			score[v.Rate]--
		}
	}
	if r.Probes != len(verdicts) {
		t.Fatalf("%d probes reported, %d made", r.Probes, len(verdicts))
	}
	switch r.Kind {
	case Found:
		if r.Low >= r.High || r.High-r.Low > c.Precision*r.High*(1+1e-6) || score[r.Low] < c.Confirm || score[r.High] >= c.Confirm || r.Criterion == "" {
			t.Fatalf("%+v does not follow from %v", r, verdicts)
		}
	case AtLeast:
		if r.Low != c.High || score[r.Low] < c.Confirm {
			t.Fatalf("%+v does not follow from %v", r, verdicts)
		}
	case TooLow:
		if r.High != c.Low || score[r.High] >= c.Confirm {
			t.Fatalf("%+v does not follow from %v", r, verdicts)
		}
	}
}

// TestSharpProperty: a target that bears exactly so much is found within the precision, in the usual number of
// probes, whatever the generators do above it and however often probes are disturbed.
func TestSharpProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		capacity := c.Low * rapid.Float64Range(0.5, 1.2*c.High/c.Low).Draw(t, "capacity")
		reach := math.Inf(1)
		if rapid.Bool().Draw(t, "limited") {
			reach = c.Low * rapid.Float64Range(0.5, 1.2*c.High/c.Low).Draw(t, "reach")
		}
		disturb := rapid.SampledFrom([]int{0, 5, 9}).Draw(t, "disturb every")
		n := 0
		got, verdicts := run(t, c, func(rate float64) Verdict {
			n++
			switch {
			case disturb > 0 && n%disturb == 0:
				return Verdict{Outcome: Disturbed, Reason: "paused"}
			case rate > reach:
				return Verdict{Outcome: Limited, Reason: "lag"}
			}
			return sharp(capacity)(rate)
		})
		proven(t, c, got, verdicts)
		if disturb == 0 && math.IsInf(reach, 1) && len(verdicts) > c.Usual() {
			t.Fatalf("%d probes, %d are usual: %v", len(verdicts), c.Usual(), verdicts)
		}
		switch {
		case got.Kind == Unfinished && disturb > 0:
		case capacity >= c.High && reach >= c.High:
			if got.Kind != AtLeast {
				t.Fatalf("%+v of a target that bears all", got)
			}
		case capacity < c.Low && reach >= c.Low:
			if got.Kind != TooLow {
				t.Fatalf("%+v of a target that bears nothing", got)
			}
		case reach < c.Low:
			if got.Kind != GeneratorLimit || got.Low != 0 {
				t.Fatalf("%+v of generators that bear nothing", got)
			}
		case got.Kind == GeneratorLimit:
			// What lies between the two in the last interval cannot be told apart.
			if got.Low > min(capacity, reach) || got.High < reach || reach > capacity && got.High > capacity*(1+2*c.Precision)/(1-c.Precision) {
				t.Fatalf("%+v with a capacity of %g and a reach of %g", got, capacity, reach)
			}
		default:
			if got.Kind != Found || got.Low > capacity || got.High <= capacity || got.High > reach {
				t.Fatalf("%+v with a capacity of %g and a reach of %g", got, capacity, reach)
			}
		}
	})
}

// TestNoisyProperty: a target that breaks more and more often gets a result that follows from what was seen, near
// where it breaks as often as it holds, or an honest admission.
func TestNoisyProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		middle := c.Low * rapid.Float64Range(1, c.High/c.Low).Draw(t, "middle")
		width := rapid.Float64Range(0.001, 0.3).Draw(t, "width")
		got, verdicts := run(t, c, func(rate float64) Verdict {
			breaks := 1 / (1 + math.Exp(-math.Log(rate/middle)/width))
			if rapid.Float64Range(0, 1).Draw(t, "luck") < breaks {
				return Verdict{Outcome: Broken, Criterion: "p99"}
			}
			return Verdict{Outcome: Held}
		})
		proven(t, c, got, verdicts)
		again, err := Replay(c, verdicts)
		if err != nil || again.Next().Result != got {
			t.Fatalf("replayed %+v, %v; want %+v", again.Next(), err, got)
		}
	})
}
