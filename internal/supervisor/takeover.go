package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// damagedError says that a run cannot be conducted, and that no retry will help.
type damagedError struct {
	committer *result.Committer
	cause     error
}

func (e *damagedError) Error() string { return e.cause.Error() }

func (e *damagedError) Unwrap() error { return e.cause }

// openWithin is how long a take-over waits for the runs to be opened. Workers and callers are served then, also when
// the store is slow: the marks of the heads and leases need nothing of it, and a leader that serves nobody counts as
// deaf. Where the store answers, nobody sees a run that is not in hand.
const openWithin = 500 * time.Millisecond

// takeOver carries on what an earlier term left: runs that have not ended, and what was left to do
// about runs that have. One that is damaged keeps none of the others waiting. Runs under way are opened together, and
// those that wait for workers one after the other, so that they keep their order.
func (m *Manager) takeOver(ctx context.Context) error {
	heads, damaged, err := m.opts.Repository.Open(ctx)
	switch {
	case err == nil:
	case fenced(err), ctx.Err() != nil:
		return fmt.Errorf("take over runs: %w", err)
	default:
		return fmt.Errorf("%w: %w", ErrRunsUnknown, err)
	}
	for _, err := range damaged {
		m.log.Error("run left alone, its record cannot be read", "error", err)
	}
	for _, h := range heads { // whatever becomes of opening them: no worker may be told to do nothing
		m.adopt(h)
	}
	var opening sync.WaitGroup
	var underWay, waiting []string
	for _, h := range heads {
		switch {
		case h.Deleting || h.Run.State.Final():
			m.windUp(h)
		case h.Run.State == run.Idle:
			waiting = append(waiting, h.Run.ID)
		default:
			underWay = append(underWay, h.Run.ID)
		}
	}
	m.expect(underWay, waiting)
	if len(waiting) > 0 {
		m.start(m.release)
	}
	for _, id := range underWay {
		m.resume(&opening, id)
	}
	m.resume(&opening, waiting...)
	return m.opened(ctx, &opening)
}

// opened waits until all have been tried, but not for long. Where the term has ended before, not even the wait is begun.
func (m *Manager) opened(ctx context.Context, opening *sync.WaitGroup) error {
	opened := make(chan struct{})
	m.start(func(context.Context) error {
		opening.Wait()
		close(opened)
		return nil
	})
	select {
	case <-opened:
	case <-time.After(openWithin):
		m.log.Warn("the store is slow, runs are taken over as it answers", "waited", openWithin)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// expect notes which runs are to be opened: those that wait keep their places before the ones that this term accepts.
func (m *Manager) expect(underWay, waiting []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Concat(underWay, waiting) {
		m.unread[id] = true
	}
	m.queue.expect(waiting)
}

// release lets new runs begin before those that waited longer and cannot be read: they hold up no other for ever.
func (m *Manager) release(ctx context.Context) error {
	select {
	case <-time.After(settleFor):
		m.queue.giveUpAll()
	case <-ctx.Done():
	}
	return nil
}

// read notes that a run was opened, or is known to be none that goes on.
func (m *Manager) read(id string) {
	m.mu.Lock()
	delete(m.unread, id)
	m.mu.Unlock()
	m.queue.giveUp(id)
}

// Unread returns the runs of earlier terms that have not ended and are not in hand yet, because the store has not told
// of them so far, sorted.
func (m *Manager) Unread() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.unread))
}

// resume takes runs over, one after the other and in the background.
func (m *Manager) resume(opening *sync.WaitGroup, ids ...string) {
	opening.Add(1)
	m.start(func(ctx context.Context) error {
		defer opening.Done()
		for _, id := range ids {
			if err := m.conduct(id); err != nil {
				if fenced(err) {
					return fmt.Errorf("take over run %s: %w", id, err)
				}
				if ctx.Err() != nil {
					return nil
				}
				m.log.Error("run not taken over, trying again", "run_id", id, "error", err)
				m.settle(id)
			}
		}
		return nil
	})
}

// adopt keeps the workers of a run that is under way from being taken for free.
func (m *Manager) adopt(h result.Head) {
	if h.Deleting || h.Run.State.Final() || h.Run.State == run.Idle {
		return
	}
	crew, _ := enlist(h, m.opts.Process)
	for _, hand := range crew {
		lease := h.Facts.Grace
		if hand.lost != nil {
			lease = 0 // what was its may be another's
		}
		if !hand.gone && hand.left == nil {
			m.fleet.Adopt(hand.member, hand.worker.Instance, h.Run.ID, lease)
		}
	}
}

