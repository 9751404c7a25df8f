package result

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// simLeader conducts the run in one term, and does not know when that is over.
type simLeader struct {
	sim       *sim
	heads     *simHeads
	committer *Committer
	ledger    *metric.Ledger
	open      []string
	sealed    *Sealed
}

// newSimLeader takes the run over; nil when its record cannot be read.
func newSimLeader(ctx context.Context, s *sim, t *term) *simLeader {
	h := &simHeads{term: t, sim: s}
	c, err := OpenCommitter(ctx, h, s.blobs, "r")
	if err != nil {
		if !errors.Is(err, errNetwork) {
			s.fail("%w", err)
		}
		return nil
	}
	return &simLeader{sim: s, heads: h, committer: c, ledger: metric.NewLedger(c.Head().Marks.Map())}
}

// deposed reports whether another term has begun.
func (l *simLeader) deposed() bool { return l.heads.epoch != l.sim.cluster.leader }

// welcome answers a worker that attaches with how far its sequences are committed.
func (l *simLeader) welcome(_ context.Context, w *simWorker) {
	if l.committer.Head().final() {
		l.tellClosed(w)
		return
	}
	for _, lane := range w.outbox.State() {
		source := metric.Source{Worker: w.name, Incarnation: lane.Incarnation}
		m := wire.Mark{Run: "r", Incarnation: lane.Incarnation, Through: l.ledger.Committed(source)}
		if l.sim.resumeEarly {
			m.Through = l.ledger.Want(source) - 1
		}
		l.sim.post(func(context.Context) { w.acknowledged(l.sim, m) })
	}
}

// receive takes a batch.
func (l *simLeader) receive(source metric.Source, b wire.Sealed) {
	if l.committer.Head().final() {
		return
	}
	if l.ledger.Offer(source, b.Seq) == metric.Accept || l.sim.noLedger {
		l.open = append(l.open, string(b.Data))
	}
}

// commit seals what is open, unless a sealed segment waits, and tries to commit it.
func (l *simLeader) commit(ctx context.Context) {
	s := l.sim
	if l.sealed == nil && len(l.open) > 0 {
		l.sealed = &Sealed{Data: []byte(strings.Join(l.open, "\n")), Marks: MarksOf(l.ledger.Seal())}
		l.open = nil
		for range s.rnd.IntN(4) { // more arrives between sealing and transaction
			s.deliver(ctx)
		}
	}
	if l.sealed == nil {
		return
	}
	if s.marksLate {
		l.sealed.Marks = MarksOf(l.ledger.Seal())
	}
	rec := run.Run{ID: "r", State: run.Running, Reason: fmt.Sprint(s.rnd.IntN(3))}
	if err := l.committer.Commit(ctx, Update{Segment: l.sealed, Run: rec}); err != nil {
		l.failed(err)
		return
	}
	advanced := l.ledger.Commit(l.sealed.Marks.Map())
	l.sealed = nil
	for _, m := range MarksOf(advanced) { // in an order, so that a seed is always the same schedule
		w := s.worker(m.Worker)
		s.post(func(context.Context) {
			w.acknowledged(s, wire.Mark{Run: "r", Incarnation: m.Incarnation, Through: m.Seq})
		})
	}
	if l.committer.CheckpointDue() || s.rnd.IntN(10) == 0 {
		_ = l.committer.Checkpoint(ctx, fmt.Appendf(nil, "through %d", l.committer.Head().Next-1)) // a later one makes good for it
	}
}

// failed does what follows from a write that failed.
func (l *simLeader) failed(err error) {
	switch {
	case errors.Is(err, ErrFenced) && !l.deposed():
		l.sim.fail("the leader of the newest term was deposed: %w", err)
	case errors.Is(err, ErrClosed), errors.Is(err, ErrFenced) && l.sim.closedByTerm:
		for _, w := range l.sim.workers {
			l.tellClosed(w)
		}
	}
}

func (l *simLeader) tellClosed(w *simWorker) {
	l.sim.post(func(ctx context.Context) { w.closed(ctx, l.sim) })
}

// close ends the run, whatever workers may still hold, and publishes the result.
func (l *simLeader) close(ctx context.Context) {
	s := l.sim
	head := l.committer.Head()
	if l.sealed != nil || len(l.open) > 0 && !head.final() {
		return // what is here is committed first
	}
	if !head.final() {
		total := 0
		for _, m := range head.Marks {
			total += int(m.Seq)
		}
		l.heads.alone = s.publishAlone
		err := l.committer.Finalise(ctx, Final{Run: finished(newRun("r")), Reports: map[string][]byte{"md": []byte(reportOf(total))}})
		if err != nil {
			l.failed(err)
			return
		}
	}
	if err := NewRepository(l.heads, s.blobs).Publish(ctx, "r"); err != nil && !errors.Is(err, errNetwork) {
		s.fail("%w", err)
	}
	l.heads.alone = false
	s.published(ctx)
}

// sweep deletes what earlier leaders have left.
func (l *simLeader) sweep(ctx context.Context) {
	l.heads.boundless = l.sim.sweepAll
	defer func() { l.heads.boundless = false }()
	if _, err := l.committer.Sweep(ctx); err != nil && !errors.Is(err, errNetwork) && !l.deposed() {
		l.sim.fail("%w", err)
	}
}
