package supervisor

import (
	"context"
	"fmt"

	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// takeOver ends the runs that an earlier term left active.
func (m *Manager) takeOver(ctx context.Context) error {
	if _, err := m.opts.Repository.Repair(ctx, m.opts.Heads); err != nil {
		m.log.Warn("interrupted work on ended runs not finished", "error", err)
	}
	heads, err := m.opts.Repository.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("take over runs: %w", err)
	}
	for _, h := range heads {
		if err := m.adopt(ctx, h.Run); err != nil {
			return err
		}
	}
	return nil
}

// adopt starts a runner for a run that an earlier term accepted. One that had not got workers waits
// on; one that had is closed with what is committed, because the process that held its clock is gone.
func (m *Manager) adopt(ctx context.Context, rec run.Run) error {
	r, err := m.open(ctx, rec.ID)
	if err != nil {
		return fmt.Errorf("take over run %s: %w", rec.ID, err)
	}
	if rec.State != run.Idle {
		r.mail.post(func() { r.orphaned() })
	}
	m.launch(r)
	return nil
}

// open makes a runner for a recorded run.
func (m *Manager) open(ctx context.Context, id string) (*runner, error) {
	committer, err := result.OpenCommitter(ctx, m.opts.Heads, m.opts.Blobs, id)
	if err != nil {
		return nil, err
	}
	head := committer.Head()
	data, err := blob.GetFile(ctx, m.opts.Blobs, head.Run.Plan)
	if err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", id, err)
	}
	plan, err := scenario.DecodePlan(data)
	if err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", id, err)
	}
	sum, err := m.aggregate(ctx, head)
	if err != nil {
		return nil, err
	}
	return newRunner(m, committer, plan, sum), nil
}

// aggregate adds up what is committed of a run: the last checkpoint, and the segments behind it.
func (m *Manager) aggregate(ctx context.Context, head result.Head) (*metric.Aggregate, error) {
	sum := metric.NewAggregate(head.Run.ID)
	data, through, err := m.opts.Repository.Aggregates(ctx, head)
	if err != nil {
		return nil, err
	}
	if data != nil {
		if sum, err = metric.DecodeAggregate(data); err != nil {
			return nil, fmt.Errorf("checkpoint of run %s: %w", head.Run.ID, err)
		}
	}
	for segment, err := range m.opts.Repository.Segments(ctx, head.Run.ID, through) {
		if err != nil {
			return nil, err
		}
		decoded, err := metric.DecodeSegment(segment.Data)
		if err != nil {
			return nil, fmt.Errorf("segment %d of run %s: %w", segment.Number, head.Run.ID, err)
		}
		sum.AddSegment(decoded)
	}
	return sum, nil
}

// orphaned ends a run that an earlier term left under way: nobody holds its run time any more. What
// is committed of it is closed, judged and reported.
func (r *runner) orphaned() {
	const reason = "the coordinator that conducted it ended before the run did"
	for _, o := range r.run.Shards.Owners {
		r.losses = append(r.losses, loss{member: o.Member, ranges: o.Ranges, at: r.now(), until: r.now()})
	}
	_ = r.step(run.Event{Kind: run.ErrorOccurred, Reason: reason})
	if r.run.Drained == nil {
		r.orphans()
		return // checkDrained goes on
	}
	for _, e := range run.Outstanding(r.run) {
		if e.Kind != run.SendStop {
			r.effect(e)
		}
	}
}
