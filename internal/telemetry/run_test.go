package telemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"proofload/internal/cli"
)

// scenario sends 1,000 requests in two seconds to a target stubbed by the worker.
const scenario = `version: 1
name: short
seed: 1
validity: {schedule_lag_p99: 60s, worker_cpu: 100%, sent: 1%} # how busy the machine is must not matter
target: mock://shop
mocks:
  shop:
    routes:
      - match: {method: GET, path: /items}
        json: {}
flows:
  browse:
    - step: list
      http: {method: GET, path: /items, headers: {authorization: '${secret.token}'}}
      expect:
        - status == 200
phases:
  - name: steady
    flow: browse
    late: 10s
    rate:
      - hold: {at: 500/s, for: 2s}
criteria:
  - name: few errors
    check: error_ratio(requests) < 50%
`

// collector is an OTLP receiver.
type collector struct {
	collectortraces.UnimplementedTraceServiceServer
	metrics metricsService

	mu       sync.Mutex
	spans    []*tracepb.Span
	services map[string]bool
	raw      bytes.Buffer // everything received
}

type metricsService struct {
	collectormetrics.UnimplementedMetricsServiceServer
	mu   sync.Mutex
	last map[string]*metricspb.Metric // the newest of each name
	raw  bytes.Buffer
}

func (c *collector) Export(_ context.Context, r *collectortraces.ExportTraceServiceRequest) (*collectortraces.ExportTraceServiceResponse, error) {
	data, _ := proto.Marshal(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(data)
	for _, rs := range r.ResourceSpans {
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" || a.Key == "deployment" {
				c.services[a.Value.GetStringValue()] = true
			}
		}
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
	return &collectortraces.ExportTraceServiceResponse{}, nil
}

func (m *metricsService) Export(_ context.Context, r *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	data, _ := proto.Marshal(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.raw.Write(data)
	for _, rm := range r.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			for _, metric := range sm.Metrics {
				m.last[metric.Name] = metric
			}
		}
	}
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

func (m *metricsService) sum(name string) float64 {
	var total float64
	for _, p := range m.last[name].GetSum().GetDataPoints() {
		total += p.GetAsDouble() + float64(p.GetAsInt())
	}
	return total
}

func collect(t *testing.T) (*collector, string) {
	t.Helper()
	c := &collector{services: map[string]bool{}, metrics: metricsService{last: map[string]*metricspb.Metric{}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collectortraces.RegisterTraceServiceServer(server, c)
	collectormetrics.RegisterMetricsServiceServer(server, &c.metrics)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); wg.Wait() })
	return c, "http://" + listener.Addr().String()
}

const secretValue = "hush-7f3a91"

// drive runs the scenario with a coordinator and a worker in this process, as the command does.
func drive(t *testing.T) (code int, stderr string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "short.yaml")
	if err := os.WriteFile(file, []byte(scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PROOFLOAD_SECRET_TOKEN", secretValue)
	var out, errs bytes.Buffer
	code = cli.Coordinator([]string{"run", file, "--out", filepath.Join(dir, "out"), "--progress", "none", "--log-format", "json"}, &out, &errs)
	if code != 0 {
		t.Logf("stdout:\n%s\nstderr:\n%s", out.String(), errs.String())
	}
	return code, errs.String()
}

// TestRunIsExported: a real collector receives traces and metrics of a real run: the life of the run in
// one trace, handshakes that join coordinator and worker, no span of a stream, none per request, and no
// secret anywhere.
func TestRunIsExported(t *testing.T) {
	c, endpoint := collect(t)
	leak := goleak.IgnoreCurrent()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
	t.Setenv("OTEL_SERVICE_NAME", "lab")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment=blue")
	if code, _ := drive(t); code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}
	goleak.VerifyNone(t, leak)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.services["lab"] || !c.services["blue"] {
		t.Errorf("resource attributes = %v, want those of the environment", c.services)
	}
	t.Run("spans", func(t *testing.T) { checkSpans(t, c.spans) })
	c.metrics.mu.Lock()
	defer c.metrics.mu.Unlock()
	t.Run("metrics", func(t *testing.T) { checkMetrics(t, &c.metrics) })
	for _, raw := range [][]byte{c.raw.Bytes(), c.metrics.raw.Bytes()} {
		if len(raw) == 0 || bytes.Contains(raw, []byte(secretValue)) {
			t.Errorf("of %d bytes received, some are a secret, or there are none", len(raw))
		}
	}
}

