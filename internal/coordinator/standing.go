package coordinator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"proofload/internal/lease"
	"proofload/internal/wire"
)

// standing is what a coordinator knows of the others. It is its memory for the time in which etcd does not
// answer.
type standing struct {
	mu     sync.Mutex
	leader wire.Leader   // zero: none is known
	newest int64         // the highest epoch that was known
	all    []wire.Leader // candidates as they were read last, the leader first
	kept   *caretaker    // nil: this coordinator is no caretaker
	office *backend      // of the term in which this coordinator leads; nil: it does not
}

// holds sets what this coordinator leads with; nil: it leads no more.
func (s *standing) holds(b *backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.office = b
}

// keep makes k the caretaker of a term that was lost; nil: there is none any more. One that a later leader
// has overtaken ends at once.
func (s *standing) keep(k *caretaker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept != nil {
		s.kept.end()
	}
	s.kept = k
	s.overtaken()
}

// overtaken ends a caretaker when somebody leads. The lock is held.
func (s *standing) overtaken() {
	if s.kept != nil && s.leader.Epoch > s.kept.leader.Epoch {
		s.kept.end()
		s.kept = nil
	}
}

// ask returns whom to ask who leads, and the epoch that an answer must be beyond.
func (s *standing) ask() (others []wire.Leader, beyond int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all, s.newest
}

// caretaking reports whether this coordinator is a caretaker.
func (s *standing) caretaking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept != nil
}

func leaderOf(l lease.Leader) wire.Leader {
	return wire.Leader{Name: l.Name, Address: l.Address, Epoch: l.Epoch}
}

// followLeader keeps up with who leads, for calls that are passed on and for the answer to those who ask.
func (c *Coordinator) followLeader(ctx context.Context) error {
	err := c.store.WatchCandidates(ctx, func(all []lease.Leader) {
		c.note(all)
		c.follow(leaderOf(lease.First(all)))
	})
	if ctx.Err() != nil {
		err = nil // it ended because it was told to
	}
	return err
}

// note remembers who stands for election. An empty list is not remembered: those whose leases ran out
// together are still the ones to ask.
func (c *Coordinator) note(all []lease.Leader) []wire.Leader {
	out := make([]wire.Leader, 0, len(all))
	for _, l := range all {
		out = append(out, leaderOf(l))
	}
	c.standing.mu.Lock()
	defer c.standing.mu.Unlock()
	if len(out) > 0 {
		c.standing.all = out
	}
	return out
}

// follow tells everybody here who leads, unless a later leader is known.
func (c *Coordinator) follow(l wire.Leader) {
	c.standing.mu.Lock()
	defer c.standing.mu.Unlock()
	if l.Epoch != 0 && l.Epoch < c.standing.newest {
		return
	}
	c.standing.leader, c.standing.newest = l, max(c.standing.newest, l.Epoch)
	other := l.Epoch
	if l.Address == c.opts.Advertise {
		other = 0
	}
	c.deafness.follows(other, time.Now())
	c.workers.Follow(l)
	c.api.Follow(l)
	c.relay.Follow(l)
	c.standing.overtaken()
}

const (
	askEvery  = time.Second
	askWithin = time.Second
	// etcdWithin bounds how long somebody who asks for the status waits for etcd.
	etcdWithin = time.Second
)

// askAround finds the next leader without etcd, which this coordinator may be cut off from: a caretaker asks
// the coordinators that it knew, and so does a follower that cannot reach the leader. Epochs of another
// cluster mean nothing.
func (c *Coordinator) askAround(ctx context.Context) {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !c.standing.caretaking() && !c.relay.Troubled() {
			continue
		}
		others, beyond := c.standing.ask()
		for _, other := range others {
			if other.Address == c.opts.Advertise {
				continue
			}
			asking, cancel := context.WithTimeout(ctx, askWithin)
			answer, err := c.relay.Ask(asking, other.Address)
			cancel()
			if err == nil && answer.Cluster == c.cluster && answer.Leader.Epoch > beyond {
				c.follow(answer.Leader)
				break
			}
		}
	}
}

// candidates reads who stands for election, the leader first, and says what is wrong with etcd; then the
// candidates are those that were known last.
func (c *Coordinator) candidates(ctx context.Context) (all []wire.Leader, problem string) {
	reading, cancel := context.WithTimeout(ctx, etcdWithin)
	defer cancel()
	read, err := c.store.Candidates(reading)
	if err == nil {
		return c.note(read), ""
	}
	if reading.Err() != nil {
		err = fmt.Errorf("no answer within %s", etcdWithin)
	}
	c.standing.mu.Lock()
	defer c.standing.mu.Unlock()
	all = slices.Clone(c.standing.all)
	for i := range all {
		if all[i].Epoch != c.standing.leader.Epoch {
			all[i].Epoch = 0
		}
	}
	return all, fmt.Sprintf("etcd does not answer coordinator %s: %v; nothing can be committed through it", c.opts.Name, err)
}
