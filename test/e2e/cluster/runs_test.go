package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// threeRuns has two runs at a time on disjoint workers, and a third that waits for those of the first, while the
// leader is killed.
func threeRuns(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	in := func(zone string, length time.Duration) plan {
		one := p
		one.zone, one.length = zone, length
		return one
	}
	first := begin(t, c, in("a", p.length))
	second := begin(t, c, in("b", p.length+2*time.Second))
	third := create(t, c, in("a", p.length-5*time.Second))
	at := between(first.draws, untilSettled+time.Second, p.length-2*time.Second)
	third.waits(t, first)
	leader := c.leader(t)
	first.await(at)
	c.coordinator(leader).kill(t)
	killed, epoch := time.Now(), first.commits.last().epoch
	first.note = fmt.Sprintf("leader c%d killed at %.2f s of the first of three runs", leader+1, at.Seconds())
	if at < p.length-failover-leaseTTL { // the first run goes on when the next leads
		c.leader(t)
		third.waits(t, first)
	}
	first.report(t)
	first.replaced(killed, epoch)
	third.started(t)
	c.coordinator(leader).start(t)
	until(t, "answer of the coordinator that was started again", func() bool { return c.front.serves(t.Context(), leader) })
	second.note, third.note = "beside it", "after it"
	o := first.end(t)
	o.unharmed(t, 2)
	o.soon(t)
	second.end(t).unharmed(t, 2)
	third.end(t).unharmed(t, 1)
	return o
}

// waits waits until the run says that it waits for the workers of another one.
func (tr *trial) waits(t *testing.T, other *trial) {
	t.Helper()
	said := ""
	until(t, "word of the run in the queue for whom it waits", func() bool {
		r := tr.run(t).GetRun()
		said = r.GetState().String() + " " + r.GetReason()
		return strings.Contains(said, "IDLE") && strings.Contains(said, "busy with run "+other.id)
	})
	t.Logf("run %s: %s", tr.id, said)
}
