package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	pb "proofload/proto/proofload/v1"
)

// LifeUnknownError refuses the report of a death: there is no such life of the worker to end.
type LifeUnknownError struct {
	Name               string
	Incarnation, Known int64 // reported, and known of that name; 0: none is
}

// Error says what is known instead.
func (e *LifeUnknownError) Error() string {
	if e.Known == 0 {
		return fmt.Sprintf("incarnation %d of worker %q is not known: there is nothing to move", e.Incarnation, e.Name)
	}
	return fmt.Sprintf("incarnation %d of worker %q is not known, incarnation %d is: there is nothing to move", e.Incarnation, e.Name, e.Known)
}

// errDead ends the session of a worker whose process has ended.
var errDead = errors.New("session ended: the worker's guard has reported that its process is dead")

// deathReason is what the handler is told.
const deathReason = "its process has ended, its guard reports"

// lastWords is how long the session of a dead worker may go on after the report, which may overtake on
// its own connection what the worker sent last. The stream of a dead process ends by itself as soon as
// that has been read.
const lastWords = 500 * time.Millisecond

// ReportDeath implements WorkerService. It returns once the session is over and the handler knows.
func (s *Server) ReportDeath(ctx context.Context, req *pb.ReportDeathRequest) (*pb.ReportDeathResponse, error) {
	if err := validate(req); err != nil {
		return nil, err
	}
	s.mu.Lock()
	f, leader := s.fleet, s.known()
	s.mu.Unlock()
	if f == nil || !f.opts.Leading() {
		return nil, s.notLeading(leader)
	}
	var unknown *LifeUnknownError
	if err := f.bury(ctx, req); errors.As(err, &unknown) {
		return nil, withDetail(codes.NotFound, err.Error(), &pb.WorkerLifeUnknown{Name: unknown.Name, KnownIncarnation: unknown.Known})
	}
	return &pb.ReportDeathResponse{}, nil
}

// bury ends a life of a worker for certain: its session, if there is one, and then the handler is told as
// it is for a goodbye. It returns a LifeUnknownError if that life is not the one that is known.
func (f *Fleet) bury(ctx context.Context, d *pb.ReportDeathRequest) error {
	s, told, err := f.declare(d)
	if err != nil || told {
		return err
	}
	if s != nil {
		timer := time.NewTimer(lastWords)
		defer timer.Stop()
		select {
		case <-s.over:
			return nil // it found the life dead, and has told the handler so
		case <-timer.C:
		case <-ctx.Done():
		}
		s.end(errDead)
	}
	if w, ok := f.interred(d, s); ok {
		f.log.Info("worker is dead", "worker_id", w.Name, "incarnation", w.Incarnation, "run_id", w.Run)
		f.opts.Handler.Detached(w, deathReason, true)
	}
	return nil
}

// declare notes that a life has ended, and returns its session; told says that the handler knows of the
// death already.
func (f *Fleet) declare(d *pb.ReportDeathRequest) (s *session, told bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[d.GetName()]
	if !ok {
		return nil, false, &LifeUnknownError{Name: d.GetName(), Incarnation: d.GetIncarnation()}
	}
	if d.GetClusterId() != f.opts.Cluster || !m.lives(d) {
		return nil, false, &LifeUnknownError{Name: d.GetName(), Incarnation: d.GetIncarnation(), Known: m.info.Incarnation}
	}
	told = m.dead && m.session == nil
	m.dead = true
	return m.session, told, nil
}

// interred takes the session of a dead life from its record, and forgets a worker that belongs to no run.
// It reports false if another has come in between: a session that has told the handler, or a later life.
func (f *Fleet) interred(d *pb.ReportDeathRequest, s *session) (Worker, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[d.GetName()]
	if !ok || !m.dead || !m.lives(d) || m.session != s {
		return Worker{}, false
	}
	m.session = nil
	w := m.snapshot(f.opts.Clock())
	if w.Run == "" {
		delete(f.members, w.Name)
	}
	return w, true
}

// lives reports whether the record is of the life that d names. Of a worker that has not attached in this
// term only what the record holds is known; an incarnation belongs to one process.
func (m *member) lives(d *pb.ReportDeathRequest) bool {
	if m.info.Incarnation != d.GetIncarnation() {
		return false
	}
	same := func(known, told string) bool { return known == "" || known == told }
	return same(m.info.Instance, d.GetInstanceId()) && same(m.info.Nonce, d.GetProcessNonce())
}
