package telemetry

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/stats"

	pb "proofload/proto/proofload/v1"
)

// batches counts what passes on the streams of the workers. It looks at a handful of messages each
// second, never at a request.
type batches struct {
	attached, received, committed prometheus.Counter

	mu    sync.Mutex
	marks map[sequence]uint64 // highest batch known to be committed
}

func newBatches(r prometheus.Registerer) *batches {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "proofload", Name: name, Help: help})
	}
	b := &batches{
		attached:  counter("sessions_total", "Streams of workers that were welcomed; more than there are workers says that some came back."),
		received:  counter("batches_received_total", "Batches of samples that arrived, repeated ones included."),
		committed: counter("batches_committed_total", "Batches of samples that were acked, and so are committed."),
		marks:     map[sequence]uint64{},
	}
	r.MustRegister(b.attached, b.received, b.committed)
	return b
}

// TagConn implements stats.Handler.
func (*batches) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*batches) HandleConn(context.Context, stats.ConnStats) {}

// TagRPC implements stats.Handler.
func (*batches) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (b *batches) HandleRPC(_ context.Context, event stats.RPCStats) {
	switch e := event.(type) {
	case *stats.InPayload:
		if m, ok := e.Payload.(*pb.AttachRequest); ok && m.GetMetrics() != nil {
			b.received.Inc()
		}
	case *stats.OutPayload:
		m, ok := e.Payload.(*pb.AttachResponse)
		if !ok {
			return
		}
		for _, mark := range m.GetAck().GetMarks() {
			b.mark(mark, true)
		}
		if w := m.GetWelcome(); w != nil {
			b.attached.Inc()
			for _, mark := range w.GetCommitted() {
				b.mark(mark, false)
			}
		}
	}
}

// mark counts what a mark covers beyond the one before it. What a welcome says of a sequence that is
// not known was committed by an earlier leader; a closed one that is not known was counted before.
func (b *batches) mark(m *pb.CommittedMark, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := sequence{m.GetRunId(), m.GetIncarnation()}
	before, known := b.marks[key]
	if through := m.GetThroughSeq(); through > before && (known || (fresh && !m.GetClosed())) {
		b.committed.Add(float64(through - before))
	}
	if m.GetClosed() {
		delete(b.marks, key)
		return
	}
	b.marks[key] = max(before, m.GetThroughSeq())
}
