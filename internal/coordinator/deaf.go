package coordinator

import (
	"context"
	"time"

	"proofload/internal/fleet"
)

const (
	// deafAfter is for how long a leader may hear none of the workers that it conducts.
	deafAfter   = 3 * time.Second
	listenEvery = 500 * time.Millisecond
)

// deaf returns true when another coordinator should lead: none of the workers of active runs was heard for
// deafAfter, although etcd answers, and there is somebody who may hear them. It returns false when ctx ends.
func (c *Coordinator) deaf(ctx context.Context, f *fleet.Fleet) bool {
	ticker := time.NewTicker(listenEvery)
	defer ticker.Stop()
	silent := false
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
		// Twice in a row: after a moment in which this process stood still, nobody has been heard yet.
		before := silent
		silent = hearsNobody(f.Workers())
		if !before || !silent || !c.contested(ctx) {
			continue
		}
		c.log.Warn("resigning: none of the workers of the active runs can be heard, and another coordinator may hear them", "for", deafAfter)
		return true
	}
}

// hearsNobody reports whether all workers that belong to runs are silent. Only those count that were heard in
// this term: where nobody was, the next leader would know no better, and leadership would go round and round.
// One that said goodbye is no sign of anything.
func hearsNobody(workers []fleet.Worker) bool {
	missed := false
	for _, w := range workers {
		if w.Run == "" || !w.Met || w.Left {
			continue
		}
		if w.Silent <= deafAfter {
			return false
		}
		missed = true
	}
	return missed
}

// contested reports whether etcd answers, and has another candidate.
func (c *Coordinator) contested(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, etcdWithin)
	defer cancel()
	all, err := c.store.Candidates(ctx)
	return err == nil && len(all) > 1
}
