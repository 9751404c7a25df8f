package cluster

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"proofload/test/e2e/cluster/counter"
)

// TestTargetNotices shows that what the other tests rely on sees every kind of harm: arrivals that never
// came, that came twice, that are of no plan, and load that stopped and was made up for later.
func TestTargetNotices(t *testing.T) {
	const planned, rate = 1000, 100
	const stopped, until = 300, 800 // 5 s in which nothing is sent
	for name, want := range map[string]struct {
		arrive func(n int) []time.Duration // when arrival n comes
		check  func(count) bool
	}{
		"nothing": {
			func(n int) []time.Duration { return []time.Duration{due(n, rate)} },
			func(c count) bool {
				return c.received == planned && len(c.missing)+len(c.doubled)+c.strange+c.late == 0 && c.worst == 1
			},
		},
		"missing": {
			func(n int) []time.Duration {
				if n == 250 || n == 251 {
					return nil
				}
				return []time.Duration{due(n, rate)}
			},
			func(c count) bool {
				return slices.Equal(c.missing, []int{250, 251}) && c.worst < leastSent && c.worstAt == 2
			},
		},
		"doubled": {
			func(n int) []time.Duration { return slices.Repeat([]time.Duration{due(n, rate)}, 1+n/999) },
			func(c count) bool { return slices.Equal(c.doubled, []int{999}) && c.received == planned+1 },
		},
		"beyond the plan": {
			func(n int) []time.Duration { return []time.Duration{due(n, rate)} },
			func(c count) bool { return c.strange == planned/2 },
		},
		"stopped and made up for": {
			func(n int) []time.Duration {
				if n >= stopped && n < until {
					return []time.Duration{due(until, rate)}
				}
				return []time.Duration{due(n, rate)}
			},
			func(c count) bool { return c.worst == 0 && c.worstAt == 3 && c.latest == 5*time.Second },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arrivals := counter.New()
				g := &target{clock: startMetronome(t), look: arrivals.Look}
				t0 := time.Now()
				for n := range planned {
					for _, at := range want.arrive(n) {
						arrivals.Note(fmt.Sprintf("/%d", n), t0.Add(at))
					}
				}
				plan := planned
				if name == "beyond the plan" {
					plan /= 2
				}
				if c := g.count(plan, rate); !want.check(c) {
					t.Errorf("counted %+v", c)
				}
			})
		})
	}
}

// TestStallExcusesItsOwnTime shows that a bound is widened by what the machine stalled in that very time, and by nothing
// else.
func TestStallExcusesItsOwnTime(t *testing.T) {
	t0 := time.Now()
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	m := &metronome{}
	m.note(at(100), at(102)) // as punctual as timers are
	m.note(at(1000), at(1400))
	m.note(at(1500), at(1600))
	for name, want := range map[string]struct{ from, to, ms int }{
		"before":         {0, 1000, 0},
		"all":            {0, 2000, 500},
		"part of one":    {1100, 1300, 200},
		"ends of two":    {1300, 1550, 150},
		"after":          {1600, 3000, 0},
		"an empty while": {1200, 1200, 0},
	} {
		if got := m.stalled(at(want.from), at(want.to)); got != time.Duration(want.ms)*time.Millisecond {
			t.Errorf("%s: stalled for %v, want %d ms", name, got, want.ms)
		}
	}
	if m.worst() != 400*time.Millisecond {
		t.Errorf("worst %v", m.worst())
	}
	seen := counter.Seen{Came: map[int][]time.Time{}}
	for n := range 300 { // second 1 stood for 600 ms, of which the machine stalled for 500
		seen.Came[n] = []time.Time{t0.Add(due(n, 100))}
		if n >= 100 && n < 160 {
			seen.Came[n] = []time.Time{at(1600)}
		}
	}
	if c := compare(seen, 300, 100, m); c.worst != 1 {
		t.Errorf("second %d has %v in time, although the machine stalled", c.worstAt, c.worst)
	}
	if c := compare(seen, 300, 100, &metronome{}); c.worst >= leastSent || c.worstAt != 1 {
		t.Errorf("second %d has %v in time, although the load stood", c.worstAt, c.worst)
	}
}
