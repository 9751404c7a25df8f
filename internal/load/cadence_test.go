package load

import (
	"runtime"
	"testing"
	"time"
)

// At low rates nothing waits longer than it must; at high ones the groups grow, within their bound, and
// shrink again when the rate falls.
func TestCadenceFollowsTheRate(t *testing.T) {
	c := newCadence()
	now, started := time.Duration(0), int64(0)
	own := int64(0)
	for _, step := range []struct {
		rate int64
		own  bool // the pacer sends them itself
		want time.Duration
	}{
		{1000, false, 100 * time.Microsecond},
		{9_000, false, 126 * time.Microsecond},
		{10_000, true, longestExpress / 2},
		{10_000, false, longestGroup / 2},
		{20_000, false, longestGroup},
		{20_000, true, longestExpress},
		{200_000, true, longestExpress},
		{200_000, false, longestGroup},
		{0, false, 100 * time.Microsecond},
	} {
		var got time.Duration
		for range 1000 { // a second and more
			got = c.wait(now, started, own)
			now += time.Millisecond
			c.rest(time.Millisecond)
			started += step.rate / 1000
			if step.own {
				own += step.rate / 1000
			}
		}
		if got != step.want {
			t.Errorf("at %d/s, own %v, it waits %v, want %v", step.rate, step.own, got, step.want)
		}
	}
}

// TestCadenceLeavesExpress: the pacer does not go on sending arrivals itself when that takes most of its time and there are
// processors that could help; later it tries again. One period is not enough for that.
func TestCadenceLeavesExpress(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	c := newCadence()
	now, started := time.Duration(0), int64(0)
	run := func(periods int, rested time.Duration) {
		for range periods {
			c.wait(now, started, started)
			now += cadencePeriod
			started += int64(2 * denseRate * cadencePeriod.Seconds())
			c.rest(rested)
		}
		c.wait(now, started, started)
	}
	step := func(periods int, rested time.Duration, want bool) {
		t.Helper()
		if run(periods, rested); c.express != want {
			t.Fatalf("after %d periods with a rest of %v: express is %v, want %v", periods, rested, c.express, want)
		}
	}
	step(3, cadencePeriod/2, true)
	step(busyPeriods-1, cadencePeriod/10, true)
	step(1, cadencePeriod/2, true)
	step(busyPeriods-1, cadencePeriod/10, true)
	step(1, cadencePeriod/10, false)
	step(calmPeriods-1, cadencePeriod/2, false)
	step(1, cadencePeriod/2, true)
	runtime.GOMAXPROCS(1)
	step(2*busyPeriods, 0, true) // nobody could help
	c.wait(now+time.Hour, started, started)
	if c.express {
		t.Error("express although nothing arrives")
	}
}