// windUp does in the background what is left to do about a run that has ended: its copies, or its
// deletion, and the callbacks that it owes. What fails is left to the next term.
func (m *Manager) windUp(h result.Head) {
	m.start(func(ctx context.Context) error {
		if err := m.finish(ctx, h); err != nil && ctx.Err() == nil {
			m.log.Warn("work on an ended run not finished", "run_id", h.Run.ID, "error", err)
		}
		return nil
	})
}

func (m *Manager) finish(ctx context.Context, h result.Head) error {
	if err := m.opts.Repository.Repair(ctx, m.opts.Heads, h); err != nil || h.Deleting {
		return err
	}
	for _, n := range h.Facts.Notices {
		told := make(chan error, 1)
		m.notify(Notification{ID: n.ID, Kind: n.Kind, Run: h.Run}, func(err error) { told <- err })
		select {
		case err := <-told:
			if err != nil {
				return fmt.Errorf("callback %s: %w", n.Kind, err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	c, err := result.OpenCommitter(ctx, m.opts.Heads, m.opts.Blobs, h.Run.ID)
	if err != nil {
		return err
	}
	if _, err := c.Sweep(ctx); err != nil {
		return err
	}
	return m.opts.Repository.Settle(ctx, m.opts.Heads, h.Run.ID)
}

// open makes a runner for a recorded run, or returns a damagedError.
func (m *Manager) open(ctx context.Context, id string) (*runner, error) {
	committer, err := result.OpenCommitter(ctx, m.opts.Heads, m.opts.Blobs, id)
	if err != nil {
		return nil, err
	}
	head := committer.Head()
	data, err := blob.GetFile(ctx, m.opts.Blobs, head.Run.Plan)
	if err != nil {
		err = fmt.Errorf("plan of run %s: %w", id, err)
		if errors.Is(err, blob.ErrNotFound) {
			if elsewhere := m.opts.Repository.CheckStore(ctx); elsewhere != nil {
				return nil, fmt.Errorf("%w: %w", err, elsewhere) // nothing is lost yet, and another leader may find it
			}
		}
		if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt) {
			err = &damagedError{committer, err}
		}
		return nil, err
	}
	plan, err := scenario.DecodePlan(data)
	if err != nil {
		return nil, &damagedError{committer, fmt.Errorf("plan of run %s: %w", id, err)}
	}
	sum, err := m.aggregate(ctx, head)
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrCorrupt), errors.Is(err, metric.ErrCorrupt):
		// The run can still be closed: its samples are read once more for that, and named as unreadable.
		m.log.Error("committed samples not read", "run_id", id, "error", err)
		sum = metric.NewAggregate(id)
	case err != nil:
		return nil, err
	}
	return newRunner(m, committer, plan, sum), nil
}

// bury closes a run that nobody can conduct: FAILED, with the reason and without a report.
func (m *Manager) bury(ctx context.Context, id string, e *damagedError) error {
	head := e.committer.Head()
	m.log.Error("run closed, it cannot be conducted", "run_id", id, "error", e)
	rec, facts := head.Run, head.Facts
	reason := "it cannot be conducted: " + e.Error()
	for _, ev := range []run.Event{
		{Kind: run.ErrorOccurred, Reason: reason, ExitCode: run.ExitInternal},
		{Kind: run.Drained, Reason: reason},
		{Kind: run.TeardownDone, Error: reason, Reason: reason},
		{Kind: run.Finalised, Reason: reason, Verdict: &run.Verdict{
			Result: run.Invalid, ExitCode: run.ExitInternal, Reasons: []run.Reason{{Code: run.CodeDamaged, Message: reason}},
		}},
	} {
		if ev.Kind == run.Drained && rec.Drained != nil || ev.Kind == run.TeardownDone && rec.Teardown.State != run.TaskStarted {
			continue
		}
		ev.Time, ev.RunTime = m.opts.Wall(), rec.Now
		next, effects, err := run.Step(rec, ev)
		if err != nil {
			return fmt.Errorf("close run %s: %w", id, err)
		}
		for _, n := range effects {
			if n.Kind == run.Notify {
				facts.Notices = append(facts.Notices, result.Notice{ID: n.ID, Kind: n.Callback})
			}
		}
		rec = next
	}
	if err := e.committer.Finalise(ctx, result.Final{Run: rec, Facts: facts}); err != nil {
		return err
	}
	m.windUp(e.committer.Head())
	return nil
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
