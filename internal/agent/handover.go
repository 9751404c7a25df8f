package agent

import (
	"time"

	"proofload/internal/wire"
)

const (
	// handOverWait is how long a worker that was told to end goes on for others to take its part of the load
	// over. When nobody does by then, it ends all the same, and its part is lost until it is missed.
	handOverWait = 5 * time.Second
	// handOverMost bounds that in all. While nobody leads nobody can take anything over, so that time does not
	// count as waiting; an election and a take-over have their place in it.
	handOverMost = 15 * time.Second
	// handOverSettle is how long after the end of its part a worker may still be starting what was due before.
	handOverSettle = 100 * time.Millisecond
)

// handOver asks for others to take over what this worker executes, and goes on with it until they have it.
// It returns at once when there is no load to hand over.
func (w *work) handOver() {
	if !w.loaded() {
		return
	}
	w.agent.link.Leave("worker was told to end")
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	began, waited := time.Now(), time.Duration(0)
	for last := began; w.loaded(); {
		select {
		case <-poll.C:
		case <-w.executed:
			return
		}
		now := time.Now()
		if w.agent.link.led() {
			waited += now.Sub(last)
		}
		last = now
		if all := now.Sub(began); waited >= handOverWait || all >= handOverMost {
			w.log.Warn("nobody has taken the load over", "waited", all.Round(time.Millisecond))
			return
		}
	}
}

// loaded reports whether this worker has a part of the load, or had one until just now.
func (w *work) loaded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != wire.WorkerRunning || w.wanted.Goal != wire.GoalRun {
		return false
	}
	now := w.clock.Now()
	for _, r := range w.wanted.Ranges {
		if r.Until == 0 || now < r.Until+handOverSettle {
			return true
		}
	}
	return false
}
