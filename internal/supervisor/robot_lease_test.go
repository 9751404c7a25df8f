package supervisor

import (
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// leased is what a robot has of leases and links: it fires only while one that was granted lives. Guarded by
// the robot's lock.
type leased struct {
	lease     int64            // end of what was granted, by the robots' clock
	grant     time.Duration    // what the leader grants with each heartbeat
	assigned  *wire.Assignment // what the leader wants; told again when it attaches
	session   bool             // it has attached in this term
	epoch     int64            // of the leader that it has attached to last
	lastHeard int64            // when the leader has heard of it last
	cut       bool             // nothing passes between it and its leader
	frozen    bool             // its process stands still; what it is told waits
	delay     time.Duration    // of what it is told
	inbox     []letter         // what it was told and has not read
	reading   bool
	beaten    int64 // when it sent a heartbeat last
	past      []*robot
	sealed    []tally // every batch
	crashed   bool
	absent    bool           // it stood still or was cut off for long
	opened    tally          // what it had sent in the second that was open when it ended
	stopped   *int64         // when it was told to start nothing more, by the robots' clock
	heeded    *time.Duration // run time at which it took in a stop that nobody had recorded, in mid-load
	shaken    bool           // something has happened to it since
}

// letter is a message on its way to a robot.
type letter struct {
	due int64
	fn  func()
}

// tally is a batch, and how many arrivals that were sent it tells of.
type tally struct {
	seq         uint64
	sent        int64
	first, last time.Duration // run times at which they were due
}

// sends notes an arrival of the second that is open.
func (t *tally) sends(due time.Duration) {
	if t.sent == 0 {
		t.first = due
	}
	t.sent++
	t.last = due
}

const (
	beatEvery = 500 * time.Millisecond
	// lateBound is how far behind an arrival may be that was due while its robot could not fire.
	lateBound = 100 * time.Millisecond
)

// mayFire reports whether work may start now.
func (x *executed) mayFire(time.Duration) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.fleet.clock() < x.lease
}

// giveUp counts an arrival that is too late to be sent.
func (x *executed) giveUp(p *scenario.Phase) {
	key := metric.ArrivalKey{Phase: p.Name, Flow: p.Mix[0].Flow}
	row := x.open.Arrivals[key]
	if row == nil {
		row = &metric.Arrivals{}
		x.open.Arrivals[key] = row
	}
	row.Merge(metric.Arrivals{Planned: 1, NotSent: map[metric.Cause]int64{metric.CauseLate: 1}})
	x.totals.Planned++
}

// pulse waits while the robot is frozen, and sends a heartbeat when one is due. It is false when the robot
// has ended.
func (x *executed) pulse() bool {
	for {
		x.mu.Lock()
		frozen := x.frozen
		x.mu.Unlock()
		if !frozen {
			break
		}
		x.idle = true
		select {
		case <-x.quit:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	x.mu.Lock()
	due := x.fleet.clock()-x.beaten >= int64(beatEvery) || x.lease <= x.fleet.clock()
	x.mu.Unlock()
	if due {
		x.beat()
	}
	return true
}

// leave notes what was sent in the second that is open when the robot ends: no batch tells of it.
func (x *executed) leave() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.opened = x.tally
}

// beat sends a heartbeat, whose answer brings a lease that counts from now.
func (w *robot) beat() {
	w.mu.Lock()
	now := w.fleet.clock()
	w.beaten = now
	granted := w.grant
	switch {
	case w.away || (w.cut || !w.session) && !w.fleet.broken.followersGrant:
		granted = 0
	case w.cut || !w.session:
		w.lease = max(w.lease, now+int64(2*time.Second)) // whoever answers
		granted = 0
	default:
		w.lastHeard = now
		if !w.fleet.leading() {
			granted = 0
		}
	}
	w.mu.Unlock()
	if granted == 0 {
		return
	}
	w.deliver(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fleet.broken.fromReceipt {
			now = w.fleet.clock()
		}
		w.lease = max(w.lease, now+int64(granted))
	})
}

// tell sends something to the leader; what does not pass is told again by attach.
func (w *robot) tell(m wire.Upward) {
	w.mu.Lock()
	cut := w.cut
	if !cut {
		w.lastHeard = w.fleet.clock()
	}
	w.mu.Unlock()
	if !cut {
		w.fleet.boss().Received(w.info(), m)
	}
}

// deliver has the robot take something in, after all that is on its way already.
func (w *robot) deliver(fn func()) {
	w.mu.Lock()
	if w.cut {
		w.mu.Unlock()
		return
	}
	if w.delay == 0 && !w.frozen && len(w.inbox) == 0 && !w.reading {
		w.mu.Unlock()
		fn()
		return
	}
	w.inbox = append(w.inbox, letter{w.fleet.clock() + int64(w.delay), fn})
	start := !w.reading
	w.reading = true
	w.mu.Unlock()
	if start {
		w.fleet.wg.Go(w.read)
	}
}

