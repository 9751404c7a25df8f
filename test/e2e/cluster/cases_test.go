package cluster

import (
	"fmt"
	"testing"
	"time"
)

// usual is a run in which a failover has its place.
func usual(seed uint64) plan {
	return plan{seed: seed, rate: 200, length: 15 * time.Second, grace: 20 * time.Second}
}

// TestFailover shows with the seeds of every change that a run is what it would have been although its
// leader was killed, or all coordinators were restarted, in turn or at once.
func TestFailover(t *testing.T) {
	began := time.Now()
	c := startCluster(t)
	for _, one := range []struct {
		what string
		seed uint64
		do   func(*testing.T, *cluster, plan) outcome
	}{
		{"leader killed", 1, killLeader},
		{"restarted in turn", 1, restartInTurn},
		{"leader killed", 2, killLeader},
		{"all killed", 2, killAll},
	} {
		t.Run(fmt.Sprintf("%s/%d", one.what, one.seed), func(t *testing.T) {
			c.awaitFree(t)
			one.do(t, c, usual(one.seed))
		})
	}
	t.Logf("took %v", time.Since(began).Round(time.Second))
}
