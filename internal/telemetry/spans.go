package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"proofload/internal/run"
)

// A run may last for days and outlive the coordinator that began it, so it is not one span that is
// held open. Its trace id and the id of its root span follow from the run's id: whoever knows the run
// adds short spans to its trace, and who conducts its end adds the root.

// identity is the ids of a span that follow from names.
type identity struct {
	trace trace.TraceID
	span  trace.SpanID
}

// identify returns the ids of piece n of a run; piece 0 is the root.
func identify(runID string, piece int) identity {
	whole := sha256.Sum256([]byte("proofload run " + runID))
	part := sha256.Sum256([]byte("proofload run " + runID + " piece " + strconv.Itoa(piece)))
	var id identity
	copy(id.trace[:], whole[:])
	copy(id.span[:], part[:])
	return id
}

type identityKey struct{}

// ids generates random ids, and the ones that the context asks for.
type ids struct{}

// NewIDs implements the SDK's IDGenerator.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if id, ok := ctx.Value(identityKey{}).(identity); ok {
		return id.trace, id.span
	}
	var id identity
	binary.NativeEndian.PutUint64(id.trace[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id.trace[8:], rand.Uint64()|1)
	return id.trace, randomSpan()
}

// NewSpanID implements the SDK's IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if id, ok := ctx.Value(identityKey{}).(identity); ok {
		return id.span
	}
	return randomSpan()
}

func randomSpan() trace.SpanID {
	var s trace.SpanID
	binary.NativeEndian.PutUint64(s[:], rand.Uint64()|1)
	return s
}

// within returns a context whose next span is a child of the root of a run's trace. Whether the trace
// is sampled is what the sampler says of that root, so that all pieces share one answer; the span
// that it is asked with is never ended and so never exported.
func within(ctx context.Context, tracer trace.Tracer, runID string) context.Context {
	ask := context.WithValue(context.WithoutCancel(ctx), identityKey{}, identify(runID, 0))
	_, root := tracer.Start(ask, "run", trace.WithNewRoot())
	return trace.ContextWithSpanContext(ctx, root.SpanContext())
}

// runLink points from a trace of its own to the trace of a run.
func runLink(runID string) trace.Link {
	id := identify(runID, 0)
	return trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id.trace, SpanID: id.span, TraceFlags: trace.FlagsSampled})}
}

// fail notes the kind of an error; its text may quote what no trace should hold.
func fail(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, kindOf(err))
	}
}

// remembered is how many ended runs are kept in mind, so that a repeated callback is known as one.
const remembered = 1024

// lives makes spans of the states of runs.
type lives struct {
	tracer trace.Tracer

	mu    sync.Mutex
	told  map[string]int // transitions that have been made spans of, by run
	order []string
}

// advance makes a span of every state that the run has left since the last call, and at the end the
// root. It reports whether the run has ended and this is the first to say so.
func (l *lives) advance(rec run.Run) (ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	told, known := l.told[rec.ID]
	if !known {
		l.order = append(l.order, rec.ID)
		if len(l.order) > remembered {
			delete(l.told, l.order[0])
			l.order = l.order[1:]
		}
	}
	ctx := within(context.Background(), l.tracer, rec.ID)
	for i := told; i < len(rec.Transitions); i++ {
		began := rec.CreatedAt
		if i > 0 {
			began = rec.Transitions[i-1].At
		}
		l.state(ctx, rec, i, began)
	}
	l.told[rec.ID] = max(told, len(rec.Transitions))
	if !rec.State.Final() || told == len(rec.Transitions) {
		return false
	}
	l.root(rec)
	return true
}

func (l *lives) state(ctx context.Context, rec run.Run, i int, began time.Time) {
	t := rec.Transitions[i]
	ctx = context.WithValue(ctx, identityKey{}, identify(rec.ID, i+1))
	_, span := l.tracer.Start(
		ctx, "run "+string(t.From), trace.WithTimestamp(began),
		trace.WithAttributes(attribute.String("proofload.run_id", rec.ID), attribute.String("proofload.state", string(t.From)), attribute.String("proofload.next_state", string(t.To))),
	)
	span.End(trace.WithTimestamp(t.At))
}

func (l *lives) root(rec run.Run) {
	ctx := context.WithValue(context.Background(), identityKey{}, identify(rec.ID, 0))
	_, span := l.tracer.Start(
		ctx, "run", trace.WithNewRoot(), trace.WithTimestamp(rec.CreatedAt),
		trace.WithAttributes(
			attribute.String("proofload.run_id", rec.ID), attribute.String("proofload.scenario", rec.Name),
			attribute.String("proofload.environment", rec.Environment), attribute.String("proofload.state", string(rec.State)),
			attribute.String("proofload.verdict", verdictOf(rec)),
		),
	)
	if rec.State == run.Failed {
		span.SetStatus(codes.Error, "run failed")
	}
	span.End(trace.WithTimestamp(rec.Since))
}

func verdictOf(rec run.Run) string {
	if rec.Verdict == nil {
		return ""
	}
	return string(rec.Verdict.Result)
}