// read takes in what has arrived, one after the other. One that was frozen goes on with its load meanwhile.
func (w *robot) read() {
	thawed := false
	for {
		w.mu.Lock()
		if len(w.inbox) == 0 {
			w.reading = false
			w.mu.Unlock()
			return
		}
		next, frozen := w.inbox[0], w.frozen
		wait := time.Duration(next.due - w.fleet.clock())
		thawed = thawed || frozen
		if frozen {
			wait = 10 * time.Millisecond
		}
		if wait <= 0 {
			w.inbox = w.inbox[1:]
		}
		w.mu.Unlock()
		if wait <= 0 {
			next.fn()
			if wait = time.Nanosecond; thawed {
				wait = 60 * time.Millisecond
			}
		}
		select {
		case <-time.After(wait):
		case <-w.quit:
			return
		}
	}
}

// obey takes an assignment.
func (w *robot) obey(a wire.Assignment) {
	w.mu.Lock()
	if now := w.wanted; w.deafened || now.Run == a.Run && now.Epoch == a.Epoch && a.Revision < now.Revision {
		w.mu.Unlock()
		return // as the agent does with what a later assignment has overtaken
	}
	if halted := w.wanted; halted.Stop.Order != (wire.Order{}) && halted.Run == a.Run {
		a.Goal, a.Stop = wire.GoalStop, halted.Stop // nothing takes it back
	}
	if w.wanted.Run != a.Run {
		w.stopped = nil
	}
	w.wanted = a
	w.haltLocked()
	if a.T0 != nil && w.lead == nil {
		lead := time.Duration(w.fleet.own(*a.T0) - w.fleet.clock())
		w.lead = &lead
	}
	w.mu.Unlock()
	w.poke()
}

// haltLocked notes when it was told to stop first. The lock is held.
func (w *robot) haltLocked() {
	if w.wanted.Goal == wire.GoalStop && w.stopped == nil {
		now := w.fleet.clock()
		w.stopped = &now
	}
}

// halt tells a robot to stop, although nobody has recorded that.
func (w *robot) halt(h wire.Halt) {
	w.mu.Lock()
	if w.wanted.Run != h.Run || w.wanted.Goal == wire.GoalStop {
		w.mu.Unlock()
		return
	}
	w.wanted.Goal, w.wanted.Stop = wire.GoalStop, h.Stop()
	w.haltLocked()
	if w.t0 != nil && w.final == nil {
		at := time.Duration(*w.stopped - *w.t0)
		w.heeded = &at
	}
	w.mu.Unlock()
	w.poke()
}

// resume tells a robot that attaches what it is to do, before anything else.
func (w *robot) resume(wanted *wire.Assignment) {
	if wanted == nil {
		return
	}
	if w.fleet.broken.leaseFirst {
		w.mu.Lock()
		w.lease = max(w.lease, w.fleet.clock()+int64(2*time.Second))
		w.mu.Unlock()
		time.Sleep(300 * time.Millisecond)
	}
	w.deliver(func() { w.obey(*wanted) })
}

// adopted grants a lease to a robot that an earlier leader had. The lock is held.
func (w *robot) adopted(lease time.Duration) {
	if w.fleet.broken.adoptLost {
		lease = 2 * time.Second
	}
	w.grant, w.lastHeard = lease, w.fleet.clock()
	if w.fleet.broken.silentBefore {
		w.lastHeard -= int64(time.Hour)
	}
}

// silence is how long the leader has not heard of it. The lock is held.
func (w *robot) silence() time.Duration {
	silent := time.Duration(w.fleet.clock() - w.lastHeard)
	if w.fleet.broken.impatient {
		silent *= 3
	}
	return silent
}

// held returns what is not acknowledged.
func (w *robot) held() []wire.Sealed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.unacked)
}

// member names the life of a robot.
func (w *robot) member() run.Member { return run.Member{Worker: w.name, Incarnation: w.incarnation} }

// lost returns what it has sent of which nothing is committed: how much, and when that was due.
func (w *robot) lost(mark uint64) tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all tally
	for _, b := range append(slices.Clone(w.sealed), w.opened) {
		if b.sent == 0 || b.seq > 0 && b.seq <= mark {
			continue
		}
		if all.sent == 0 {
			all.first = b.first
		}
		all.sent, all.last = all.sent+b.sent, b.last
	}
	return all
}

// thaw has a robot go on that stood still. It reads what it was told meanwhile, and then finds that its session is
// over if it is.
func (w *robot) thaw() {
	w.mu.Lock()
	w.frozen = false
	away := !w.session
	w.mu.Unlock()
	if away {
		w.deliver(w.attach)
	}
}

// heal has a robot reach its leader again.
func (w *robot) heal() {
	w.mu.Lock()
	w.cut = false
	w.mu.Unlock()
	w.attach()
}

// revive begins the next life of a robot with what the last one had on disk.
func (f *robots) revive(w *robot, incarnation int64) *robot {
	next := &robot{fleet: f, name: w.name, incarnation: incarnation, capacity: 1, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	next.past = append(slices.Clone(w.past), w)
	f.mu.Lock()
	f.all[w.name] = next
	f.mu.Unlock()
	f.wg.Go(next.live)
	next.attach()
	return next
}
