package supervisor

import (
	"context"
	"errors"

	"proofload/internal/result"
	"proofload/internal/wire"
)

// stray is what a worker has of a run that nobody conducts here.
type stray struct {
	worker, run string
	incarnation int64
	batch       bool // it has just sent one
}

// strayed answers a worker that has something of a run which is not live. The worker deletes samples
// because of this answer, so that it is not given by what this manager happens to conduct: only the
// record tells, and where it does not, nothing is said and the worker keeps what it has.
func (m *Manager) strayed(s stray) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.strays[s] {
		return
	}
	m.strays[s] = true
	m.group.Go(func() error {
		m.answer(m.ctx, s)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.strays, s)
		return nil
	})
}

func (m *Manager) answer(ctx context.Context, s stray) {
	head, err := m.opts.Repository.Load(ctx, s.run)
	switch {
	case errors.Is(err, result.ErrNotFound):
		m.fleet.Nack(s.worker, wire.Nack{
			Run: s.run, Incarnation: s.incarnation, Want: 1, Reason: wire.NackUnknownRun,
			Message: "run is not known here: it was deleted, or belongs to other coordinators",
		})
	case err != nil:
		m.log.Debug("what a worker has of a run not answered", "worker_id", s.worker, "run_id", s.run, "error", err)
	case head.Run.State.Final() && s.batch:
		m.fleet.Nack(s.worker, wire.Nack{
			Run: s.run, Incarnation: s.incarnation, Want: 1, Reason: wire.NackClosed,
			Message: closedMessage,
		})
	case head.Run.State.Final():
		m.fleet.Ack(s.worker, []wire.Mark{{Run: s.run, Incarnation: s.incarnation, Closed: true}})
	}
}
