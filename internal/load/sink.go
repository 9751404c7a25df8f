package load

import (
	"time"

	"proofload/internal/load/flow"
	"proofload/internal/metric"
)

var _ flow.Sink = (*runner)(nil)

// Began implements flow.Sink.
func (r *runner) Began(step string, at time.Duration) {
	r.lane.rec.Lock()
	r.step, r.since = step, at
	r.lane.rec.Unlock()
}

// Request implements flow.Sink: it counts one request.
func (r *runner) Request(q *flow.Report) {
	r.failure.add(q.Kind)
	c := r.column(q.Step)
	o := outcome{q.Status, q.Code, q.Kind, q.Unsent()}
	t := c.times(r.engine.acc, o)
	s := second(q.Ended)
	rec := r.lane.rec
	rec.Lock()
	defer rec.Unlock()
	rec.Observe(s, t.response, q.Response)
	if o.unsent {
		return
	}
	rec.Observe(s, t.service, q.Service)
	if q.Connect > 0 {
		c.opened(rec, s, q)
	}
	if q.FirstByte > 0 {
		rec.Observe(s, c.first, q.FirstByte)
	}
	if q.BytesIn > 0 {
		rec.Count(s, c.in, q.BytesIn)
	}
	if q.BytesOut > 0 {
		rec.Count(s, c.out, q.BytesOut)
	}
	if q.Retried {
		rec.Count(s, c.retried, 1)
	}
	if q.Redirected {
		rec.Count(s, c.redirects, 1)
	}
	if q.Trace != "" {
		rec.Exemplify(s, metric.StepKey{Phase: r.job.phase.plan.Name, Flow: r.job.flow.key.Flow, Step: q.Step.Name}, metric.Exemplar{
			At: q.Ended, Response: q.Response, Service: q.Service, Status: q.Status, Error: q.Kind, Trace: q.Trace,
		})
	}
	if q.Stream.Opened {
		c.streams(r.engine.acc).count(rec, s, &q.Stream)
	}
}

// opened counts the opening of a connection.
func (c *column) opened(rec *metric.Recorder, s int64, q *flow.Report) {
	rec.Observe(s, c.connect, q.Connect)
	if q.Parts.DNS > 0 {
		rec.Observe(s, c.dns, q.Parts.DNS)
	}
	if q.Parts.TLS > 0 {
		rec.Observe(s, c.tls, q.Parts.TLS)
	}
}

// Measure implements flow.Sink. Expressions yield finite numbers only, all of which can be counted.
func (r *runner) Measure(st *flow.Step, i int, v float64, at time.Duration) {
	c := r.column(st)
	r.lane.rec.Lock()
	defer r.lane.rec.Unlock()
	if err := r.lane.rec.ObserveValue(second(at), c.measures[i], v); err != nil {
		r.engine.log.Warn("measure not counted", "measure", st.Measures()[i], "value", v, "error", err)
	}
}
