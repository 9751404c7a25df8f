package run

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestClockNeverStepsAndSlewsWithinTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		t0 := rapid.Int64Range(0, 1<<40).Draw(t, "t0")
		c := Tie(t0)
		reading := t0 - rapid.Int64Range(0, 1e9).Draw(t, "ahead")
		for range 30 {
			before := c.At(reading)
			if rapid.Bool().Draw(t, "correct") {
				c = c.Correct(reading, t0+rapid.Int64Range(-1e8, 1e8).Draw(t, "error"))
				if c.At(reading) != before && reading >= c.Reading {
					t.Fatalf("a correction steps from %v to %v", before, c.At(reading))
				}
			}
			passed := rapid.Int64Range(0, 2e9).Draw(t, "passed")
			got, least, most := c.At(reading+passed)-before, passed-passed/2000-1, passed+passed/2000+1
			if got < time.Duration(least) || got > time.Duration(most) || got < 0 {
				t.Fatalf("in %d ns run time went on by %d", passed, got)
			}
			reading += passed
		}
	})
}

func TestClockReachesTheCorrection(t *testing.T) {
	c := Tie(1000).Correct(1000, 1000-int64(time.Millisecond))
	if got := c.At(1000 + int64(2*time.Second)); got != 2*time.Second+time.Millisecond {
		t.Errorf("after 2 s a correction of 1 ms is taken in to %v", got)
	}
	if got := c.At(1000 + int64(time.Second)); got != time.Second+500*time.Microsecond {
		t.Errorf("after 1 s %v", got)
	}
}

func TestClockWhenInvertsAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Clock{
			Reading: rapid.Int64Range(0, 1<<50).Draw(t, "reading"), Run: time.Duration(rapid.Int64Range(-1e9, 1e12).Draw(t, "run")),
			Pending: time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(t, "pending")),
		}
		at := c.Run + time.Duration(rapid.Int64Range(-1e9, 1e13).Draw(t, "later"))
		r := c.When(at)
		if c.At(r) < at || c.At(r-1) >= at {
			t.Fatalf("run time %d at reading %d, %d just before; wanted %d", c.At(r), r, c.At(r-1), at)
		}
	})
}

func TestLead(t *testing.T) {
	for _, c := range []struct {
		name         string
		bound, write time.Duration
		loopback     bool
		want         time.Duration
	}{
		{"on one machine", 0, 0, true, 100 * time.Millisecond},
		{"slow writes", 10 * time.Millisecond, 80 * time.Millisecond, true, 200 * time.Millisecond},
		{"over the network", time.Millisecond, time.Millisecond, false, time.Second},
		{"over a bad network", 400 * time.Millisecond, 100 * time.Millisecond, false, 1800 * time.Millisecond},
	} {
		if got := Lead(c.bound, c.write, c.loopback); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestOffsetBoundHolds draws paths that take different times there and back.
func TestOffsetBoundHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth := rapid.Int64Range(-1e15, 1e15).Draw(t, "offset")
		drift := rapid.Int64Range(-driftPPM, driftPPM).Draw(t, "drift")
		remote := func(local int64) int64 { return local + truth + local*drift/1_000_000 }
		var o OffsetEstimator
		now := int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "exchanges") {
			there, hold, back := rapid.Int64Range(1000, 5e7).Draw(t, "there"), rapid.Int64Range(0, 1e6).Draw(t, "hold"), rapid.Int64Range(1000, 5e7).Draw(t, "back")
			e := Exchange{Sent: now, Received: remote(now + there), Answered: remote(now + there + hold), Back: now + there + hold + back}
			if !o.Add(e) {
				t.Fatalf("exchange %+v refused", e)
			}
			now = e.Back + rapid.Int64Range(0, 1e9).Draw(t, "wait")
			best, ok := o.Best(now)
			if off := time.Duration(remote(now)-now) - best.Value; !ok || off > best.Bound+10*time.Microsecond || off < -best.Bound-10*time.Microsecond {
				t.Fatalf("estimate is off by %v, bound %v", off, best.Bound)
			}
		}
		if len(o.samples) > keptSamples {
			t.Fatal("it remembers everything")
		}
	})
}

func TestOffsetEstimator(t *testing.T) {
	var o OffsetEstimator
	if _, ok := o.Best(0); ok {
		t.Error("an estimate out of nothing")
	}
	for _, bad := range []Exchange{{Sent: 10, Back: 5}, {Sent: 0, Received: 5, Answered: 4, Back: 10}, {Sent: 0, Received: 0, Answered: 20, Back: 10}} {
		if o.Add(bad) {
			t.Errorf("%+v cannot have happened", bad)
		}
	}
	o.Add(Exchange{Sent: 0, Received: 1050, Answered: 1060, Back: 110})
	o.Add(Exchange{Sent: 200, Received: 1205, Answered: 1206, Back: 211})
	if best, _ := o.Best(211); best.Value != 1000 || best.Bound != 6 {
		t.Errorf("best %+v, want the shorter trip", best)
	}
	o.Reset()
	if _, ok := o.Best(211); ok {
		t.Error("it remembers after a reset")
	}
}

func TestAgree(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []Interval
		want Interval
		n    int
	}{
		{"nothing", nil, Interval{}, 0},
		{"one", []Interval{{1, 5}}, Interval{1, 5}, 1},
		{"all overlap", []Interval{{1, 9}, {4, 12}, {0, 6}}, Interval{4, 6}, 3},
		{"one is wrong", []Interval{{1, 5}, {100, 101}, {3, 8}}, Interval{3, 5}, 2},
		{"touching", []Interval{{1, 5}, {5, 8}}, Interval{5, 5}, 2},
		{"two camps, the narrower", []Interval{{0, 10}, {2, 9}, {20, 30}, {21, 22}}, Interval{21, 22}, 2},
		{"inverted is none", []Interval{{5, 1}, {2, 3}}, Interval{2, 3}, 1},
		{"only inverted", []Interval{{5, 1}}, Interval{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, n := Agree(c.in)
			if got != c.want || n != c.n {
				t.Errorf("%v by %d, want %v by %d", got, n, c.want, c.n)
			}
		})
	}
	if i := Around(10, 4); i != (Interval{6, 14}) || i.Mid() != 10 {
		t.Errorf("around %v", i)
	}
}

func TestAgreeDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Interval {
			lo := time.Duration(rapid.IntRange(0, 20).Draw(t, "lo"))
			return Interval{lo, lo + time.Duration(rapid.IntRange(-2, 10).Draw(t, "width"))}
		}), 0, 8).Draw(t, "intervals")
		a, n := Agree(in)
		b, m := Agree(rapid.Permutation(in).Draw(t, "shuffled"))
		if a != b || n != m {
			t.Fatalf("%v by %d, shuffled %v by %d", a, n, b, m)
		}
	})
}
