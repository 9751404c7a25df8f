package load

import (
	"time"

	"proofload/internal/load/flow"
	"proofload/internal/metric"
)

// streamColumn is the handles of a step whose answers are messages.
type streamColumn struct{ first, gap, reply, span, messages metric.Handle }

// streams returns the handles of the step's streams.
func (c *column) streams(acc *metric.Accumulator) *streamColumn {
	s := c.stream.Load()
	if s == nil {
		hist := func(name string) metric.Handle { return acc.Hist(metric.Key{Metric: name, Labels: c.labels}) }
		s = &streamColumn{
			first: hist(metric.FirstMessage), gap: hist(metric.MessageGap), reply: hist(metric.ReplyTime),
			span: hist(metric.StreamTime), messages: hist(metric.Messages),
		}
		c.stream.Store(s) // another one that was made meanwhile has the same handles
	}
	return s
}

// count counts a stream that has ended. The recorder's lock must be held.
func (c *streamColumn) count(rec *metric.Recorder, second int64, s *flow.Stream) {
	_ = rec.ObserveValue(second, c.messages, float64(s.Messages)) // a count is always a number
	if s.Messages > 0 {
		rec.Observe(second, c.first, s.First)
		rec.Observe(second, c.span, s.Span)
	}
}

// Timed implements flow.Sink.
func (r *runner) Timed(st *flow.Step, what flow.Timing, took, at time.Duration) {
	c := r.column(st).streams(r.engine.acc)
	series := c.gap
	if what == flow.TimingReply {
		series = c.reply
	}
	r.lane.rec.Lock()
	defer r.lane.rec.Unlock()
	r.lane.rec.Observe(second(at), series, took)
}
