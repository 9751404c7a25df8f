package coordinator

import (
	"context"
	"sync"
	"time"

	"proofload/internal/fleet"
)

const (
	// deafAfter is for how long a leader may hear none of the workers that it conducts and has heard before.
	deafAfter   = 3 * time.Second
	listenEvery = 500 * time.Millisecond
	// deafFromStart is for how long a new leader may hear none of the workers that it has taken over: they look for
	// it for a while, and try one coordinator after the other.
	deafFromStart = 2 * deafAfter
	// deafRest is how long a coordinator that has resigned without ever hearing a worker does not do so again. Where
	// no worker is left, leadership would go round and round, and none of the leaders would stay for long enough to
	// give the workers up.
	deafRest = time.Hour
	// hearsFor is how long another coordinator must have led to be taken for one that hears workers: had it heard
	// none, it would have resigned long before. A transition takes up to the election's lease.
	hearsFor = 4 * deafFromStart
)

// deafness is what a coordinator remembers of its terms, and of those of others, for its next one.
type deafness struct {
	mu     sync.Mutex
	last   time.Time // when it resigned without having heard a worker; zero: it has not, or somebody has heard one since
	leader int64     // epoch of the leader that it follows; zero: there is none, or it is itself
	since  time.Time // when it began to follow that one
}

// follows notes who leads; epoch is zero when it is nobody or this coordinator itself. Where another has led for
// long there are workers to be heard: to resign again is then no round of leaders, but what the run needs.
func (d *deafness) follows(epoch int64, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if epoch == d.leader {
		return
	}
	if d.leader != 0 && now.Sub(d.since) >= hearsFor {
		d.last = time.Time{}
	}
	d.leader, d.since = epoch, now
}

// resigns reports whether a coordinator that has heard nobody in this term may resign for that, and notes it.
func (d *deafness) resigns(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.last.IsZero() && now.Sub(d.last) < deafRest {
		return false
	}
	d.last = now
	return true
}

// heard notes that this coordinator hears workers.
func (d *deafness) heard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = time.Time{}
}

// deaf returns true when another coordinator should lead: none of the workers of active runs is heard, although
// etcd answers, and there is somebody who may hear them. It returns false when ctx ends.
func (c *Coordinator) deaf(ctx context.Context, f *fleet.Fleet) bool {
	ticker := time.NewTicker(listenEvery)
	defer ticker.Stop()
	last := hears
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
		// Twice in a row: after a moment in which this process stood still, nobody has been heard yet.
		before := last
		last = hearing(f.Workers())
		switch {
		case last == hears:
			c.deafness.heard()
			continue
		case last != before || last == unsure || !c.contested(ctx):
			continue
		case last == never && !c.deafness.resigns(time.Now()):
			continue
		}
		c.log.Warn("resigning: none of the workers of the active runs can be heard, and another coordinator may hear them", "heard_before", last == noMore)
		return true
	}
}

// audible says what a leader hears of the workers of its runs.
type audible int

const (
	unsure audible = iota // there are none, or it is too early to tell
	hears                 // at least one
	noMore                // it has heard some in this term, and hears none any more
	never                 // it has not heard any in this term
)

// hearing tells what a leader hears of the workers that belong to runs. Only those count that it has heard in this
// term, unless it has heard none. One that said goodbye is no sign of anything.
func hearing(workers []fleet.Worker) audible {
	met, waiting, missed := false, false, false
	for _, w := range workers {
		switch {
		case w.Run == "" || w.Left:
		case w.Met && w.Silent <= deafAfter:
			return hears
		case w.Met:
			met = true
		case w.Silent <= deafFromStart:
			waiting = true
		default:
			missed = true
		}
	}
	switch {
	case met:
		return noMore
	case missed && !waiting:
		return never
	}
	return unsure
}

// contested reports whether etcd answers, and has another candidate.
func (c *Coordinator) contested(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, etcdWithin)
	defer cancel()
	all, err := c.store.Candidates(ctx)
	return err == nil && len(all) > 1
}
