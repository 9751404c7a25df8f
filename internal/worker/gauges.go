package worker

import (
	"github.com/prometheus/client_golang/prometheus"

	"proofload/internal/agent"
)

// gauges reads an agent's own numbers whenever they are asked for.
type gauges struct{ stats func() agent.Stats }

func description(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("proofload_worker_"+name, help, nil, nil)
}

var (
	connected      = description("connected", "1 while a coordinator has welcomed this worker and the stream stands, else 0.")
	reconnects     = description("reconnects_total", "Sessions after the first.")
	outboxBatches  = description("outbox_batches", "Batches of samples that are sealed and not yet committed by the coordinator.")
	outboxBytes    = description("outbox_bytes", "Bytes of the batches in the outbox.")
	unackedBatches = description("unacked_batches", "Batches that were sent in the present session and are not yet acked.")
	requests       = description("requests_total", "Requests that have ended.")
	requestsFailed = description("requests_failed_total", "Requests that have failed.")
	arrivalsSent   = description("arrivals_sent_total", "Iterations that were started.")
	notSent        = prometheus.NewDesc("proofload_worker_arrivals_not_sent_total", "Iterations that were given up, by cause.", []string{"cause"}, nil)
	inFlight       = description("in_flight", "Iterations in flight at the end of the last second.")
	scheduleLag    = description("schedule_lag_seconds", "How far behind their schedule iterations were started; the quantile is of the last second.")
)

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connected, reconnects, outboxBatches, outboxBytes, unackedBatches,
		requests, requestsFailed, arrivalsSent, notSent, inFlight, scheduleLag,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	s := g.stats()
	up := 0.0
	if s.Connected {
		up = 1
	}
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	count := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge(connected, up)
	count(reconnects, s.Reconnects)
	gauge(outboxBatches, float64(s.OutboxBatches))
	gauge(outboxBytes, float64(s.OutboxBytes))
	gauge(unackedBatches, float64(s.Unacked))
	count(requests, s.Requests)
	count(requestsFailed, s.RequestsFailed)
	count(arrivalsSent, s.ArrivalsSent)
	for cause, n := range s.NotSent {
		ch <- prometheus.MustNewConstMetric(notSent, prometheus.CounterValue, float64(n), string(cause))
	}
	gauge(inFlight, float64(s.InFlight))
	ch <- prometheus.MustNewConstSummary(scheduleLag, s.Lag.Count, s.Lag.Sum, map[float64]float64{0.99: s.Lag.P99.Seconds()})
}
