package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	promotel "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// ShutdownTime bounds how long Close waits for what is left to be delivered.
const ShutdownTime = 3 * time.Second

// Options say who reports. All fields are required.
type Options struct {
	Service  string // name unless OTEL_SERVICE_NAME says otherwise
	Version  string
	Instance string // name of this coordinator or worker; empty: the host name
	Logger   hclog.Logger
}

// Telemetry is the way out of this process for traces and metrics. A nil one is off. All methods may
// be called concurrently.
type Telemetry struct {
	errors  *errorLog
	traces  *sdktrace.TracerProvider // nil: off
	metrics *sdkmetric.MeterProvider // nil: off
	sources *sources
	stops   []func(context.Context) error // of the exporters themselves
	once    sync.Once
}

// Start reads the OTEL_* variables and starts what they ask for; without any it returns nil. What
// they ask for and cannot be had is said in the log and left out: no run fails for want of a trace.
func Start(ctx context.Context, opts Options) *Telemetry {
	s := readSettings(os.Getenv)
	log := opts.Logger.Named("telemetry")
	for _, p := range s.problems {
		log.Warn("telemetry setting refused", "reason", p)
	}
	if s.off() {
		return nil
	}
	errs := &errorLog{log: log, now: time.Now}
	otel.SetErrorHandler(errs)
	otel.SetLogger(funcr.New(func(_, args string) { errs.say(args) }, funcr.Options{}))
	t := &Telemetry{errors: errs, sources: &sources{}}
	if err := t.open(ctx, s, describe(ctx, opts, errs)); err != nil {
		errs.Handle(err)
	}
	if t.traces == nil && t.metrics == nil {
		return nil
	}
	log.Info("exporting telemetry", "traces", s.traces, "metrics", s.metrics)
	return t
}

// open starts the pipelines. One that cannot be made does not stop the other.
func (t *Telemetry) open(ctx context.Context, s settings, res *resource.Resource) error {
	var errs []error
	if s.traces != "" {
		exporter, err := traceExporter(ctx, s.traces)
		if err != nil {
			errs = append(errs, fmt.Errorf("traces: %w", err))
		} else {
			t.stops = append(t.stops, exporter.Shutdown)
			// The processor drops what its queue cannot take: nobody waits for it.
			t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res), sdktrace.WithIDGenerator(ids{}))
		}
	}
	if s.metrics != "" {
		exporter, err := metricExporter(ctx, s.metrics)
		if err != nil {
			errs = append(errs, fmt.Errorf("metrics: %w", err))
		} else {
			t.stops = append(t.stops, exporter.Shutdown)
			reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithProducer(promotel.NewMetricProducer(promotel.WithGatherer(t.sources))))
			t.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(res))
		}
	}
	return errors.Join(errs...)
}

func traceExporter(ctx context.Context, protocol string) (*otlptrace.Exporter, error) {
	if protocol == protocolGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func metricExporter(ctx context.Context, protocol string) (sdkmetric.Exporter, error) {
	if protocol == protocolGRPC {
		return otlpmetricgrpc.New(ctx)
	}
	return otlpmetrichttp.New(ctx)
}

// describe names this process. What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before.
func describe(ctx context.Context, opts Options, errs *errorLog) *resource.Resource {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if opts.Instance == "" {
		opts.Instance = host
	}
	res, err := resource.New(
		ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", opts.Service), attribute.String("service.version", opts.Version),
			attribute.String("service.instance.id", opts.Instance), attribute.String("host.name", host),
			attribute.Int("process.pid", os.Getpid()),
		),
		resource.WithFromEnv(),
	)
	errs.Handle(err)
	return res
}

// Close delivers what is left, for no longer than ShutdownTime, and ends the exporters.
func (t *Telemetry) Close() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), ShutdownTime)
		defer cancel()
		var wg sync.WaitGroup
		if t.traces != nil {
			wg.Go(func() { t.errors.Handle(t.traces.Shutdown(ctx)) })
		}
		if t.metrics != nil {
			wg.Go(func() { t.errors.Handle(t.metrics.Shutdown(ctx)) })
		}
		wg.Wait()
		// A delivery that is under way does not end with ctx. With no time left, an exporter cuts it.
		cancel()
		for _, stop := range t.stops {
			_ = stop(ctx) // what could not be delivered has been said above
		}
	})
}

// Tracing reports whether spans go anywhere.
func (t *Telemetry) Tracing() bool { return t != nil && t.traces != nil }

// tracerProvider is where spans go.
func (t *Telemetry) tracerProvider() trace.TracerProvider {
	if !t.Tracing() {
		return noop.NewTracerProvider()
	}
	return t.traces
}

// meterProvider is for instruments that others bring along.
func (t *Telemetry) meterProvider() metric.MeterProvider {
	if t == nil || t.metrics == nil {
		return metricnoop.NewMeterProvider()
	}
	return t.metrics
}

func (t *Telemetry) tracer() trace.Tracer { return t.tracerProvider().Tracer("proofload") }

// Gather adds a registry to what is exported as metrics. Its metrics must not be in another one.
func (t *Telemetry) Gather(g prometheus.Gatherer) {
	if t == nil {
		return
	}
	t.sources.mu.Lock()
	defer t.sources.mu.Unlock()
	t.sources.all = append(t.sources.all, g)
}

// GatherProcess adds the numbers of the Go runtime and of the process. A coordinator's registry has them.
func (t *Telemetry) GatherProcess() {
	if t == nil {
		return
	}
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t.Gather(r)
}

// sources are the registries of this process; they come as the pieces of it are made.
type sources struct {
	mu  sync.Mutex
	all prometheus.Gatherers
}

// Gather implements prometheus.Gatherer.
func (s *sources) Gather() ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	all := append(prometheus.Gatherers(nil), s.all...)
	s.mu.Unlock()
	return all.Gather()
}

// kindOf is the outcome of something as a word.
func kindOf(err error) string {
	if err == nil {
		return "ok"
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "context canceled") {
		return "cancelled"
	}
	return "failed"
}
