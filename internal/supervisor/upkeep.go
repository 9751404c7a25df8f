package supervisor

import (
	"context"

	"proofload/internal/metric"
)

// upkeepRetry is the pause after upkeep that failed. It is longer than that of commits: nothing waits
// for upkeep, and nothing is withheld because of it.
const upkeepRetry = 10 * retryAfter

// upkeep returns what is to be done with the store between commits, or nil.
func (r *runner) upkeep(now int64) func(context.Context) error {
	switch {
	case now < r.upkeepAt || r.stored.State.Final():
		return nil
	case r.unswept:
		return r.sweepIfDue
	case r.committer.CheckpointDue():
		return func(ctx context.Context) error {
			return r.committer.Checkpoint(ctx, metric.EncodeAggregate(r.sum))
		}
	}
	return nil
}

// sweepIfDue deletes what deposed leaders have left of this run, if an earlier term had it.
func (r *runner) sweepIfDue(ctx context.Context) error {
	if !r.unswept {
		return nil
	}
	n, err := r.committer.Sweep(ctx)
	if n > 0 {
		r.log.Info("leftovers of earlier terms deleted", "objects", n)
	}
	if err == nil {
		r.unswept = false
	}
	return err
}

// kept takes the outcome of upkeep.
func (r *runner) kept(err error) error {
	if err == nil {
		return nil
	}
	if fenced(err) {
		return err
	}
	r.upkeepAt = r.m.opts.Clock() + int64(upkeepRetry)
	r.log.Debug("upkeep of the store failed, trying again", "retry_in", upkeepRetry, "error", err)
	return nil
}
