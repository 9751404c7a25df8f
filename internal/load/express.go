package load

import (
	"time"

	"proofload/internal/load/transport"
)

// express sends the requests of plain flows from the pacer's own goroutine, and takes in their answers at the instants
// at which the pacer is awake anyway. At a rate of many thousands a second that saves most of what an arrival costs
// besides its system calls: two goroutines that are woken, and a wake-up of the process for each answer. What is
// measured is the same, for the kernel notes when an answer came; nothing follows an answer that could be late for it.
//
// The pacer's goroutine owns it.
type express struct {
	collector *transport.Collector // nil: this system has none, and nothing goes this way
	on        bool                 // arrivals are dense enough
	spare     []*runner
	sent      int64 // iterations that went this way
	looked    bool  // in the present pass
	lookedAt  time.Duration
}

// lookEvery is how long what has come is known: which of its connections the server has ended must be known before they
// are used.
const lookEvery = 50 * time.Microsecond

// look finds out what has come, unless it has only just done so.
func (x *express) look(now time.Duration) {
	if !x.looked || now-x.lookedAt >= lookEvery {
		x.looked, x.lookedAt = true, now
		x.collector.Look()
	}
}

// collect takes in the answers that have come, at the end of a pass.
func (x *express) collect() {
	if !x.looked {
		x.collector.Look()
	}
	x.looked = false
	x.collector.Tell()
}

// wait returns how long the pacer may wait, who would wait for so long; on says whether arrivals go this way from here on.
func (x *express) wait(d time.Duration, on bool) time.Duration {
	was := x.on
	x.on = on && x.collector != nil
	if was || x.collector.Waiting() > 0 { // what was started last may not wait yet
		return min(d, longestExpress)
	}
	return d
}

// send executes a job's first half, if that can be done here and now, and reports whether it has. The engine's lock must be held.
func (e *Engine) send(j *job, now time.Duration) bool {
	x, p := &e.express, j.phase
	// A permit is given back when its answer is collected. So that they do not run out for that, half of them
	// stay for others.
	if !x.on || j.flow.plain == "" || p.express >= p.permits/2 {
		return false
	}
	x.look(now)
	r := x.take(e)
	r.job = *j
	r.job.started = now
	if !e.program.admit(r) || !e.program.send(e.work, r) {
		j.collect = true
		x.spare = append(x.spare, r)
		return false
	}
	p.dispatched++
	e.dispatched++
	p.express++
	x.sent++
	r.begin(j.flow.plain)
	return true
}

// take returns a runner without a goroutine.
func (x *express) take(e *Engine) *runner {
	if n := len(x.spare); n > 0 {
		r := x.spare[n-1]
		x.spare = x.spare[:n-1]
		return r
	}
	return &runner{engine: e, lane: e.lanes[0]}
}

// Ready implements transport.Receiver: the answer to what the runner has sent is there, or its time is over.
func (r *runner) Ready() {
	e := r.engine
	r.job.phase.express--
	done, ok, ended := e.program.receive(r)
	if !done {
		e.runners.Go(func() {
			r.end(e.program.finish(r))
			r.finish()
		})
		return
	}
	r.end(ok, ended)
	r.finish()
	e.express.spare = append(e.express.spare, r)
}
