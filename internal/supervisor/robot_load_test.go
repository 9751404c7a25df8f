package supervisor

import (
	"slices"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// executed is one run on a robot.
type executed struct {
	*robot
	id      string
	plan    *scenario.Plan
	streams map[string]*schedule.Stream
	tied    *int64 // T0 by its own clock, for as long as it executes the run
	applied order
	seq     uint64
	second  int64
	totals  wire.Totals

	handOverTo, heard, covered time.Duration
	passed                     wire.Assignment
	resumed                    time.Duration // when it could fire again after it could not
	idle                       bool          // its lease is over, or it was frozen
	ended                      bool          // it has closed its books
	open                       metric.Second
	tally                      tally // of the second that is open
}

// order identifies an assignment: each leader counts anew.
type order struct {
	epoch    int64
	revision uint64
}

func (x *executed) status(s wire.WorkerState, ended bool) {
	a := x.state()
	st := wire.Status{Run: x.id, Revision: a.Revision, State: s, Changes: len(a.History), HandOver: x.handOverTo, Heard: x.heard, Granted: a.Granted(), Stop: a.Stop, Permits: a.Permits}
	for _, p := range x.plan.Phases {
		st.Phases = append(st.Phases, wire.PhaseStatus{Phase: p.Name, Started: s >= wire.WorkerRunning, Ended: ended || x.phaseEnded(p)})
	}
	x.mu.Lock()
	if x.stopped != nil && x.tied != nil {
		st.Stop.At = max(0, time.Duration(*x.stopped-*x.tied))
	}
	x.robot.status = &st
	x.mu.Unlock()
	if x.fleet.broken.stopForgotten {
		st.Stop = wire.Stop{}
	}
	if x.fleet.broken.handOverAtStamp {
		st.Heard = 0
	}
	x.tell(st)
}

func (x *executed) now() time.Duration {
	x.mu.Lock()
	tied, told, epoch := x.tied, x.wanted.T0, x.wanted.Epoch
	x.mu.Unlock()
	switch {
	case tied != nil:
		return time.Duration(x.fleet.clock() - *tied)
	case told != nil && epoch == x.fleet.newest(): // else it is on the clock of another leader
		return time.Duration(x.fleet.clock() - x.fleet.own(*told))
	}
	return -time.Hour
}

// hear notes up to where a hand-over was heard of, and what had been executed by then.
func (x *executed) hear(a wire.Assignment) {
	if to := a.HandOver(); to > x.handOverTo {
		x.handOverTo = to
		if !a.Corrects(x.passed) {
			x.heard = x.covered
		}
	}
	x.passed = a
}

// begun reports whether the load has begun here.
func (x *executed) begun() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tied != nil
}

// begin ties run time for good.
func (x *executed) begin() {
	x.mu.Lock()
	told := x.wanted.T0
	x.mu.Unlock()
	if told == nil {
		return // it was dismissed just now
	}
	own := x.fleet.own(*told)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.tied == nil {
		x.t0, x.tied = &own, &own
		x.second = max(0, (x.fleet.clock()-own)/int64(time.Second))
		x.open = metric.NewSecond(x.second)
	}
}

func (x *executed) phaseEnded(p scenario.Phase) bool {
	a := x.state()
	timeline := run.NewTimeline(a.History)
	start, known := schedule.Starts(x.plan.Phases, timeline)[p.Name]
	return known && timeline.PlanTime(x.now()) >= start+timeline.PhaseLength(p.Name, start, p.Length)
}

