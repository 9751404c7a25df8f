package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	pb "proofload/proto/proofload/v1"
)

// carrier is where trace context travels: the W3C header and nothing else.
var carrier = propagation.TraceContext{}

// calls are the handlers that make one span of each unary call. A stream may last for days and gets
// none: not Attach, not a watch, not reflection.
func (t *Telemetry) calls() []otelgrpc.Option {
	streams := map[string]bool{}
	for _, service := range []grpc.ServiceDesc{pb.WorkerService_ServiceDesc, pb.RunService_ServiceDesc, pb.FleetService_ServiceDesc} {
		for _, s := range service.Streams {
			streams["/"+service.ServiceName+"/"+s.StreamName] = true
		}
	}
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(t.tracerProvider()), otelgrpc.WithMeterProvider(t.meterProvider()),
		otelgrpc.WithPropagators(carrier),
		otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool {
			return !streams[info.FullMethodName] && len(info.FullMethodName) > 6 && info.FullMethodName[:6] != "/grpc."
		}),
	}
}

// ServerOptions makes a gRPC server show its calls. Without telemetry there are none.
func (t *Telemetry) ServerOptions() []grpc.ServerOption {
	if t == nil {
		return nil
	}
	out := []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(t.calls()...))}
	if t.Tracing() {
		out = append(out, grpc.StatsHandler(&streams{tracer: t.tracer(), kind: trace.SpanKindServer}))
	}
	return out
}

// DialOptions makes a worker's connection show its streams. Without telemetry there are none.
func (t *Telemetry) DialOptions() []grpc.DialOption {
	if !t.Tracing() {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(&streams{tracer: t.tracer(), kind: trace.SpanKindClient})}
}

// streams makes short spans of what happens on a worker's stream: the handshake, from its beginning
// to the welcome or the refusal; at the worker every assignment, from its arrival to the first status
// that answers it; and every batch, from its sending to the ack, which means that it is committed.
type streams struct {
	tracer trace.Tracer
	kind   trace.SpanKind
}

type streamKey struct{}

// stream is one Attach.
type stream struct {
	mu         sync.Mutex
	handshake  trace.Span // nil: over
	assignment trace.Span // nil: none is unanswered
	run        string     // of assignment
	revision   uint64
	batches    map[sequence][]sent
}

type sequence struct {
	run         string
	incarnation int64
}

// sent is a batch that is not acked yet.
type sent struct {
	seq uint64
	at  time.Time
}

// mostBatches bounds what is remembered of one sequence; a stream sends no more ahead of its acks.
const mostBatches = 256

// TagConn implements stats.Handler.
func (*streams) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*streams) HandleConn(context.Context, stats.ConnStats) {}

// TagRPC implements stats.Handler.
func (s *streams) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName != pb.WorkerService_Attach_FullMethodName {
		return ctx
	}
	parent := ctx
	if s.kind == trace.SpanKindServer {
		in, _ := metadata.FromIncomingContext(ctx)
		parent = carrier.Extract(ctx, header(in))
	}
	spanCtx, span := s.tracer.Start(parent, "attach handshake", trace.WithSpanKind(s.kind))
	if s.kind == trace.SpanKindClient {
		out, _ := metadata.FromOutgoingContext(ctx)
		out = out.Copy()
		carrier.Inject(spanCtx, header(out))
		ctx = metadata.NewOutgoingContext(ctx, out)
	}
	return context.WithValue(ctx, streamKey{}, &stream{handshake: span, batches: map[sequence][]sent{}})
}

