package cluster

import (
	"fmt"
	"testing"
	"time"
)

// cutOff says what the leader is cut off from for a while.
type cutOff struct{ etcd, workers bool }

func (o cutOff) String() string {
	switch {
	case o.etcd && o.workers:
		return "etcd and workers"
	case o.etcd:
		return "etcd"
	}
	return "workers"
}

// cables returns what has to be cut.
func (o cutOff) cables(c *cluster, leader int) (out []*cable) {
	if o.etcd {
		out = append(out, c.toEtcd[leader]...)
	}
	if o.workers {
		out = append(out, c.toCoordinators[leader])
	}
	return out
}

// do cuts the leader off. From etcd it leads no more, and another does; from the workers it goes on to
// lead without them, and they come back.
func (o cutOff) do(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	leader := c.leader(t)
	tr.await(at)
	began, epoch := time.Now(), tr.commits.last().epoch
	for _, one := range o.cables(c, leader) {
		one.cut()
	}
	tr.await(at + *outage)
	for _, one := range o.cables(c, leader) {
		one.mend()
	}
	tr.note = fmt.Sprintf("leader c%d cut off from %s at %.2f s for %.1f s", leader+1, o, at.Seconds(), time.Since(began).Seconds())
	tr.report(t)
	tr.next, _ = tr.commits.samplesAfter(began, epoch)
	out := tr.end(t)
	leaders := 1
	if o.etcd {
		leaders = 2
		out.soon(t)
	}
	out.unharmed(t, leaders)
	return out
}

// slowLink makes everything slow that passes between workers and coordinators, from before the run to its end, and
// kills the leader in the middle.
func slowLink(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	slow := pace{delay: 300 * time.Millisecond, perByte: 30 * time.Microsecond}
	for _, one := range c.toCoordinators {
		one.slow(slow)
		defer one.slow(pace{})
	}
	return killLeader(t, c, p)
}
