package supervisor

import (
	"context"
	"errors"
	"time"

	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// Accepted is a scenario that was read and found valid.
type Accepted struct {
	ID           string // of the run
	RequestID    string
	Plan         *scenario.Plan
	PlanDigest   string // under which the plan is stored
	Files        map[string]string
	QueueTimeout time.Duration // 0: for ever
}

// Create records a run and puts it into the queue. The same request id again returns the run that
// was created first. Once a run is recorded it is conducted, whatever becomes of the caller and of
// the answer.
func (m *Manager) Create(ctx context.Context, a Accepted) (run.Run, error) {
	rec := run.New(run.Options{
		ID: a.ID, Name: a.Plan.Name, Environment: a.Plan.Environment, Labels: a.Plan.Labels, RequestID: a.RequestID,
		Scenario: a.Plan.ScenarioSHA256, Plan: a.PlanDigest, Files: a.Files, Seed: a.Plan.Seed,
		HasSetup: len(a.Plan.Setup) > 0, HasTeardown: len(a.Plan.Teardown) > 0,
		QueueTimeout: a.QueueTimeout, Reason: "accepted", Time: m.opts.Wall(),
	})
	created, _, err := m.opts.Repository.Create(ctx, m.opts.Heads, rec)
	if err == nil {
		rec = created
		if rec.State.Final() {
			return rec, nil
		}
		err = m.conduct(rec.ID)
	}
	if err != nil {
		if !errors.Is(err, result.ErrFenced) && !errors.Is(err, result.ErrRefused) {
			m.settle(rec.ID)
		}
		return run.Run{}, err
	}
	return rec, nil
}

// conduct starts a runner for a recorded run that has not ended and that none conducts yet.
func (m *Manager) conduct(id string) error {
	open := func() (any, error) { return nil, m.admit(id) }
	_, err, shared := m.admitting.Do(id, open)
	if shared && errors.Is(err, result.ErrNotFound) {
		_, err, _ = m.admitting.Do(id, open) // the other may have looked before it was recorded
	}
	if err == nil || errors.Is(err, result.ErrNotFound) {
		m.read(id)
	}
	return err
}

func (m *Manager) admit(id string) error {
	m.mu.Lock()
	_, conducted := m.runners[id]
	ctx, closed := m.ctx, m.closed
	m.mu.Unlock()
	if conducted || closed {
		return nil
	}
	r, err := m.open(ctx, id)
	var damaged *damagedError
	if errors.As(err, &damaged) {
		return m.bury(ctx, id, damaged)
	}
	if err != nil {
		return err
	}
	var owed []run.Member
	switch r.run.State {
	case run.Completed, run.Failed:
		return nil
	case run.Idle:
	default:
		m.adopt(r.committer.Head())
		r.mail.post(r.inherit)
		owed = r.run.Owed
	}
	m.launch(r)
	for _, who := range owed {
		m.fleet.Renew(who) // one that came before the run was opened says again what it has
	}
	m.queue.nudge()
	return nil
}

// settleFor is how long a run of which nothing is known is looked for: the write that records it may
// still be on its way.
const settleFor = 30 * time.Second

// settle conducts a run whose creation was left open, in the background.
func (m *Manager) settle(id string) {
	began := m.opts.Clock()
	m.start(func(ctx context.Context) error {
		for {
			err := m.conduct(id)
			if fenced(err) {
				return err
			}
			missing := errors.Is(err, result.ErrNotFound)
			if err == nil || missing && m.opts.Clock()-began > int64(settleFor) {
				return nil
			}
			if !missing && ctx.Err() == nil {
				m.log.Warn("run not opened, trying again", "run_id", id, "error", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(retryAfter):
			}
		}
	})
}
