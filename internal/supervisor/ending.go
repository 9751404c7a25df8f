package supervisor

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// STOPPING ends whatever becomes of the workers. It waits for the final of each and for every batch
// that the final names, but no longer than patience: from the time at which work in flight must be
// over, or from the last batch that a worker delivered of what it owes. What is not here by then is
// a named gap.

// patience is how long a worker that owes something may say nothing: its lease, and a second.
func (r *runner) patience() time.Duration { return r.plan.Grace + time.Second }

// delivered notes that a source has given something of what it owes, so that it is worth waiting for
// more. Seconds in which nothing can have been in flight any more are not owed: an engine that does
// not end would have the run wait for ever.
func (r *runner) delivered(s metric.Source, second time.Duration) {
	if r.run.Stop == nil || second <= r.run.Stop.At+r.stopTime() {
		r.heard[s] = r.m.opts.Clock()
	}
}

// overdue reports whether a run that is stopping has waited for a worker for long enough.
func (r *runner) overdue(h *hand) bool {
	return r.waited(sourceOf(h.member), r.stopping+int64(r.stopTime()))
}

// through reports whether a worker has told all that it did.
func (r *runner) through(h *hand) bool { return h.final != nil && r.complete(h) }

// complete reports whether every batch that a worker's final names is here.
func (r *runner) complete(h *hand) bool {
	return r.ledger.Want(sourceOf(h.member)) > h.final.LastSeq
}

// checkDrained goes on once no worker has work in flight any more, or is waited for.
func (r *runner) checkDrained() {
	if r.run.State != run.Stopping || r.run.Drained != nil {
		return
	}
	for _, h := range r.active() {
		if !r.through(h) {
			return
		}
	}
	if r.indebted() {
		return
	}
	r.expect(run.Event{Kind: run.Drained, At: r.loadThrough(), Reason: "nothing is in flight any more"})
}

// loadThrough is the run time up to which there was load, as the samples tell. A worker that was lost may have fired
// until the stop was recorded, although others were told of it before, or until it was given up.
func (r *runner) loadThrough() time.Duration {
	at := r.covered
	for _, l := range r.losses {
		if h := r.life(l.member); h != nil && h.final != nil && r.complete(h) {
			continue // it has told all
		}
		for _, t := range r.run.Transitions {
			if t.To == run.Stopping {
				at = max(at, min(l.at, t.RunTime))
			}
		}
	}
	return at
}

// errand is setup or teardown at the worker that was told to run it.
type errand struct {
	kind, id string
	hand     *hand // nil: an earlier term gave it to somebody, or nobody is there to have it yet
	began    int64
	tried    []*hand // earlier ones, which went away with it
}

// errandLimit is beyond the ten minutes after which a worker cuts setup and teardown itself.
const errandLimit = 11 * time.Minute

// runTask has the first worker that is there run setup or teardown.
func (r *runner) runTask(kind, id string, tried ...*hand) {
	for _, h := range r.active() {
		if !h.here || h.status.State == wire.WorkerFailed || slices.Contains(tried, h) || !r.order(h, kind, id) {
			continue
		}
		r.errand = &errand{kind: kind, id: id, hand: h, began: r.m.opts.Clock(), tried: tried}
		return
	}
	if r.expected() {
		r.errand = &errand{kind: kind, id: id, began: r.m.opts.Clock(), tried: tried}
		return
	}
	r.taskEnded(kind, wire.TaskResult{ID: id, Run: r.id, Error: "no worker is there to run it"})
}

// expected reports whether a worker that an earlier term had may still find this one.
func (r *runner) expected() bool {
	return r.m.opts.Clock()-r.launched < int64(reconnects) && slices.ContainsFunc(r.active(), func(h *hand) bool { return !h.here && !h.gone })
}

// checkSetup ends a run of whose setup nobody says what became of it.
func (r *runner) checkSetup() {
	if e := r.errand; e != nil && e.kind == "setup" && e.hand == nil && time.Duration(r.m.opts.Clock()-e.began) > r.patience() {
		r.taskEnded(e.kind, wire.TaskResult{ID: e.id, Run: r.id, Error: "what became of it is not known, for its coordinator ended, and it is never repeated"})
	}
}

// order sends a task to a worker, if that life of it is there.
func (r *runner) order(h *hand, kind, id string) bool {
	return !h.gone && r.m.fleet.Task(h.member, wire.Task{ID: id, Run: r.id, Kind: kind}) == nil
}

// checkTeardown gives teardown to another worker when the one that had it is gone: it is done at
// least once. Setup is not: it is never repeated, and a run that loses a worker then has failed.
func (r *runner) checkTeardown() {
	e := r.errand
	if e == nil || e.kind != "teardown" {
		return
	}
	if e.hand == nil {
		r.runTask(e.kind, e.id, e.tried...) // nobody was there yet
		return
	}
	w, known := r.m.fleet.Worker(e.hand.worker.Name)
	switch {
	case e.hand.gone || !known || w.Silent > r.patience():
		r.log.Warn("worker lost while it ran teardown", "worker_id", e.hand.worker.Name)
		r.runTask(e.kind, e.id, append(e.tried, e.hand)...)
	case time.Duration(r.m.opts.Clock()-e.began) > errandLimit:
		r.taskEnded(e.kind, wire.TaskResult{ID: e.id, Run: r.id, Error: fmt.Sprintf("worker %s did not say what became of it within %s", e.hand.worker.Name, errandLimit)})
	}
}
