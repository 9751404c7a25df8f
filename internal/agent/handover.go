package agent

import (
	"time"

	"proofload/internal/wire"
)

const (
	// handOverWait is how long a worker that was told to end goes on for others to take its part of the load
	// over. When nobody does by then, it ends all the same, and its part is lost until it is missed.
	handOverWait = 5 * time.Second
	// leaderless bounds how much longer a worker that was told to end waits because nobody leads: for others to
	// take its part over, and for its last batches to be committed. An election has its place in it.
	leaderless = 10 * time.Second
	// handOverSettle is how long after the end of its part a worker may still be starting what was due before.
	handOverSettle = 100 * time.Millisecond
)

// handOver asks for others to take over what this worker executes, and goes on with it until they have it.
// It returns at once when there is no load to hand over.
func (w *work) handOver(p *patience) {
	if !w.loaded() {
		return
	}
	w.agent.link.Leave("worker was told to end")
	if !p.await(handOverWait, func() bool { return !w.loaded() || w.over() }) {
		w.log.Warn("nobody has taken the load over")
	}
}

// over reports whether the load has been executed to its end.
func (w *work) over() bool {
	select {
	case <-w.executed:
		return true
	default:
		return false
	}
}

// patience is that of a worker that was told to end.
type patience struct {
	led  func() bool   // whether a leader answers now
	left time.Duration // how much longer it waits while none does
}

// await waits until something is done. It gives up, and returns false, after a while in which a leader answered, or
// when there is no patience left with none.
func (p *patience) await(most time.Duration, done func() bool) bool {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for last := time.Now(); !done(); {
		<-poll.C
		passed := time.Since(last)
		last = last.Add(passed)
		if p.led() {
			most -= passed
		} else {
			p.left -= passed
		}
		if most <= 0 || p.left <= 0 {
			return done()
		}
	}
	return true
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
