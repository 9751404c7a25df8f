package agent

import (
	"time"

	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// alone is what a worker does without a leader about criteria that abort: it applies them to its own samples,
// so that a target that breaks is not loaded on for as long as leases last. Only criteria are applied that a part
// of the load can breach for the whole; see judge.Partial.
type alone struct {
	judge  *judge.Judge
	breach *judge.Breach // the newest
}

const (
	// aloneAfter is how long nobody must have granted a lease before a worker judges by itself.
	aloneAfter = 5 * time.Second
	// aloneRecent is how old a breach may be that was seen while there still was a leader, who may not have
	// lived to act on it.
	aloneRecent = 2 * aloneAfter
)

// newAlone returns nil for a plan in which nothing aborts that a worker could judge.
func newAlone(plan *scenario.Plan) *alone {
	own := judge.Partial(plan)
	if own == nil {
		return nil
	}
	a := &alone{judge: judge.New(own)}
	if plan.Search != nil { // the load of a probe ends by itself, and that it breaks something is an answer
		a.judge.SetSearch(&judge.Searched{Phase: plan.Search.Phase})
	}
	return a
}

// observe takes a second that was sealed. Whose the arrivals are for which there was no permit only the whole
// fleet can tell, so that they count for nobody here.
func (a *alone) observe(s metric.Second, history run.History) {
	mine := s.Clone()
	for _, row := range mine.Arrivals {
		delete(row.NotSent, metric.CauseNoPermit)
	}
	a.judge.SetSchedule(history, 0)
	a.judge.Observe(mine)
	for _, b := range a.judge.Breaches() {
		a.breach = &b
	}
}

// judgeAlone looks at a second, and ends the load when a criterion that aborts is breached and there is nobody
// else to do so. The next leader hears of it from the status, and records it.
func (w *work) judgeAlone(s metric.Second) {
	if w.alone == nil {
		return
	}
	w.mu.Lock()
	history, stopped := w.wanted.History, w.wanted.Goal == wire.GoalStop
	w.mu.Unlock()
	w.alone.observe(s, history)
	b := w.alone.breach
	if b == nil || stopped || w.clock.Now() > b.To+aloneRecent || w.agent.led() {
		return
	}
	w.log.Warn("load ended without a leader, a criterion is breached", "criterion", b.Message)
	w.mu.Lock()
	w.wanted.Goal, w.wanted.Stop = wire.GoalStop, wire.Stop{Kind: run.StopCriterion, Reason: b.Message, Alone: true}
	w.applyLocked()
	w.reportLocked()
	w.mu.Unlock()
	w.finish()
}

// led reports whether a leader has granted a lease lately.
func (a *Agent) led() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(a.opts.Clock()-a.granted) < aloneAfter
}
