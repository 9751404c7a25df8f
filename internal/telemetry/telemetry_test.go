package telemetry

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"google.golang.org/grpc/stats"

	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

// without clears what the machine's own environment may say.
func without(t *testing.T) {
	t.Helper()
	for _, v := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_TRACES_SAMPLER",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
	} {
		t.Setenv(v, "")
	}
}

// TestSettings: which variables turn which signal on, over which protocol.
func TestSettings(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := []struct {
		name            string
		env             map[string]string
		traces, metrics string
		problems        int
	}{
		{"nothing", nil, "", "", 0},
		{"a name alone exports nothing", map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, "", "", 0},
		{"endpoint", map[string]string{endpoint: "http://c:4318"}, "http/protobuf", "http/protobuf", 0},
		{"endpoint and protocol", map[string]string{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc", "grpc", 0},
		{"one protocol each", map[string]string{endpoint: "c", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, "grpc", "http/protobuf", 0},
		{"endpoint of one signal", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "c"}, "", "http/protobuf", 0},
		{"exporter without an endpoint", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, "http/protobuf", "", 0},
		{"one signal off", map[string]string{endpoint: "c", "OTEL_METRICS_EXPORTER": "none"}, "http/protobuf", "", 0},
		{"disabled", map[string]string{endpoint: "c", "OTEL_SDK_DISABLED": "TRUE"}, "", "", 0},
		{"unknown exporter", map[string]string{endpoint: "c", "OTEL_TRACES_EXPORTER": "zipkin"}, "", "http/protobuf", 1},
		{"unknown protocol", map[string]string{endpoint: "c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "", "", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := readSettings(func(k string) string { return tt.env[k] })
			if s.traces != tt.traces || s.metrics != tt.metrics || len(s.problems) != tt.problems {
				t.Errorf("settings = %+v, want traces %q, metrics %q and %d problems", s, tt.traces, tt.metrics, tt.problems)
			}
		})
	}
}

// TestOffByDefault: without variables there is nothing: no provider, no goroutine, no handler in the
// connections; and what is nil can be used.
func TestOffByDefault(t *testing.T) {
	without(t)
	leak := goleak.IgnoreCurrent()
	tel := Start(t.Context(), Options{Service: "s", Logger: hclog.NewNullLogger()})
	if tel != nil {
		t.Fatalf("Start = %v, want nil", tel)
	}
	goleak.VerifyNone(t, leak)
	if _, ok := tel.tracerProvider().(noop.TracerProvider); !ok {
		t.Errorf("tracer provider is %T, want the one that does nothing", tel.tracerProvider())
	}
	if n, m := len(tel.ServerOptions()), len(tel.DialOptions()); n+m != 0 {
		t.Errorf("%d server and %d dial options, want none", n, m)
	}
	tel.Gather(prometheus.NewRegistry())
	tel.Close()
}

// TestSilentCollector: an endpoint that takes connections and never answers holds nobody up for ever
// at the end, although its own timeouts are an hour long, and leaves no goroutine.
func TestSilentCollector(t *testing.T) {
	for _, protocol := range []string{protocolGRPC, protocolHTTP} {
		t.Run(protocol, func(t *testing.T) {
			without(t)
			leak := goleak.IgnoreCurrent()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
			tel := Start(t.Context(), Options{Service: "s", Logger: hclog.NewNullLogger()})
			if !tel.Tracing() {
				t.Fatal("telemetry is off although there is an endpoint")
			}
			_, span := tel.tracer().Start(t.Context(), "x")
			span.End()
			tel.Close()
			_ = listener.Close()
			goleak.VerifyNone(t, leak)
		})
	}
}

// TestErrorsAreBounded: a minute of errors is one line, and the next line says how many were left out.
func TestErrorsAreBounded(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	e := &errorLog{log: hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: true}), now: func() time.Time { return now }}
	for range 600 {
		e.Handle(errors.New("collector away"))
		now = now.Add(100 * time.Millisecond)
	}
	if got := strings.Count(out.String(), "\n"); got != 1 {
		t.Fatalf("%d lines in a minute, want 1:\n%s", got, out.String())
	}
	e.Handle(errors.New("collector away"))
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"suppressed":599`) {
		t.Errorf("log after a minute = %s, want a second line with 599 suppressed", got)
	}
}

// TestLivesOfRuns: every state that a run leaves is one span, told once however often the callback
// comes and whichever coordinator tells it; all are children of one root, which comes at the end.
func TestLivesOfRuns(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder), trace.WithIDGenerator(ids{}))
	l := &lives{tracer: provider.Tracer("t"), told: map[string]int{}}
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	rec := run.Run{ID: "r", CreatedAt: at(0), State: run.Validating, Transitions: []run.Transition{{From: run.Idle, To: run.Validating, At: at(1)}}}
	for range 2 {
		if l.advance(rec) {
			t.Error("run has ended while it validates")
		}
	}
	rec.Transitions = append(rec.Transitions, run.Transition{From: run.Validating, To: run.Stopping, At: at(3)}, run.Transition{From: run.Stopping, To: run.Failed, At: at(6)})
	rec.State, rec.Since = run.Failed, at(6)
	first, again := l.advance(rec), l.advance(rec)
	if !first || again {
		t.Errorf("the end of a run was reported %v and then %v, want once", first, again)
	}
	var names []string
	var total time.Duration
	root := identify("r", 0)
	for _, s := range recorder.Ended() {
		names = append(names, s.Name())
		if s.SpanContext().TraceID() != root.trace {
			t.Errorf("span %q is in trace %s, want %s", s.Name(), s.SpanContext().TraceID(), root.trace)
		}
		if s.Name() == "run" {
			if s.SpanContext().SpanID() != root.span || s.Parent().IsValid() {
				t.Errorf("root is span %s with parent %v", s.SpanContext().SpanID(), s.Parent())
			}
			continue
		}
		if s.Parent().SpanID() != root.span {
			t.Errorf("span %q has parent %s, want the root", s.Name(), s.Parent().SpanID())
		}
		total += s.EndTime().Sub(s.StartTime())
	}
	if got, want := strings.Join(names, ","), "run IDLE,run VALIDATING,run STOPPING,run"; got != want {
		t.Errorf("spans = %s, want %s", got, want)
	}
	if total != 6*time.Second {
		t.Errorf("states last %s together, want the 6 s of the run", total)
	}
}

// TestOneAnswerPerRun: a sampler that decides by trace id says the same for every piece of a run.
func TestOneAnswerPerRun(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(
		trace.WithSpanProcessor(recorder), trace.WithIDGenerator(ids{}), trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(0.5))),
	)
	sampled := 0
	for i := range 200 {
		l := &lives{tracer: provider.Tracer("t"), told: map[string]int{}}
		before := len(recorder.Ended())
		id := strings.Repeat("r", i+1)
		l.advance(run.Run{ID: id, State: run.Completed, Transitions: []run.Transition{{From: run.Stopping, To: run.Completed}}})
		switch got := len(recorder.Ended()) - before; got {
		case 0:
		case 2:
			sampled++
		default:
			t.Errorf("%d of 2 spans of a run were sampled", got)
		}
	}
	if sampled < 50 || sampled > 150 {
		t.Errorf("%d of 200 runs sampled at a ratio of a half", sampled)
	}
}

// TestBatchesAreCountedOnce: acks that repeat, marks that a welcome repeats and closed sequences do not
// count a batch twice; what an earlier leader committed does not count at all.
func TestBatchesAreCountedOnce(t *testing.T) {
	b := newBatches(prometheus.NewRegistry())
	mark := func(incarnation int64, through uint64, closed bool) *pb.CommittedMark {
		return &pb.CommittedMark{RunId: "r", Incarnation: incarnation, ThroughSeq: through, Closed: closed}
	}
	ack := func(m *pb.CommittedMark) {
		b.HandleRPC(t.Context(), &stats.OutPayload{Payload: &pb.AttachResponse{Payload: &pb.AttachResponse_Ack{Ack: &pb.Ack{Marks: []*pb.CommittedMark{m}}}}})
	}
	welcome := func(m *pb.CommittedMark) {
		b.HandleRPC(t.Context(), &stats.OutPayload{Payload: &pb.AttachResponse{Payload: &pb.AttachResponse_Welcome{Welcome: &pb.Welcome{Committed: []*pb.CommittedMark{m}}}}})
	}
	steps := []struct {
		name string
		do   func()
		want float64
	}{
		{"first ack", func() { ack(mark(1, 2, false)) }, 2},
		{"the same again", func() { ack(mark(1, 2, false)) }, 2},
		{"acks lost with the stream", func() { welcome(mark(1, 5, false)) }, 5},
		{"of an earlier leader", func() { welcome(mark(2, 40, false)) }, 5},
		{"after an earlier leader", func() { ack(mark(2, 41, false)) }, 6},
		{"the last one", func() { ack(mark(1, 6, true)) }, 7},
		{"closed again", func() { ack(mark(1, 6, true)) }, 7},
		{"closed without a number", func() { ack(mark(1, 0, true)) }, 7},
	}
	for _, s := range steps {
		s.do()
		if got := testutil.ToFloat64(b.committed); got != s.want {
			t.Errorf("%s: %v committed, want %v", s.name, got, s.want)
		}
	}
	if got := testutil.ToFloat64(b.attached); got != 2 {
		t.Errorf("%v sessions, want 2", got)
	}
}
