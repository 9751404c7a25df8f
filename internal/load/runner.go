package load

import (
	"context"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
)

// noUser is the user of an arrival of an open phase.
const noUser = -1

// job is one iteration to execute.
type job struct {
	phase *phase
	flow  *flowRow
	draw  schedule.Draw
	user  int64 // noUser in an open phase
	n     int64 // ordinal of the user's iteration
	row   int64 // identity for data: the arrival's index, or the user's

	intended time.Duration // run time from which response time counts
	ready    time.Duration // run time from which the engine could have started it; lag counts from here

	collect bool // its connection may become the collector's

	started   time.Duration // set by the runner
	exhausted bool          // set by the runner: no data was left
}

// program executes iterations of flows.
type program interface {
	// admit reports whether there is data for the runner's job, and prepares it.
	admit(r *runner) bool
	// run executes the runner's job, reports every request to the runner, and reports whether all
	// of the flow went well. It returns soon after ctx has ended.
	run(ctx context.Context, r *runner) bool
	// trim gives back what an idle runner holds and may not need for long.
	trim(r *runner)

	// plain returns the step of a flow whose iterations can be executed by halves: send, receive, and finish if there is
	// more to come than receive has found. It is empty if they cannot.
	plain(flow string) (step string)
	// send begins the runner's job without waiting for anything, and reports whether it has.
	send(ctx context.Context, r *runner) bool
	// receive ends it, and reports whether that is done, whether all went well, and when.
	receive(r *runner) (done, ok bool, ended time.Duration)
	// finish is receive that waits.
	finish(r *runner) (ok bool, ended time.Duration)
}

// runner is a goroutine that executes one iteration after the other, and the place where they
// report what happened.
type runner struct {
	engine *Engine
	lane   *lane
	jobs   chan job // capacity 1, so that handing over never blocks

	job        job
	ended      time.Duration // run time at which the last job was over
	failure    failure       // of the present iteration
	step       string        // of the present operation; the lane's lock guards it, and since
	since      time.Duration // run time at which that was started
	prev, next *runner       // of the lane's list

	execution execution
}

// loop executes jobs until the channel is closed.
func (r *runner) loop(ctx context.Context) {
	for r.job = range r.jobs { // not in a variable: the frame of a user who thinks stays on its stack
		r.job.started = r.engine.clock.Now()
		for again := true; again; {
			r.execute(ctx)
			again = r.finish()
		}
		if !r.rest() {
			return
		}
	}
}

// rest offers the runner for another job; false ends it. The one that was to be the next until now may
// rest for long, and gives back its large buffers.
func (r *runner) rest() bool {
	r.lane.rec.Lock()
	defer r.lane.rec.Unlock()
	if r.lane.closed {
		return false
	}
	if n := len(r.lane.idle); n > 0 {
		r.engine.program.trim(r.lane.idle[n-1])
	}
	r.lane.idle = append(r.lane.idle, r)
	return true
}

// execute runs one iteration, which has started, and counts it.
func (r *runner) execute(ctx context.Context) {
	if cause := r.refusal(ctx); cause != "" {
		r.ended = r.job.started
		r.lane.giveUp(r.job.flow.row, cause, second(r.job.started))
		return
	}
	r.begin("")
	ok := r.engine.program.run(ctx, r)
	r.end(ok, r.engine.clock.Now())
}

// refusal says why the job cannot be started after all, if so.
func (r *runner) refusal(ctx context.Context) metric.Cause {
	j := &r.job
	if ctx.Err() != nil {
		return metric.CauseStopped
	}
	if j.user == noUser && j.started-j.ready > j.phase.late() {
		return metric.CauseLate
	}
	if !r.engine.program.admit(r) {
		j.exhausted = true
		if j.user == noUser {
			j.phase.stopped.Store(true)
			r.engine.waiter.Wake()
		}
		return metric.CauseData
	}
	return ""
}

// begin counts the iteration as sent, with the step that it begins with, if that is known.
func (r *runner) begin(step string) {
	r.failure = failure{}
	j, l, s := &r.job, r.lane, second(r.job.started)
	l.rec.Lock()
	defer l.rec.Unlock()
	row := l.rec.Arrivals(s, j.flow.row)
	row.Planned++
	row.Sent++
	l.rec.Observe(s, j.phase.lag, max(0, j.started-j.ready))
	r.step, r.since = step, j.started
	l.enlist(r)
}

// end counts the iteration's outcome, as of run time now.
func (r *runner) end(ok bool, now time.Duration) {
	j, l := &r.job, r.lane
	r.ended = now
	s := second(now)
	took := j.flow.ok
	if !ok {
		took = j.flow.failed
		if kind := r.failure.excuse(); kind != "" {
			took = r.engine.acc.Hist(j.flow.excused(kind))
		}
	}
	l.rec.Lock()
	defer l.rec.Unlock()
	l.delist(r)
	row := l.rec.Arrivals(s, j.flow.row)
	if ok {
		row.Succeeded++
	} else {
		row.Failed++
	}
	l.rec.Observe(s, took, now-j.started)
}

// failure collects why an iteration failed.
type failure struct {
	kind   string // of the first request whose failure is not the target's
	target bool   // one failed because of the target
}

func (f *failure) add(kind string) {
	switch {
	case kind == "":
	case metric.OriginOf(kind) == metric.OriginTarget:
		f.target = true
	case f.kind == "":
		f.kind = kind
	}
}

// excuse returns the kind of error of an iteration that did not fail because of the target; else it is
// empty.
func (f *failure) excuse() string {
	if f.target {
		return ""
	}
	return f.kind
}

// finish gives the job back, or takes up the one that follows it at once.
func (r *runner) finish() (again bool) {
	j := &r.job
	if j.user != noUser {
		if j.phase.users.again(j, r.ended) {
			return true
		}
		if !j.phase.users.returned(*j, r.ended) {
			r.engine.leave(j.phase, j.user)
		}
	}
	r.lane.rec.Lock()
	r.lane.finished[j.phase.index]++
	r.lane.rec.Unlock()
	if j.user != noUser || r.engine.draining.Load() {
		r.engine.waiter.Wake()
	}
	return false
}

// giveUp counts an arrival that is not sent.
func (l *lane) giveUp(row metric.ArrivalHandle, cause metric.Cause, second int64) {
	l.rec.Lock()
	defer l.rec.Unlock()
	l.rec.Arrivals(second, row).Planned++
	l.rec.NotSent(second, row, cause, 1)
}

// second returns the run-time second that contains t; what happens before T0 counts to the first.
func second(t time.Duration) int64 { return int64(max(0, t) / time.Second) }
