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
	said := c.tells(t, tr.t0.Add(p.length), memberSilent(member))
	tr.note = fmt.Sprintf("etcd e%d killed at %.2f s, status %q", member+1, at.Seconds(), said)
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
	for i := range members {
		if i != spared {
			c.member(i).freeze(t)
		}
	}
	before := tr.commits.last()
	words := []string{`^c\d: leader  of.*, caretaker; .* leads no more since .*nothing is committed`, `etcd does not answer coordinator c`}
	for i := range members {
		if i != spared {
			words = append(words, memberSilent(i))
		}
	}
	said := c.tells(t, tr.t0.Add(at+*outage), words...)
	tr.await(at + *outage)
	if after := tr.commits.last(); after.next > before.next+1 { // one may have been under way
		t.Errorf("commits went on without a majority: %+v, then %+v", before, after)
	}
	for i := range members {
		if i != spared {
			c.member(i).thaw(t)
		}
	}
	tr.note = fmt.Sprintf("all of etcd but e%d frozen at %.2f s for %.1f s, status %q", spared+1, at.Seconds(), time.Since(began).Seconds(), said)
	o := tr.end(t)
	o.unharmed(t, 1)
	return o
}