func checkSpans(t *testing.T, spans []*tracepb.Span) {
	byName := map[string][]*tracepb.Span{}
	for _, s := range spans {
		byName[s.Name] = append(byName[s.Name], s)
		if strings.Contains(s.Name, "Attach") || strings.Contains(s.Name, "Watch") {
			t.Errorf("a stream has a span: %s", s.Name)
		}
	}
	for _, name := range []string{
		"run", "run IDLE", "run VALIDATING", "run INITIALIZING", "run RUNNING", "run STOPPING", "attach handshake", "assignment",
		"batch commit", "commit", "term take-over", "term end", "proofload.v1.RunService/CreateRun",
	} {
		if len(byName[name]) == 0 {
			t.Errorf("no span %q", name)
		}
	}
	if len(spans) > 300 {
		t.Errorf("%d spans for 1,000 requests: they must not follow the requests", len(spans))
	}
	if t.Failed() {
		return
	}
	root := byName["run"][0]
	for name, list := range byName {
		for _, s := range list {
			if (strings.HasPrefix(name, "run ") || name == "assignment") && (!bytes.Equal(s.TraceId, root.TraceId) || !bytes.Equal(s.ParentSpanId, root.SpanId)) {
				t.Errorf("span %q is in trace %s below %s, want the run's", name, hex.EncodeToString(s.TraceId), hex.EncodeToString(s.ParentSpanId))
			}
		}
	}
	joined := false
	for _, a := range byName["attach handshake"] {
		for _, b := range byName["attach handshake"] {
			joined = joined || (a.Kind == tracepb.Span_SPAN_KIND_SERVER && bytes.Equal(a.ParentSpanId, b.SpanId))
		}
	}
	if !joined {
		t.Error("the coordinator's handshake is not below the worker's")
	}
}

func checkMetrics(t *testing.T, m *metricsService) {
	for _, name := range []string{
		"proofload_coordinator_leader", "proofload_runs", "proofload_workers", "proofload_run_arrivals", "proofload_run_schedule_lag_seconds",
		"proofload_worker_outbox_batches", "proofload_worker_reconnects_total", "proofload_worker_schedule_lag_seconds",
		"proofload_commit_duration_seconds", "proofload_coordinator_terms_total", "go_goroutines",
	} {
		if m.last[name] == nil {
			t.Errorf("no metric %q", name)
		}
	}
	received, committed := m.sum("proofload_batches_received_total"), m.sum("proofload_batches_committed_total")
	if received < 2 || committed != received {
		t.Errorf("%v batches received and %v committed, want the same number, one each second at least", received, committed)
	}
	if got := m.sum("proofload_worker_arrivals_sent_total") + m.sum("proofload_worker_arrivals_not_sent_total"); got != 1000 {
		t.Errorf("%v arrivals sent or given up, want the 1,000 of the plan", got)
	}
	if got := m.sum("proofload_runs_ended_total"); got != 1 {
		t.Errorf("%v runs ended, want 1", got)
	}
}

// TestDeadCollector: nobody listens at the endpoint. The run passes all the same, with all its arrivals,
// and says once what is wrong; every line of the log is JSON still.
func TestDeadCollector(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	leak := goleak.IgnoreCurrent()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+address)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	code, stderr := drive(t)
	if code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}
	goleak.VerifyNone(t, leak)
	if got := strings.Count(stderr, "telemetry not exported"); got != 1 {
		t.Errorf("%d lines of complaint, want 1:\n%s", got, stderr)
	}
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line of the log is not JSON: %s", line)
		}
	}
}
