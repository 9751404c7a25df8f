package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"proofload/internal/result"
	"proofload/internal/run"
)

// commit is one write of a run's head, as an independent client of etcd saw it.
type commit struct {
	at    time.Time
	epoch int64  // of the leader that wrote it
	next  uint64 // number of the segment that comes next: it grows with each commit of samples

	final    bool            // the run has ended
	breaches []string        // of criteria that abort or alert, acted on
	notices  []result.Notice // callbacks that are owed
}

// commits are all writes of a run's head, in their order.
type commits struct {
	mu  sync.Mutex
	all []commit
}

// watchCommits notes the commits of a run until the test ends.
func watchCommits(t *testing.T, client *clientv3.Client, id string) *commits {
	t.Helper()
	c := &commits{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var watching sync.WaitGroup
	// From the first one on: the run may have been written before the watch begins.
	changes := client.Watch(ctx, result.HeadKey(id), clientv3.WithRev(1))
	watching.Go(func() {
		for resp := range changes {
			for _, e := range resp.Events {
				var head struct {
					Epoch int64  `json:"epoch"`
					Next  uint64 `json:"next"`
					Run   struct {
						State run.State `json:"state"`
					} `json:"run"`
					Facts struct {
						Breaches []string        `json:"breaches"`
						Notices  []result.Notice `json:"notices"`
					} `json:"facts"`
				}
				if json.Unmarshal(e.Kv.Value, &head) == nil {
					c.mu.Lock()
					c.all = append(c.all, commit{time.Now(), head.Epoch, head.Next, head.Run.State.Final(), head.Facts.Breaches, head.Facts.Notices})
					c.mu.Unlock()
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); watching.Wait() })
	return c
}

// last returns the newest commit.
func (c *commits) last() commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) == 0 {
		return commit{}
	}
	return c.all[len(c.all)-1]
}

// noticed returns the identities under which callbacks of each kind were ever owed.
func (c *commits) noticed() map[run.CallbackKind][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := map[run.CallbackKind][]string{}
	for _, one := range c.all {
		for _, n := range one.notices {
			if !slices.Contains(ids[n.Kind], n.ID) {
				ids[n.Kind] = append(ids[n.Kind], n.ID)
			}
		}
	}
	return ids
}

// closedBy tells whether the leader of the epoch, or an earlier one, has closed the run.
func (c *commits) closedBy(epoch int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.all, func(one commit) bool { return one.final && one.epoch <= epoch })
}

// samplesAfter returns how long after an instant the first samples were committed by a later leader than the one of
// the epoch, or the run was closed by it when none were left; false: neither has happened.
func (c *commits) samplesAfter(at time.Time, epoch int64) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next uint64
	for _, one := range c.all {
		if one.epoch > epoch && (one.next > next || one.final) {
			return one.at.Sub(at), true
		}
		next = max(next, one.next)
	}
	return 0, false
}

// backwards returns the number of writes by a leader after a later one had written.
func (c *commits) backwards() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, highest := 0, int64(0)
	for _, one := range c.all {
		if one.epoch < highest {
			n++
		}
		highest = max(highest, one.epoch)
	}
	return n
}

// number returns how many writes there were so far.
func (c *commits) number() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// since returns how many of the writes from a number on are of leaders up to an epoch, and how many of later ones.
func (c *commits) since(number int, epoch int64) (earlier, later int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.all[number:] {
		if one.epoch <= epoch {
			earlier++
		} else {
			later++
		}
	}
	return earlier, later
}
