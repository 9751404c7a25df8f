package result

import (
	"context"
	"fmt"

	"proofload/internal/agent"
	"proofload/internal/metric"
	"proofload/internal/wire"
)

// simWorker keeps what is not acknowledged in a production Outbox, which outlives it.
type simWorker struct {
	name   string
	dir    string
	outbox *agent.Outbox
	source metric.Source // of the present life
	sealed []simBatch    // by all lives
}

// simBatch is one batch; its data is unlike that of any other.
type simBatch struct {
	metric.Source
	seq  uint64
	data string
}

func (b simBatch) String() string {
	return fmt.Sprintf("batch %d of %s/%d", b.seq, b.Worker, b.Incarnation)
}

func newSimWorker(s *sim, name, dir string) *simWorker {
	w := &simWorker{name: name, dir: dir}
	w.open(s)
	return w
}

// open begins a life with what an earlier one has left.
func (w *simWorker) open(s *sim) {
	var err error
	if w.outbox, err = agent.OpenOutbox(agent.OutboxOptions{Dir: w.dir}); err != nil {
		s.fail("%w", err)
	}
	if w.source.Worker != "" && s.sameLife {
		_ = w.outbox.Ack(wire.Mark{Run: "r", Incarnation: w.source.Incarnation, Closed: true})
		return
	}
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	s.cluster.revision++
	w.source = metric.Source{Worker: w.name, Incarnation: s.cluster.revision}
}

// restart ends the process, at any point, and starts it again with the same directory.
func (w *simWorker) restart(s *sim) {
	if err := w.outbox.Close(); err != nil {
		s.fail("%w", err)
	}
	w.open(s)
}

// seal makes a batch.
func (w *simWorker) seal(s *sim) {
	if s.ending {
		return
	}
	data := fmt.Sprintf("%s/%d", w.name, len(w.sealed))
	b, err := w.outbox.Append("r", w.source.Incarnation, func(uint64) []byte { return []byte(data) })
	if err != nil {
		s.fail("%w", err)
		return
	}
	w.sealed = append(w.sealed, simBatch{w.source, b.Seq, data})
}

// send puts some batches of one of its lives under way to a leader.
func (w *simWorker) send(s *sim, l *simLeader) {
	all := w.outbox.State()
	if len(all) == 0 {
		return
	}
	lane := all[s.rnd.IntN(len(all))]
	source := metric.Source{Worker: w.name, Incarnation: lane.Incarnation}
	for _, b := range w.outbox.Unacked("r", lane.Incarnation, lane.OldestUnacked+uint64(s.rnd.IntN(3)), 1+s.rnd.IntN(4)) {
		s.post(func(context.Context) { l.receive(source, b) })
		if s.ackEarly {
			_ = w.outbox.Ack(wire.Mark{Run: "r", Incarnation: b.Incarnation, Through: b.Seq})
		}
	}
}

// acknowledged takes a mark. What it covers leaves the outbox for good.
func (w *simWorker) acknowledged(s *sim, m wire.Mark) {
	source := metric.Source{Worker: w.name, Incarnation: m.Incarnation}
	s.acked[source] = max(s.acked[source], m.Through)
	if s.ackAll {
		m.Through = uint64(len(w.sealed))
	}
	if err := w.outbox.Ack(m); err != nil {
		s.fail("%w", err)
	}
}

// closed lets everything go: the run is closed.
func (w *simWorker) closed(ctx context.Context, s *sim) {
	head, err := s.repo.Load(ctx, "r")
	if err == nil && !head.final() {
		err = fmt.Errorf("%s was told that the run is closed, and it is %s", w.name, head.Run.State)
	}
	if err == nil {
		err = w.outbox.Forget("r")
	}
	if err != nil {
		s.fail("%w", err)
	}
}
