package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"proofload/internal/load"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// sealLag is how long after the end of a second it is sealed, so that samples which ended in it have
// been recorded.
const sealLag = 30 * time.Millisecond

// seal turns every second into a batch until the engine has ended.
func (w *work) seal(ctx context.Context, engine *load.Engine, ended <-chan error) {
	seq := uint64(0)
	second := max(0, int64(w.clock.Now()/time.Second)) // one that joins later has nothing to tell of the seconds before
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	w.keepClock()
	for {
		select {
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				w.log.Warn("load ended", "error", err)
			}
			// Every second has a batch of its own, also when the end came late to this loop.
			for last := int64(w.clock.Now() / time.Second); second <= last; second++ {
				if seq, err = w.batch(ctx, engine, second, seq); err != nil {
					return
				}
			}
			w.books(seq)
			return
		case <-ctx.Done():
			if err := <-ended; err != nil {
				w.log.Debug("load cut", "error", err)
			}
			return
		case <-poll.C:
		}
		for w.clock.Now() >= time.Duration(second+1)*time.Second+sealLag {
			var err error
			if seq, err = w.batch(ctx, engine, second, seq); err != nil {
				w.log.Debug("load cut", "error", cmp.Or(<-ended, err))
				return
			}
			second++
			w.keepClock()
		}
		w.progress()
	}
}

// resume goes on with the clock that an earlier process has kept of this run, if there is one.
func (w *work) resume() {
	clock, ok, err := w.agent.clocks.load(w.run)
	if err != nil {
		w.log.Warn("start of run time that an earlier process knew is lost", "error", err)
	}
	if ok {
		w.clock.resume(clock)
	}
}

// keepClock leaves the clock on disk for the next process.
func (w *work) keepClock() {
	err := w.clock.keep(func(c run.Clock) error { return w.agent.clocks.save(w.run, c) })
	if err != nil {
		w.log.Warn("start of run time would not survive a restart of this worker", "error", err)
	}
}

// batch seals one second into the outbox and returns the number of its batch; before is that of the
// batch before it. It fails when the work is cut, or when the outbox could not be written for
// spoolPatience, which ends the agent.
func (w *work) batch(ctx context.Context, engine *load.Engine, index int64, before uint64) (uint64, error) {
	s := engine.Seal(index)
	w.agent.counts.second(s)
	if w.newest(index) {
		w.machine(&s)
	}
	w.mu.Lock()
	revision := w.wanted.ShardRevision
	for _, a := range s.Arrivals {
		w.totals.Planned += a.Planned
		w.totals.Sent += a.Sent
		w.totals.Succeeded += a.Succeeded
		w.totals.Failed += a.Failed
	}
	requests, _ := s.Requests()
	w.totals.Requests += requests
	w.mu.Unlock()
	b := metric.Batch{
		Run: w.run, ShardRevision: revision, Second: s,
		Source: metric.Source{Worker: w.agent.opts.Name, Incarnation: w.agent.link.Incarnation()},
		From:   time.Duration(index) * time.Second, To: time.Duration(index+1) * time.Second,
	}
	if covered := engine.Status().Covered + 1; covered < b.To {
		b.To = max(b.From, covered) // the load or the lease ended within this second: what is due later was nobody's
	}
	number, err := w.spool(ctx, engine, b)
	if errors.Is(err, ErrTooLarge) {
		// What no message can carry will never be committed: the run cannot have a result that is whole.
		w.fail(fmt.Sprintf("the samples of second %d fit into no message: %v", index, err))
		return before, nil
	}
	if err != nil {
		return 0, err
	}
	w.judgeAlone(s)
	if w.agent.outbox.Full() {
		engine.Hold(metric.CauseOutboxFull)
	} else {
		engine.Hold("")
	}
	w.agent.link.wakeUp()
	return number, nil
}

// fail ends the load and says why; the seconds that follow are sealed and the books closed all the same.
func (w *work) fail(reason string) {
	w.log.Error("run not executed", "error", reason)
	w.mu.Lock()
	w.state, w.failure = wire.WorkerFailed, reason
	w.reportLocked()
	w.mu.Unlock()
	w.stopLoad()
}

// spoolPatience is how long a worker waits for room on its disk before it gives up: longer than a
// rotation of logs takes, shorter than anybody would watch a run that does nothing. Every spoolRetry
// it tries again.
const (
	spoolPatience = 10 * time.Second
	spoolRetry    = 100 * time.Millisecond
)

// spool writes a batch to the outbox and returns its number. Nothing is dropped: while the disk takes no
// more, arrivals are held back and the same batch is tried again.
func (w *work) spool(ctx context.Context, engine *load.Engine, b metric.Batch) (uint64, error) {
	retry := time.NewTicker(spoolRetry)
	defer retry.Stop()
	for began := w.agent.opts.Clock(); ; {
		sealed, err := w.agent.outbox.Append(b.Run, b.Source.Incarnation, func(seq uint64) []byte {
			b.Seq = seq
			return metric.EncodeBatch(b)
		})
		if err == nil || errors.Is(err, ErrTooLarge) {
			return sealed.Seq, err
		}
		engine.Hold(metric.CauseOutboxFull)
		if w.agent.opts.Clock()-began > int64(spoolPatience) {
			w.agent.giveUp(fmt.Errorf("worker %s wrote no samples for %s, so it ends: make room in %s and start it again: %w",
				w.agent.opts.Name, spoolPatience, w.agent.opts.DataDir, err))
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return 0, err
		}
	}
}

// newest reports whether no second behind one is due to be sealed yet. A worker that slept, or waited for room on
// its disk, seals many in a burst: what the machine did in each of them nobody has measured.
func (w *work) newest(index int64) bool {
	return w.clock.Now() < time.Duration(index+2)*time.Second+sealLag
}

// machine adds the measurements of this machine to a second.
func (w *work) machine(s *metric.Second) {
	if w.agent.opts.Host == nil {
		return
	}
	for _, m := range w.agent.opts.Host.Measure() {
		key := metric.Key{Metric: m.Name, Labels: metric.NewLabels("worker", w.agent.opts.Name)}
		v, err := measured(m.Value)
		if err != nil {
			w.log.Warn("measurement of the machine not counted", "metric", m.Name, "error", err)
			continue
		}
		s.Add(key, v)
		s.Infos[m.Name] = metric.Info{Category: m.Category, Unit: m.Unit}
	}
}
