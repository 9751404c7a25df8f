package agent

import (
	"sync"
	"time"
)

// quiet notices that a coordinator has said nothing for too long. A process that was stopped, or whose machine
// slept, has only not looked: what was said meanwhile is still to be read, and the time begins anew.
type quiet struct {
	most, slack time.Duration
	clock       func() int64
	silent      func()

	mu    sync.Mutex
	since int64 // reading of the clock: the last word, or when it was begun to wait for one
	timer *time.Timer
}

// newQuiet calls silent, once, when nothing was heard for most. A delay of its own by more than slack is not held
// against the coordinator. clock is one that goes on while the machine sleeps.
func newQuiet(most, slack time.Duration, clock func() int64, silent func()) *quiet {
	q := &quiet{most: most, slack: slack, clock: clock, silent: silent}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.since, q.timer = clock(), time.AfterFunc(most, q.over)
	return q
}

// heard notes a word of the coordinator.
func (q *quiet) heard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again()
}

// stop ends the waiting.
func (q *quiet) stop() { q.timer.Stop() }

// again begins to wait; the lock is held.
func (q *quiet) again() {
	q.since = q.clock()
	q.timer.Reset(q.most)
}

// over is called when the time is over, as far as the timer knows.
func (q *quiet) over() {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch waited := time.Duration(q.clock() - q.since); {
	case waited < q.most-q.slack: // a word has come just now
	case waited > q.most+q.slack:
		q.again()
	default:
		q.silent()
	}
}
