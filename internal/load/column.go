package load

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"proofload/internal/load/flow"
	"proofload/internal/metric"
)

// column is the handles of a step's series as part of a phase. All runners share it, or else each of a hundred
// thousand users would have one; it is read without a lock.
type column struct {
	labels    metric.Labels
	connect   metric.Handle
	first     metric.Handle
	dns, tls  metric.Handle // of connect
	in, out   metric.Handle
	retried   metric.Handle
	redirects metric.Handle
	measures  []metric.Handle
	stream    atomic.Pointer[streamColumn] // nil: no stream of the step was open yet

	mu       sync.Mutex                      // of who adds an outcome
	outcomes atomic.Pointer[[]outcomeSeries] // those that were seen, the most frequent ones mostly first
}

// outcome is what may become of a request.
type outcome struct {
	status int
	code   string
	kind   string
	unsent bool
}

// times has no service time for what was not sent; its response time then is that of metric.Unsent.
type times struct{ response, service metric.Handle }

type outcomeSeries struct {
	outcome outcome
	times   times
}

// column returns the handles of a step in the present phase.
func (r *runner) column(st *flow.Step) *column {
	if st.Sample {
		if c, ok := r.job.flow.samples.Load(st); ok {
			return c.(*column)
		}
		c, _ := r.job.flow.samples.LoadOrStore(st, r.newColumn(st))
		return c.(*column)
	}
	place := &r.job.flow.columns[st.Index]
	if c := place.Load(); c != nil {
		return c
	}
	place.CompareAndSwap(nil, r.newColumn(st))
	return place.Load()
}

// newColumn resolves the handles that a step has whatever comes of it.
func (r *runner) newColumn(st *flow.Step) *column {
	acc, phase := r.engine.acc, r.job.phase.plan
	labels := metric.NewLabels("phase", phase.Name, "flow", r.job.flow.key.Flow, "step", st.Name, "warmup", warmup(phase))
	hist := func(name string) metric.Handle { return acc.Hist(metric.Key{Metric: name, Labels: labels}) }
	counter := func(name string) metric.Handle { return acc.Counter(metric.Key{Metric: name, Labels: labels}) }
	c := &column{
		labels: labels, connect: hist(metric.ConnectTime), dns: hist(metric.DNSTime), tls: hist(metric.TLSTime),
		first: hist(metric.FirstByteTime), in: counter(metric.BytesIn), out: counter(metric.BytesOut),
		retried: counter(metric.Retried), redirects: counter(metric.Redirects),
	}
	for _, name := range st.Measures() {
		c.measures = append(c.measures, hist(name))
	}
	c.outcomes.Store(new([]outcomeSeries))
	return c
}

// times returns the handles for an outcome.
func (c *column) times(acc *metric.Accumulator, o outcome) times {
	if t, ok := c.find(o); ok {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.find(o); ok {
		return t
	}
	t := c.series(acc, o)
	known := *c.outcomes.Load()
	more := append(slices.Clone(known), outcomeSeries{o, t})
	c.outcomes.Store(&more)
	return t
}

func (c *column) find(o outcome) (times, bool) {
	known := *c.outcomes.Load()
	for i := range known {
		if known[i].outcome == o {
			return known[i].times, true
		}
	}
	return times{}, false
}

// series makes the series of an outcome.
func (c *column) series(acc *metric.Accumulator, o outcome) times {
	labels := c.labels.With("outcome", "ok")
	if o.kind != "" {
		labels = c.labels.With("outcome", "failed").With("error", o.kind)
	}
	if o.status != 0 {
		labels = labels.With("status", strconv.Itoa(o.status))
	}
	if o.code != "" {
		labels = labels.With("code", o.code)
	}
	if o.unsent {
		return times{response: acc.Hist(metric.Key{Metric: metric.Unsent, Labels: labels})}
	}
	return times{
		response: acc.Hist(metric.Key{Metric: metric.ResponseTime, Labels: labels}),
		service:  acc.Hist(metric.Key{Metric: metric.ServiceTime, Labels: labels}),
	}
}
