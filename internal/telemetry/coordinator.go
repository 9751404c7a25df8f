package telemetry

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"proofload/internal/run"
)

// Coordinator are the instruments of a coordinator. Those that are read from what it holds anyway
// stand beside it; here is what must be counted as it happens.
type Coordinator struct {
	telemetry *Telemetry
	tracer    trace.Tracer
	lives     *lives
	batches   *batches

	terms   prometheus.Counter
	ended   *prometheus.CounterVec
	commits *prometheus.HistogramVec
}

// NewCoordinator registers the instruments of a coordinator. t may be nil.
func NewCoordinator(t *Telemetry, r *prometheus.Registry) *Coordinator {
	c := &Coordinator{
		telemetry: t, tracer: t.tracer(), batches: newBatches(r),
		terms: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "proofload", Name: "coordinator_terms_total", Help: "Terms of leadership that this coordinator began.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "proofload", Name: "runs_ended_total", Help: "Runs that ended here, by final state and verdict.",
		}, []string{"state", "verdict"}),
		commits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "proofload", Name: "commit_duration_seconds", Help: "Duration of one fenced transaction with etcd.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"outcome"}),
	}
	c.lives = &lives{tracer: c.tracer, told: map[string]int{}}
	r.MustRegister(c.terms, c.ended, c.commits)
	t.Gather(r)
	return c
}

// ServerOptions make the coordinator's gRPC server count, and show its calls if telemetry is on.
func (c *Coordinator) ServerOptions() []grpc.ServerOption {
	return append(c.telemetry.ServerOptions(), grpc.StatsHandler(c.batches))
}

// Term notes that a term begins. taken is called when the coordinator has taken over and takes requests,
// over when the term ends. The two are spans of their own, since a term may last for months.
func (c *Coordinator) Term(ctx context.Context, name string, epoch int64) (taken func(), over func(error)) {
	c.terms.Inc()
	attributes := trace.WithAttributes(attribute.String("proofload.coordinator", name), attribute.Int64("proofload.epoch", epoch))
	began := time.Now()
	_, takeOver := c.tracer.Start(ctx, "term take-over", trace.WithNewRoot(), attributes)
	return func() { takeOver.End() }, func(err error) {
		takeOver.End() // of a term that was over before it was taken; a second end changes nothing
		_, span := c.tracer.Start(
			ctx, "term end", trace.WithNewRoot(), attributes, trace.WithLinks(trace.Link{SpanContext: takeOver.SpanContext()}),
			trace.WithAttributes(attribute.Float64("proofload.term_seconds", time.Since(began).Seconds())),
		)
		if kindOf(err) == "failed" {
			fail(span, err)
		}
		span.End()
	}
}

// Commit notes that a transaction begins; the answer is called with how it ended. key is the first
// key that it writes.
func (c *Coordinator) Commit(ctx context.Context, key string, writes int) (done func(outcome string)) {
	began := time.Now()
	opts := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "etcd"), attribute.Int("proofload.writes", writes)),
	}
	if id := runOf(key); id != "" {
		opts = append(opts, trace.WithLinks(runLink(id)), trace.WithAttributes(attribute.String("proofload.run_id", id)))
	}
	_, span := c.tracer.Start(ctx, "commit", opts...)
	return func(outcome string) {
		c.commits.WithLabelValues(outcome).Observe(time.Since(began).Seconds())
		span.SetAttributes(attribute.String("proofload.outcome", outcome))
		span.End()
	}
}

// runOf returns the id of the run whose record a key is: the part of it that is as long as an id.
func runOf(key string) string {
	const idLength = 26
	for part := range strings.SplitSeq(key, "/") {
		if len(part) == idLength {
			return part
		}
	}
	return ""
}

// Run is a callback of the supervisor: it tells the life of a run so far.
func (c *Coordinator) Run(_ run.CallbackKind, rec run.Run) {
	if c.lives.advance(rec) {
		c.ended.WithLabelValues(string(rec.State), verdictOf(rec)).Inc()
	}
}
