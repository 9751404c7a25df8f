package schedule

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/run"
	"proofload/internal/scenario"
)

// TestProbedProperty: a phase that is searched has exactly the load of its probes, each for as long as it says or until
// the next one, pauses left out, under the scale of the run; and ends where it was told to.
func TestProbedProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &scenario.Phase{Name: "p", Searched: true, Length: time.Hour, Rate: []scenario.Segment{{From: 1000, To: 1000, For: time.Hour, Through: 3.6e6}}}
		start := time.Duration(rapid.IntRange(0, 20).Draw(t, "start")) * time.Second
		var h run.History
		at, paused := start, false
		for range rapid.IntRange(0, 12).Draw(t, "changes") {
			at += time.Duration(rapid.IntRange(0, 20).Draw(t, "gap")) * time.Second
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				kind := run.ChangePause
				if paused {
					kind = run.ChangeResume
				}
				paused = !paused
				h = append(h, run.Change{ID: "x", Kind: kind, At: at})
			case 1:
				factor := rapid.SampledFrom([]float64{0.5, 1, 2}).Draw(t, "scale")
				h = append(h, run.Change{ID: "x", Kind: run.ChangeScale, At: at, Factor: factor})
			default:
				c := run.Change{ID: "x", Kind: run.ChangeProbe, Phase: "p", At: at, Rate: rapid.SampledFrom([]float64{0, 100, 250, 1000}).Draw(t, "rate")}
				if c.Rate > 0 {
					c.For = time.Duration(rapid.IntRange(1, 15).Draw(t, "for")) * time.Second
				}
				h = append(h, c)
			}
		}
		if paused {
			at += time.Second
			h = append(h, run.Change{ID: "x", Kind: run.ChangeResume, At: at})
		}
		end := time.Duration(math.MaxInt64)
		if rapid.Bool().Draw(t, "ended") {
			end = at + time.Duration(rapid.IntRange(0, 10).Draw(t, "end"))*time.Second
			h = append(h, run.Change{ID: "x", Kind: run.ChangePhaseEnd, Phase: "p", At: end})
		}
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		timeline := run.NewTimeline(h)
		planStart := timeline.PlanTime(start)
		c := Executed(p, timeline, planStart)
		want := 0.0
		for s := start; s < at+40*time.Second; s += time.Second {
			if !timeline.Paused(s) && s < end {
				want += rateAt(h, timeline, s)
			}
			got := c.Integral(timeline.PlanTime(s+time.Second) - planStart)
			if math.Abs(got-want) > 1e-6*(1+want) {
				t.Fatalf("%v arrivals by %v, want %v of %+v", got, s+time.Second, want, h)
			}
		}
		if length := timeline.PlanTime(end) - planStart; end < time.Hour && c.Length() != max(0, length) {
			t.Fatalf("it ends after %v, want %v", c.Length(), length)
		}
	})
}

// rateAt is the rate in force in the second from at on, by looking at every change.
func rateAt(h run.History, t run.Timeline, at time.Duration) float64 {
	rate, scale := 0.0, 1.0
	for _, c := range h {
		if t.PlanTime(c.At) > t.PlanTime(at) {
			continue
		}
		switch c.Kind {
		case run.ChangeScale:
			scale = c.Factor
		case run.ChangeProbe:
			rate = 0
			if t.PlanTime(at) < t.PlanTime(c.At)+c.For {
				rate = c.Rate
			}
		}
	}
	return rate * scale
}
