package supervisor

import (
	"fmt"
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
	mu     sync.Mutex
	places []place
}

// place is one in the queue. That of a run of an earlier term has no runner until the store has told of it.
type place struct {
	id     string
	runner *runner
}

// expect keeps places for runs of earlier terms, before those that this term accepts.
func (q *queue) expect(ids []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		q.places = append(q.places, place{id: id})
	}
}

// join gives a run the place that is kept for it, or the last one.
func (q *queue) join(r *runner) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.IndexFunc(q.places, func(p place) bool { return p.id == r.id }); i >= 0 {
		q.places[i].runner = r
		return
	}
	q.places = append(q.places, place{r.id, r})
}

// leave takes a run out of the queue, if it is in it, and makes the others look for workers again.
func (q *queue) leave(r *runner) { q.remove(func(p place) bool { return p.runner == r }) }

// giveUp takes away the place that is kept for a run which has not joined.
func (q *queue) giveUp(id string) {
	q.remove(func(p place) bool { return p.id == id && p.runner == nil })
}

// giveUpAll takes away all such places.
func (q *queue) giveUpAll() { q.remove(func(p place) bool { return p.runner == nil }) }

func (q *queue) remove(which func(place) bool) {
	q.mu.Lock()
	before := len(q.places)
	q.places = slices.DeleteFunc(q.places, which)
	left := len(q.places) < before
	q.mu.Unlock()
	if left {
		q.nudge()
	}
}

// nudge makes the runs look for workers, the oldest first.
func (q *queue) nudge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.places {
		if p.runner != nil {
			p.runner.mail.post(p.runner.seekWorkers)
		}
	}
}

// wants reports whether a run waits for workers that may carry the labels.
func (q *queue) wants(match map[string]string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.places, func(p place) bool { return p.runner != nil && overlap(match, p.runner.plan.Workers.Match) })
}

// ahead returns the run that waits longer for the same workers, or of which it is not known for which; empty: none does.
func (q *queue) ahead(r *runner) (id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, before := range q.places {
		if before.id == r.id {
			break
		}
		if before.runner == nil || overlap(r.plan.Workers.Match, before.runner.plan.Workers.Match) {
			return before.id
		}
	}
	return ""
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
