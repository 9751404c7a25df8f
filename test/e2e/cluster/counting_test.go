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