// run reports whether the worker still lives at its end.
func (x *executed) run() bool {
	x.open = metric.NewSecond(0)
	defer x.leave()
	x.status(wire.WorkerReady, false)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if !x.pulse() {
			return false
		}
		select {
		case <-x.quit:
			return false
		case <-x.wake:
			if a := x.state(); a.Goal == wire.GoalPrepare {
				x.status(wire.WorkerReady, false)
			}
		case <-ticker.C:
		}
		a := x.state()
		if a.Run == "" && x.second > 0 {
			return true // what it does is cut, and nobody hears of it
		}
		if x.now() >= 0 && (x.begun() || a.Goal == wire.GoalRun) {
			x.begin()
			x.fire(a)
			ended := !x.idle && !slices.ContainsFunc(x.plan.Phases, func(p scenario.Phase) bool { return !x.phaseEnded(p) })
			if a.Goal == wire.GoalStop && !x.firesOn() || ended {
				if a.Goal == wire.GoalStop {
					x.status(wire.WorkerStopping, false)
				}
				time.Sleep(x.drain())
				x.seal()
				x.finish(ended)
				return true
			}
			x.status(wire.WorkerRunning, false)
		} else if a.Goal == wire.GoalStop || a.Run == "" {
			x.finish(false)
			return true
		}
	}
}

// firesOn is a rule to break: it does as if it had not been told to stop, until its lease is over.
func (x *executed) firesOn() bool { return x.fleet.broken.stopIgnored && x.mayFire(0) }

func (x *executed) drain() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.slow
}

// until is how far it may go: when it was told to stop, no further than it had come by then.
func (x *executed) until(now time.Duration) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stopped != nil && x.tied != nil && !x.fleet.broken.stopIgnored {
		return min(now, time.Duration(*x.stopped-*x.tied))
	}
	return now
}

// fire counts every arrival that is due by now, in the second in which it is.
func (x *executed) fire(a wire.Assignment) {
	timeline := run.NewTimeline(a.History)
	starts := schedule.Starts(x.plan.Phases, timeline)
	now := x.until(x.now())
	x.hear(a)
	if !x.mayFire(now) || x.idle && a.Goal == wire.GoalStop { // what it was told while it could not fire comes first
		x.idle = true
		x.advance(now)
		return
	}
	if x.idle {
		x.advance(now)
		x.idle, x.resumed = false, now
	}
	for i := range x.plan.Phases {
		p := &x.plan.Phases[i]
		start, known := starts[p.Name]
		if !known {
			continue
		}
		stream := x.streams[p.Name]
		fresh := stream == nil
		if fresh {
			stream = schedule.NewStream(x.plan.Seed, p)
			x.streams[p.Name] = stream
		}
		if x.applied != (order{a.Epoch, a.Revision}) || fresh {
			var ranges []schedule.Range
			for _, r := range a.Ranges {
				ranges = append(ranges, schedule.Range{From: r.From, To: r.To, Since: r.Since, Until: r.Until})
			}
			stream.Set(schedule.Executed(p, timeline, start), schedule.InPhase(ranges, timeline, start))
		}
		for {
			arrival, ok := stream.Peek()
			if !ok {
				break
			}
			due, ok := timeline.RunTime(start + arrival.At)
			if !ok || due > now {
				break
			}
			stream.Next()
			if due < x.resumed-lateBound || x.fleet.strict && due < now-lateBound {
				x.giveUp(p)
				continue
			}
			x.advance(due)
			x.arrival(p, x.knee.answers(timeline, p, due))
			x.tally.sends(due)
			x.fleet.fired(x, p.Name, arrival.Index())
		}
	}
	x.applied = order{a.Epoch, a.Revision}
	x.covered = now
	x.advance(now)
}

// advance seals the seconds before the one that at lies in.
func (x *executed) advance(at time.Duration) {
	for x.second < int64(at/time.Second) {
		x.seal()
	}
}

func (x *executed) arrival(p *scenario.Phase, took time.Duration) {
	key := metric.ArrivalKey{Phase: p.Name, Flow: p.Mix[0].Flow}
	row := x.open.Arrivals[key]
	if row == nil {
		row = &metric.Arrivals{}
		x.open.Arrivals[key] = row
	}
	row.Merge(metric.Arrivals{Planned: 1, Sent: 1, Succeeded: 1})
	h := hist.New()
	h.Record(took)
	labels := metric.NewLabels("phase", p.Name, "flow", key.Flow, "step", "get", "outcome", "ok", "status", "200")
	x.open.Add(metric.Key{Metric: metric.ResponseTime, Labels: labels}, metric.Value{Hist: h})
	x.open.Add(metric.Key{Metric: metric.ServiceTime, Labels: labels}, metric.Value{Hist: h})
	if x.unsent {
		labels := metric.NewLabels("phase", p.Name, "flow", key.Flow, "step", "get", "outcome", "failed", "error", "template")
		x.open.Add(metric.Key{Metric: metric.Unsent, Labels: labels}, metric.Value{Hist: h})
	}
	x.totals.Planned++
	x.totals.Sent++
	x.totals.Succeeded++
	x.totals.Requests++
}

