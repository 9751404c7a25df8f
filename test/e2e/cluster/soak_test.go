//go:build soak

package cluster

import (
	"fmt"
	"testing"
	"time"
)

// TestIncidents shows of everything that can happen to a cluster what TestFailover shows of a little,
// with as many seeds as are asked for.
func TestIncidents(t *testing.T) {
	for _, one := range incidents {
		t.Run(one.name, one.series)
	}
}

// TestFailoverSeries kills the leader of one run after the other, each at an instant of its own.
func TestFailoverSeries(t *testing.T) {
	called(t, "leader killed").series(t)
}

// TestStopAskedOfAnybody shows that a stop ends the load whichever coordinator is asked and whatever it is by then,
// although nobody can record it.
func TestStopAskedOfAnybody(t *testing.T) {
	stopSeries(t, leading, caretaking, following, orphaned, beside)
}

// TestHaltOfAnybody shows that a halt ends every run whichever coordinator is asked and whatever it is by then,
// although nobody can record it.
func TestHaltOfAnybody(t *testing.T) {
	haltSeries(t, leading, following, orphaned)
}

// TestStopIsNoticed is the other way round: with a grace that a failover exceeds the workers stop, and
// that must be seen, or the rest shows nothing.
func TestStopIsNoticed(t *testing.T) {
	c := startCluster(t)
	p := usual(*from)
	p.grace, p.lossy = 2*time.Second, true
	tr := begin(t, c, p)
	tr.await(untilSettled)
	c.coordinators[c.leader(t)].kill(t)
	tr.note = "leader killed, with too short a grace"
	if o := tr.end(t); o.count.worst >= leastSent {
		t.Errorf("the worst second is %.1f %%, although the workers had no lease for seconds", 100*o.count.worst)
	}
}

// series lets the incident happen with each of the seeds, on one cluster, and sums up. The next seeds
// of a series that was broken off are those from -from on.
func (i incident) series(t *testing.T) {
	c := i.start(t)
	var s series
	for seed := *from; seed <= *to; seed++ {
		passed := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c.awaitFree(t)
			s.add(i.do(t, c, i.plan(seed)))
		})
		if !passed {
			s.failed = append(s.failed, seed)
			c.stop(t) // what a failure has left behind is not the next seed's
			c = i.start(t)
		}
	}
	t.Logf("seeds %d to %d: %s", *from, *to, s)
}

// stop kills everything.
func (c *cluster) stop(t *testing.T) {
	t.Helper()
	for _, group := range [][]*process{c.workers, c.coordinators, c.etcd} {
		for _, p := range group {
			p.kill(t)
		}
	}
}
