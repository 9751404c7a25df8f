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

// TestLeaderKilled shows that a run is what it would have been without the end of its leader.
func TestLeaderKilled(t *testing.T) {
	c := startCluster(t)
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { killLeader(t, c, usual(seed)) })
	}
}
func TestLeaderFrozen(t *testing.T) {
	c := startCluster(t)
	for _, seed := range []uint64{1} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { freezeLeader(t, c, usual(seed)) })
	}
}
