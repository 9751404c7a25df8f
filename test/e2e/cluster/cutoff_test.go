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

// words returns what has to be said while the leader is cut off: another one leads in any case, elected because the
// lease is over, or because the leader has resigned.
func (o cutOff) words(leader int) []string {
	out := []string{another(leader)}
	if o.etcd {
		out = append(out, fmt.Sprintf(`^c%[1]d: .*etcd does not answer coordinator c%[1]d`, leader+1))
	}
	return out
}

// do cuts the leader off. From etcd it leads no more, and another does. From the workers, and so from the coordinators
// that would pass their streams on, it resigns.
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
	said := c.tells(t, tr.t0.Add(at+*outage), o.words(leader)...)
	tr.await(at + *outage)
	for _, one := range o.cables(c, leader) {
		one.mend()
	}
	tr.note = fmt.Sprintf("leader c%d cut off from %s at %.2f s for %.1f s, status %q", leader+1, o, at.Seconds(), time.Since(began).Seconds(), said)
	tr.report(t)
	tr.replaced(began, epoch)
	out := tr.end(t)
	out.soon(t)
	out.unharmed(t, 2)
	return out
}

// slowPace is that of a link that is far away and narrow.
var slowPace = pace{delay: 300 * time.Millisecond, perByte: 30 * time.Microsecond}

// slowLink makes everything slow that passes between workers and coordinators, from before the run to its end, and
// kills the leader in the middle.
func slowLink(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	for _, one := range c.toCoordinators {
		one.slow(slowPace)
		defer one.slow(pace{})
	}
	return killLeader(t, c, p)
}

// slowWorker makes everything slow that passes between one worker and the coordinators, while the others are as fast as
// ever, and kills the leader in the middle: nobody waits for the slow one so long that an arrival is late, and what it
// sent is counted in its second although it tells of it later.
func slowWorker(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	pid := int(c.workers[p.draws().IntN(workers)].pid.Load())
	for _, one := range c.toCoordinators {
		one.slowFor(pid, slowPace)
		defer one.slowFor(pid, pace{})
	}
	o := killLeader(t, c, p)
	passed := 0
	for _, one := range c.toCoordinators {
		passed += one.slowly(pid)
	}
	if passed == 0 {
		t.Error("nothing of the worker passed slowly")
	}
	return o
}
