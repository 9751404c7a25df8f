package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"proofload/internal/result"
)

// commit is one write of a run's head, as an independent client of etcd saw it.
type commit struct {
	at    time.Time
	epoch int64  // of the leader that wrote it
	next  uint64 // number of the segment that comes next: it grows with each commit of samples
}

// commits are all writes of a run's head, in their order.
type commits struct {
	mu  sync.Mutex
	all []commit
}

// watchCommits notes the commits of a run until the test ends.
func watchCommits(t *testing.T, client *clientv3.Client, run string) *commits {
	t.Helper()
	c := &commits{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var watching sync.WaitGroup
	// From the first one on: the run may have been written before the watch begins.
	changes := client.Watch(ctx, result.HeadKey(run), clientv3.WithRev(1))
	watching.Go(func() {
		for resp := range changes {
			for _, e := range resp.Events {
				var head struct {
					Epoch int64  `json:"epoch"`
					Next  uint64 `json:"next"`
				}
				if json.Unmarshal(e.Kv.Value, &head) == nil {
					c.mu.Lock()
					c.all = append(c.all, commit{time.Now(), head.Epoch, head.Next})
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

// samplesAfter returns how long after an instant the first samples were committed by a later leader
// than the one of the epoch; false: none were.
func (c *commits) samplesAfter(at time.Time, epoch int64) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next uint64
	for _, one := range c.all {
		if one.epoch > epoch && one.next > next {
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
