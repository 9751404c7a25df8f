package cluster

import (
	"fmt"
	"testing"
	"time"
)

// killMember kills one member of etcd, which the other two do without, and starts it again.
func killMember(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, p.length/2)
	member := tr.draws.IntN(members)
	tr.await(at)
	c.etcd[member].kill(t)
	tr.note = fmt.Sprintf("etcd e%d killed at %.2f s", member+1, at.Seconds())
	r := tr.end(t)
	c.etcd[member].start(t)
	r.unharmed(t, 1)
	return r
}

// freezeMajority freezes two members of etcd: nobody can lead, and nothing can be committed. The load
// does not notice, and what was sealed meanwhile is counted afterwards.
func freezeMajority(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	spared := tr.draws.IntN(members)
	tr.await(at)
	began := time.Now()
	for i, m := range c.etcd {
		if i != spared {
			m.freeze(t)
		}
	}
	before := tr.commits.last()
	tr.await(at + *outage)
	if after := tr.commits.last(); after.next > before.next+1 { // one may have been under way
		t.Errorf("commits went on without a majority: %+v, then %+v", before, after)
	}
	for i, m := range c.etcd {
		if i != spared {
			m.thaw(t)
		}
	}
	tr.note = fmt.Sprintf("all of etcd but e%d frozen at %.2f s for %.1f s", spared+1, at.Seconds(), time.Since(began).Seconds())
	o := tr.end(t)
	o.unharmed(t, 1)
	return o
}
