package run

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawHistory makes a history as Step would record it.
func drawHistory(t *rapid.T) History {
	var h History
	at, paused := time.Duration(0), false
	for range rapid.IntRange(0, 12).Draw(t, "changes") {
		at += time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "gap"))
		c := Change{ID: "x", At: at}
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			c.Kind, c.Factor = ChangeScale, rapid.Float64Range(0.1, 5).Draw(t, "factor")
		case 1:
			c.Kind, c.Phase = ChangePhaseStart, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "phase")
		default:
			c.Kind = ChangePause
			if paused {
				c.Kind = ChangeResume
			}
			paused = !paused
		}
		h = append(h, c)
	}
	return h
}

func TestTimelineProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		tl := NewTimeline(h)
		r := time.Duration(rapid.Int64Range(-5e9, 7e10).Draw(t, "run time"))
		d := time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "more"))
		if tl.PlanTime(r+d) < tl.PlanTime(r) || tl.PlanTime(r+d)-tl.PlanTime(r) > d {
			t.Fatalf("plan time goes from %v to %v in %v", tl.PlanTime(r), tl.PlanTime(r+d), d)
		}
		if got := tl.PlanTime(r) + tl.PausedAt(r); got != r {
			t.Fatalf("plan + paused = %v at %v", got, r)
		}
		if got, want := tl.PausedAt(r), bruteForce(h, r); got != want {
			t.Fatalf("paused %v at %v, want %v", got, r, want)
		}
		p := tl.PlanTime(r)
		back, ok := tl.RunTime(p)
		switch {
		case !ok:
			if !tl.Paused(time.Duration(1 << 60)) {
				t.Fatalf("plan time %v is never reached without an open pause", p)
			}
		case tl.PlanTime(back) != p, back < r && !tl.Paused(back) && tl.PausedWithin(back, r) != r-back, tl.Paused(back):
			t.Fatalf("plan time %v of %v is done at %v", p, r, back)
		}
		if next, ok2 := tl.RunTime(p + d + 1); ok && ok2 && next <= back {
			t.Fatalf("the inverse does not rise: %v, %v", back, next)
		}
	})
}

// bruteForce adds up paused time change by change.
func bruteForce(h History, at time.Duration) time.Duration {
	var sum time.Duration
	from := time.Duration(-1)
	for _, c := range h {
		switch c.Kind {
		case ChangePause:
			from = c.At
		case ChangeResume:
			sum += max(0, min(c.At, at)-from)
			from = -1
		}
	}
	if from >= 0 {
		sum += max(0, at-from)
	}
	return sum
}

func TestTimelineOfOnePause(t *testing.T) {
	tl := NewTimeline(History{
		{Kind: ChangePause, At: 2 * time.Second},
		{Kind: ChangeResume, At: 5 * time.Second},
		{Kind: ChangeScale, At: 6 * time.Second, Factor: 1.5},
		{Kind: ChangePhaseStart, At: 7 * time.Second, Phase: "p"},
		{Kind: ChangePhaseStart, At: 8 * time.Second, Phase: "p"},
		{Kind: ChangePause, At: 9*time.Second + 1},
	})
	for _, c := range []struct {
		name             string
		at, plan, paused time.Duration
		frozen           bool
	}{
		{"before T0", -time.Second, -time.Second, 0, false},
		{"before", 2*time.Second - 1, 2*time.Second - 1, 0, false},
		{"at the stamp", 2 * time.Second, 2 * time.Second, 0, true},
		{"within", 3 * time.Second, 2 * time.Second, time.Second, true},
		{"at the resume", 5 * time.Second, 2 * time.Second, 3 * time.Second, false},
		{"after", 5*time.Second + 1, 2*time.Second + 1, 3 * time.Second, false},
		{"in an open pause", 20 * time.Second, 6*time.Second + 1, 14*time.Second - 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if tl.PlanTime(c.at) != c.plan || tl.PausedAt(c.at) != c.paused || tl.Paused(c.at) != c.frozen || tl.Elapsed(c.at) != max(0, c.plan) {
				t.Errorf("plan %v, paused %v, frozen %v, elapsed %v", tl.PlanTime(c.at), tl.PausedAt(c.at), tl.Paused(c.at), tl.Elapsed(c.at))
			}
		})
	}
	if at, ok := tl.RunTime(2 * time.Second); !ok || at != 5*time.Second {
		t.Errorf("what is due at the stamp is done at %v, want at the resume", at)
	}
	if _, ok := tl.RunTime(6*time.Second + 1); ok {
		t.Error("an open pause holds nothing back")
	}
	if tl.FactorAt(6*time.Second-1) != 1 || tl.FactorAt(6*time.Second) != 1.5 || tl.Factors()[0].Plan != 3*time.Second {
		t.Errorf("factors %v", tl.Factors())
	}
	if at, ok := tl.PhaseStart("p"); !ok || at != 7*time.Second {
		t.Errorf("phase start %v %v", at, ok)
	}
	if _, ok := tl.PhaseStart("q"); ok {
		t.Error("a phase that was never started has a start")
	}
	if c, ok := tl.Next(5 * time.Second); !ok || c.Kind != ChangeScale {
		t.Errorf("next change %v", c)
	}
	if _, ok := tl.Next(time.Minute); ok {
		t.Error("there is a change after the last")
	}
}