// seal closes a second and delivers it.
func (x *executed) seal() {
	a := x.state()
	from := time.Duration(x.second) * time.Second
	x.open.Index = x.second
	if x.knee.limits(run.NewTimeline(a.History), x.plan, from) {
		x.open.Health, x.open.Causes = metric.HealthInvalid, []string{"schedule_lag"}
	}
	x.open.Paused = run.NewTimeline(a.History).PausedWithin(from, from+time.Second)
	x.mu.Lock()
	mute, late := x.mute, x.late
	busy := x.busy
	if n := x.knee.leftovers(run.NewTimeline(a.History), x.plan, from+time.Second); n > 0 {
		busy = n
		key := metric.ArrivalKey{Phase: x.plan.Search.Phase, Flow: x.plan.Phases[0].Mix[0].Flow}
		if x.open.Arrivals[key] == nil {
			x.open.Arrivals[key] = &metric.Arrivals{}
		}
	}
	for key, row := range x.open.Arrivals {
		row.InFlight = busy
		if n := min(x.refuses, row.Sent); n > 0 {
			row.Merge(metric.Arrivals{Sent: -n, Succeeded: -n, NotSent: map[metric.Cause]int64{metric.CauseNoPermit: n}})
			x.totals.Sent -= n
			x.totals.Succeeded -= n
		}
		x.open.Peaks = map[string]int64{key.Phase: x.peak}
	}
	x.mu.Unlock()
	time.Sleep(late)
	if mute {
		x.withheld += planned1(x.open)
	} else {
		x.seq++
		b := x.batch(x.seq, x.open)
		x.mu.Lock()
		x.unacked = append(x.unacked, b)
		x.tally.seq = b.Seq
		x.sealed = append(x.sealed, x.tally)
		if x.fleet.broken.ackEarly && !x.cut {
			x.unacked = nil
		}
		x.mu.Unlock()
		x.tell(b)
	}
	x.second++
	x.open, x.tally = metric.NewSecond(x.second), tally{}
}

func planned1(s metric.Second) int64 {
	var n int64
	for _, a := range s.Arrivals {
		n += a.Planned
	}
	return n
}

func (x *executed) batch(seq uint64, s metric.Second) wire.Sealed {
	return sealedUntil(x.covered+1, x.id, metric.Source{Worker: x.name, Incarnation: x.incarnation}, seq, s)
}

func sealed(runID string, source metric.Source, seq uint64, s metric.Second) wire.Sealed {
	return sealedUntil(1<<62, runID, source, seq, s)
}

// sealedUntil makes the batch of a second that was cut short at now.
func sealedUntil(now time.Duration, runID string, source metric.Source, seq uint64, s metric.Second) wire.Sealed {
	from := time.Duration(s.Index) * time.Second
	data := metric.EncodeBatch(metric.Batch{
		Run: runID, Source: source, Seq: seq, ShardRevision: 1, From: max(from, 0), To: max(from, 0, min(now, from+time.Second)), Second: s,
	})
	return wire.Sealed{Run: runID, Incarnation: source.Incarnation, Seq: seq, Data: data}
}

func (x *executed) finish(ended bool) {
	x.status(wire.WorkerStopping, ended)
	x.mu.Lock()
	if x.lies {
		x.totals.Sent++
	}
	x.mu.Unlock()
	final := wire.Final{Run: x.id, Incarnation: x.incarnation, LastSeq: x.seq, Totals: x.totals}
	x.mu.Lock()
	x.final = &final
	x.mu.Unlock()
	x.tell(final)
	x.ended = true
	x.status(wire.WorkerDone, true)
}
