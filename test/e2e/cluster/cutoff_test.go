package cluster

import (
	"fmt"
	"testing"
	"time"
)

// cutOff cuts the leader off from etcd, from the workers, or from both, for a while.
func cutOff(t *testing.T, c *cluster, p plan, how cut) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	leader := c.leader(t)
	tr.await(at)
	began, epoch := time.Now(), tr.commits.last().epoch
	var cables []*cable
	if how.etcd {
		cables = append(cables, c.toEtcd[leader]...)
	}
	if how.workers {
		cables = append(cables, c.toCoordinators[leader])
	}
	for _, one := range cables {
		one.cut()
	}
	tr.await(at + how.length)
	for _, one := range cables {
		one.mend()
	}
	tr.note = fmt.Sprintf("leader c%d cut off from %s at %.2f s for %.1f s", leader+1, how, at.Seconds(), time.Since(began).Seconds())
	tr.report(t)
	tr.next, _ = tr.commits.samplesAfter(began, epoch)
	o := tr.end(t)
	leaders := 1
	if how.etcd {
		leaders = 2
		if tr.next > failover+room {
			t.Errorf("the next commit of samples came %v after the leader was cut off, want %v at most", tr.next, failover)
		}
	}
	o.unharmed(t, leaders)
	return o
}

// cut says from what the leader is cut off, and for how long.
type cut struct {
	etcd, workers bool
	length        time.Duration
}

func (c cut) String() string {
	switch {
	case c.etcd && c.workers:
		return "etcd and workers"
	case c.etcd:
		return "etcd"
	}
	return "workers"
}
