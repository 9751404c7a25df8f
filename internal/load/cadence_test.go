package load

import (
	"testing"
	"time"
)

// At low rates nothing waits longer than it must; at high ones the groups grow, within their bound, and
// shrink again when the rate falls.
func TestCadenceFollowsTheRate(t *testing.T) {
	var c cadence
	now, started := time.Duration(0), int64(0)
	for _, step := range []struct {
		rate int64
		want time.Duration
	}{
		{1000, 100 * time.Microsecond},
		{10_000, 140 * time.Microsecond},
		{20_000, 280 * time.Microsecond},
		{200_000, 280 * time.Microsecond},
		{0, 100 * time.Microsecond},
	} {
		var got time.Duration
		for range 1000 { // a second and more
			got = c.wait(now, started)
			now += time.Millisecond
			started += step.rate / 1000
		}
		if got != step.want {
			t.Errorf("at %d/s it waits %v, want %v", step.rate, got, step.want)
		}
	}
}