// HandleRPC implements stats.Handler.
func (s *streams) HandleRPC(ctx context.Context, event stats.RPCStats) {
	st, ok := ctx.Value(streamKey{}).(*stream)
	if !ok {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	var payload any
	switch e := event.(type) {
	case *stats.InPayload:
		payload = e.Payload
	case *stats.OutPayload:
		payload = e.Payload
	case *stats.End:
		st.end(e.Error)
		return
	default:
		return
	}
	switch m := payload.(type) {
	case *pb.AttachRequest:
		s.upward(ctx, st, m)
	case *pb.AttachResponse:
		s.downward(ctx, st, m)
	}
}

// end ends what the stream has left open.
func (t *stream) end(err error) {
	for _, span := range []trace.Span{t.handshake, t.assignment} {
		if span != nil {
			fail(span, err)
			span.End()
		}
	}
	t.handshake, t.assignment = nil, nil
}

func (s *streams) upward(_ context.Context, t *stream, m *pb.AttachRequest) {
	switch p := m.GetPayload().(type) {
	case *pb.AttachRequest_Hello:
		if t.handshake != nil {
			t.handshake.SetAttributes(attribute.String("proofload.worker", p.Hello.GetName()))
		}
	case *pb.AttachRequest_Status:
		if t.assignment != nil && p.Status.GetRunId() == t.run && p.Status.GetRevision() >= t.revision {
			t.assignment.SetAttributes(attribute.String("proofload.worker_state", p.Status.GetState().String()))
			t.assignment.End()
			t.assignment = nil
		}
	case *pb.AttachRequest_Metrics:
		if s.kind != trace.SpanKindClient {
			return
		}
		key := sequence{p.Metrics.GetRunId(), p.Metrics.GetIncarnation()}
		if list := t.batches[key]; len(list) < mostBatches {
			t.batches[key] = append(list, sent{p.Metrics.GetSeq(), time.Now()})
		}
	}
}

func (s *streams) downward(ctx context.Context, t *stream, m *pb.AttachResponse) {
	switch p := m.GetPayload().(type) {
	case *pb.AttachResponse_Welcome:
		if t.handshake != nil {
			t.handshake.SetAttributes(
				attribute.String("proofload.session_id", p.Welcome.GetSessionId()),
				attribute.Int64("proofload.incarnation", p.Welcome.GetIncarnation()), attribute.Int64("proofload.epoch", m.GetEpoch()),
			)
			t.handshake.End()
			t.handshake = nil
		}
	case *pb.AttachResponse_Assignment:
		if s.kind == trace.SpanKindClient {
			s.assigned(ctx, t, p.Assignment)
		}
	case *pb.AttachResponse_Ack:
		if s.kind == trace.SpanKindClient {
			for _, mark := range p.Ack.GetMarks() {
				s.committed(ctx, t, mark)
			}
		}
	}
}

// assigned begins the span of an assignment; of one that names no run there is nothing to tell.
func (s *streams) assigned(ctx context.Context, t *stream, a *pb.Assignment) {
	if t.assignment != nil {
		t.assignment.End()
		t.assignment = nil
	}
	if a.GetRunId() == "" {
		return
	}
	t.run, t.revision = a.GetRunId(), a.GetRevision()
	_, t.assignment = s.tracer.Start(
		within(ctx, s.tracer, t.run), "assignment",
		trace.WithAttributes(
			attribute.String("proofload.run_id", t.run), attribute.Int64("proofload.revision", int64(t.revision)),
			attribute.String("proofload.goal", a.GetGoal().String()),
		),
	)
}

// committed makes a span of the oldest batch that a mark covers, up to the mark: one for each ack. It
// stands in a trace of its own, for a run has one each second.
func (s *streams) committed(ctx context.Context, t *stream, mark *pb.CommittedMark) {
	key := sequence{mark.GetRunId(), mark.GetIncarnation()}
	list, covered := t.batches[key], 0
	for covered < len(list) && list[covered].seq <= mark.GetThroughSeq() {
		covered++
	}
	if covered > 0 {
		_, span := s.tracer.Start(
			ctx, "batch commit", trace.WithNewRoot(), trace.WithTimestamp(list[0].at), trace.WithLinks(runLink(key.run)),
			trace.WithAttributes(
				attribute.String("proofload.run_id", key.run), attribute.Int("proofload.batches", covered),
				attribute.Int64("proofload.through_seq", int64(mark.GetThroughSeq())),
			),
		)
		span.End()
		t.batches[key] = list[covered:]
	}
	if mark.GetClosed() {
		delete(t.batches, key)
	}
}

// header lets gRPC metadata carry trace context.
type header metadata.MD

// Get implements propagation.TextMapCarrier.
func (h header) Get(key string) string {
	if v := metadata.MD(h).Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (h header) Set(key, value string) { metadata.MD(h).Set(key, value) }

// Keys implements propagation.TextMapCarrier.
func (h header) Keys() []string {
	out := make([]string, 0, len(h))
	for k := range h {
		out = append(out, k)
	}
	return out
}
