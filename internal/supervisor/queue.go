package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"proofload/internal/run"
)

// noteWaiting is how often it is recorded how long a run has waited, within the time for which it may.
const noteWaiting = 30

// queue is the runs in IDLE, oldest first. They get workers in the order in which they were accepted,
// but one that cannot start holds up only those that compete with it.
type queue struct {
	mu      sync.Mutex
	waiting []*runner
	old     map[string]bool // of earlier terms
	unread  map[string]bool // those of them whose labels the store has not told yet
}

// expect says which runs of earlier terms will join, before those that this term accepts.
func (q *queue) expect(ids []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unread = map[string]bool{}
	for _, id := range ids {
		q.unread[id] = true
	}
	if ids != nil {
		q.old = maps.Clone(q.unread)
	}
}

// read says that such a run has joined, or will not.
func (q *queue) read(id string) {
	q.mu.Lock()
	was := q.unread[id]
	delete(q.unread, id)
	last := was && len(q.unread) == 0
	q.mu.Unlock()
	if last {
		q.nudge()
	}
}

// behindUnread returns a run that waits longer than r, and of which it is not known for which workers; empty: there is
// none.
func (q *queue) behindUnread(r *runner) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.unread) == 0 || q.old[r.id] {
		return ""
	}
	return slices.Min(slices.Collect(maps.Keys(q.unread)))
}

func (q *queue) join(r *runner) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := len(q.waiting)
	if q.old[r.id] {
		if first := slices.IndexFunc(q.waiting, func(w *runner) bool { return !q.old[w.id] }); first >= 0 {
			at = first
		}
	}
	q.waiting = slices.Insert(q.waiting, at, r)
}

// leave takes a run out of the queue, if it is in it, and makes the others look for workers again.
func (q *queue) leave(r *runner) {
	q.mu.Lock()
	before := len(q.waiting)
	q.waiting = slices.DeleteFunc(q.waiting, func(w *runner) bool { return w == r })
	left := len(q.waiting) < before
	q.mu.Unlock()
	if left {
		q.nudge()
	}
}

// nudge makes the runs look for workers, the oldest first.
func (q *queue) nudge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.waiting {
		r.mail.post(r.seekWorkers)
	}
}

// wants reports whether a run waits for workers that may carry the labels.
func (q *queue) wants(match map[string]string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.waiting, func(w *runner) bool { return overlap(match, w.plan.Workers.Match) })
}

// ahead returns the run that waits longer for the same workers; nil: none does.
func (q *queue) ahead(r *runner) *runner {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, before := range q.waiting {
		if before == r {
			break
		}
		if overlap(r.plan.Workers.Match, before.plan.Workers.Match) {
			return before
		}
	}
	return nil
}

// overlap reports whether a worker could carry the labels of both.
func overlap(a, b map[string]string) bool {
	for name, value := range a {
		if other, ok := b[name]; ok && other != value {
			return false
		}
	}
	return true
}

// checkQueueTimeout ends a run that has waited for workers for too long.
func (r *runner) checkQueueTimeout() {
	timeout, now := r.run.QueueTimeout, r.m.opts.Clock()
	if timeout <= 0 {
		return
	}
	if time.Duration(now-r.accepted) < timeout {
		// The next leader goes on from what is recorded.
		every := min(max(timeout/noteWaiting, r.m.opts.CommitEvery), time.Minute)
		r.dirty = r.dirty || time.Duration(now-r.lastCommit) >= every
		return
	}
	reason := fmt.Sprintf("no workers after %s (%s): start one with `worker --join ADDR`, or allow more time", timeout, r.run.Reason)
	r.expect(run.Event{Kind: run.ErrorOccurred, Reason: reason, ExitCode: run.ExitNotStarted})
}
