//go:build soak

package cluster

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	from   = flag.Uint64("from", 1, "first seed")
	to     = flag.Uint64("to", 3, "last seed")
	outage = flag.Duration("outage", 8*time.Second, "how long etcd's majority, or the store, is away")
)

// seeds conducts one case with each of the seeds, on one cluster, and sums up. The next seeds of a
// series that was broken off are those from -from on.
func seeds(t *testing.T, do func(*testing.T, *cluster, uint64) outcome) {
	t.Helper()
	seedsOn(t, startCluster, do)
}

func seedsOn(t *testing.T, start func(*testing.T) *cluster, do func(*testing.T, *cluster, uint64) outcome) {
	t.Helper()
	c := start(t)
	var s series
	for seed := *from; seed <= *to; seed++ {
		passed := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c.awaitFree(t)
			s.add(do(t, c, seed))
		})
		if !passed {
			s.failed = append(s.failed, seed)
			c.stop(t) // what a failure has left behind is not the next seed's
			c = start(t)
		}
	}
	t.Logf("seeds %d to %d: %s", *from, *to, s)
}

// long is a run that is long enough for an outage, and a grace that is longer.
func long(seed uint64) plan {
	p := usual(seed)
	p.length, p.grace = max(p.length, (*outage+12*time.Second).Truncate(time.Second)), time.Minute
	return p
}

// brief is a run with leases so short that one ends within it.
func brief(seed uint64) plan {
	p := usual(seed)
	p.length, p.grace, p.lossy = 20*time.Second, 5*time.Second, true
	return p
}

func TestLeaderKilled(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return killLeader(t, c, usual(seed)) })
}

func TestLeaderFrozen(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return freezeLeader(t, c, usual(seed)) })
}

func TestEtcdMemberLost(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return loseMember(t, c, usual(seed)) })
}

func TestEtcdMajorityLost(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return loseMajority(t, c, long(seed), *outage) })
}

func TestCoordinatorsRestarted(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return restartInTurn(t, c, usual(seed)) })
}

func TestCoordinatorsKilled(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return killAll(t, c, usual(seed)) })
}

func TestWorkerKilled(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return killWorker(t, c, brief(seed)) })
}

func TestWorkerRestarted(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return restartWorker(t, c, brief(seed)) })
}

func TestStoreLost(t *testing.T) {
	seeds(t, func(t *testing.T, c *cluster, seed uint64) outcome { return loseStore(t, c, long(seed), *outage) })
}

func TestLeaderCutOff(t *testing.T) {
	for _, how := range []cut{{etcd: true}, {workers: true}, {etcd: true, workers: true}} {
		how.length = *outage
		t.Run(how.String(), func(t *testing.T) {
			seedsOn(t, startCabled, func(t *testing.T, c *cluster, seed uint64) outcome { return cutOff(t, c, long(seed), how) })
		})
	}
}
