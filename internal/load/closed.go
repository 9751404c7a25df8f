package load

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

// closedLoad has a number of users, each of whom starts an iteration when its last one has ended.
// A user is at work, waiting for an instant, or idle because it is not active or not this worker's.
type closedLoad struct {
	phase  *phase
	users  *schedule.Users
	draw   schedule.Draw
	ranges []schedule.Range // in phase time
	peak   int64            // most users that the plan has at once

	slots  []slot
	active int64         // users 0 to active-1 are active
	at     time.Duration // phase time for which active holds
	queue  dueQueue      // the users that are waiting
	owned  *shardSet     // the shards owned at that time
	fresh  bool          // users and ranges have changed, or an edge of a range has been passed
	since  time.Duration // run time at which they had changed last

	dry bool // a user's data has run out

	gate atomic.Pointer[gate] // nil: no user may go on without the pacer

	mu   sync.Mutex
	back []finish // users whose iteration has ended
	over bool     // the schedule has ended: nobody is taken back any more
}

// slot is one user.
type slot struct {
	busy    bool  // at work or waiting
	working bool  // at work
	done    bool  // its data has run out
	n       int64 // number of its next iteration
}

// finish is the end of a user's iteration.
type finish struct {
	job job
	end time.Duration
}

// gate is what a user needs to know to go on at once. It is immutable.
type gate struct {
	active int64
	since  time.Duration // run time from which it holds
	until  time.Duration // and until which
	owned  *shardSet
}

// shardSet is a set of shards.
type shardSet [scenario.Shards / 64]uint64

func (s *shardSet) has(v int) bool { return s[v/64]&(1<<(v%64)) != 0 }

func newClosedLoad(p *phase) *closedLoad {
	c := &closedLoad{phase: p, users: schedule.NewUsers(p.plan.Users, nil), draw: p.draw.Named("users"), owned: &shardSet{}, at: -1}
	for _, s := range p.plan.Users {
		c.peak = max(c.peak, int64(math.Ceil(max(s.From, s.To))))
	}
	return c
}

func (c *closedLoad) length() time.Duration { return c.users.Length() }

func (c *closedLoad) configure(e *Engine) {
	c.gate.Store(nil)
	c.users = schedule.NewUsers(c.phase.plan.Users, schedule.Factors(e.timeline, c.phase.start))
	c.ranges = schedule.InPhase(e.ranges, e.timeline, c.phase.start)
	c.fresh = true
}

func (c *closedLoad) pass(e *Engine, now time.Duration) time.Duration {
	c.takeBack(e)
	plan := e.timeline.PlanTime(now) - c.phase.start
	if plan < 0 || e.timeline.Paused(now) {
		if next, ok := e.timeline.RunTime(c.phase.start + max(plan, 0)); ok && next > now {
			return next
		}
		return never
	}
	before := c.owned
	edge := c.advance(e, plan)
	if c.owned != before {
		c.since = now
	}
	if c.dry && c.spent(plan) {
		c.phase.stopped.Store(true)
		return now
	}
	c.dry = false
	c.startDue(e, now)
	next := c.next(e, edge)
	c.open(e, now, edge)
	return next
}

// takeBack puts the users whose iteration has ended into the queue.
func (c *closedLoad) takeBack(e *Engine) {
	c.mu.Lock()
	back := c.back
	c.back = nil
	c.mu.Unlock()
	for _, f := range back {
		u := &c.slots[f.job.user]
		u.n, u.working = max(u.n, f.job.n+1), false
		if f.job.exhausted {
			u.busy, u.done, c.dry = false, true, true
			e.leave(c.phase, f.job.user)
			continue
		}
		if !c.present(f.job.user) {
			e.leave(c.phase, f.job.user)
		}
		due := e.timeline.PlanTime(f.end)
		if pace := c.phase.plan.Pace; pace > 0 {
			due = e.timeline.PlanTime(f.job.started) + pace
		}
		c.queue.push(waiting{due: due - c.phase.start, ready: f.end, user: f.job.user})
	}
}

// spent reports whether the data has run out of every user that would be active here from phase time
// now on.
func (c *closedLoad) spent(now time.Duration) bool {
	for u := range c.users.Most(now, c.users.Length()) {
		if c.owned.has(schedule.UserShard(u)) && !c.slot(u).done {
			return false
		}
	}
	return true
}

// advance brings the number of active users up to phase time now, queues those who have become
// active, each at its own instant, and lets go of those who are not any more. It returns the phase time of
// the next edge of a range.
func (c *closedLoad) advance(e *Engine, now time.Duration) time.Duration {
	for next, ok := c.users.Next(c.at); ok && next <= now; next, ok = c.users.Next(c.at) {
		old := c.active
		c.at, c.active = next, c.users.Active(next)
		for u := old; u < c.active; u++ {
			c.enqueue(u, next)
		}
		c.dismiss(e, c.active, old)
	}
	edge := never
	for _, r := range c.ranges {
		for _, t := range []time.Duration{r.Since, r.Until} {
			if t > c.at && t <= now && t != 0 {
				c.fresh = true
			}
			if t > now {
				edge = min(edge, t)
			}
		}
	}
	c.at = now
	if c.fresh {
		c.fresh = false
		c.own()
		c.active = c.users.Active(now)
		for u := range c.active {
			c.enqueue(u, now)
		}
		c.dismiss(e, 0, int64(len(c.slots)))
	}
	return edge
}

// enqueue lets user u start at the given phase time, unless it is at work or waiting already.
func (c *closedLoad) enqueue(u int64, at time.Duration) {
	s := c.slot(u)
	if s.busy || s.done || !c.owned.has(schedule.UserShard(u)) {
		return
	}
	s.busy = true
	c.queue.push(waiting{due: at, ready: never, user: u})
}

// startDue starts the users whose instant has come.
func (c *closedLoad) startDue(e *Engine, now time.Duration) {
	for len(c.queue) > 0 && e.hold == "" {
		w := c.queue[0]
		due, ok := e.timeline.RunTime(c.phase.start + w.due)
		if !ok || due > now || now >= e.lease || e.stopping() {
			return
		}
		c.queue.pop()
		s := &c.slots[w.user]
		if !c.present(w.user) {
			s.busy = false
			continue
		}
		// What the engine was kept from starting was not due before it could.
		due = max(due, e.resumed)
		ready := due
		if w.ready != never {
			ready = max(due, w.ready)
		}
		s.working = true
		e.dispatch(c.job(w.user, s.n, due, ready))
		now = e.clock.Now()
	}
}

// job returns the n-th iteration of user u. Its row is its own among the users that the plan has; those
// beyond, at a scale above 1, have none that would not be another's as well.
func (c *closedLoad) job(u, n int64, due, ready time.Duration) job {
	p := c.phase
	draw := c.draw.Child(uint64(u)).Child(uint64(n))
	row := n*max(c.peak, 1) + u
	if u >= c.peak {
		row = -1 - row
	}
	return job{
		phase: p, flow: p.flows[p.mix.Pick(draw.Float64(0))], draw: draw,
		user: u, n: n, row: row, intended: due, ready: ready,
	}
}

// next returns the run time at which there is something to do again.
func (c *closedLoad) next(e *Engine, edge time.Duration) time.Duration {
	if at, ok := c.users.Next(c.at); ok {
		edge = min(edge, at)
	}
	if len(c.queue) > 0 && e.hold == "" {
		edge = min(edge, c.queue[0].due)
	}
	if edge == never {
		return never
	}
	due, ok := e.timeline.RunTime(c.phase.start + edge)
	if !ok {
		return never
	}
	return due
}

// open lets users go on without the pacer for as long as nothing is going to change.
func (c *closedLoad) open(e *Engine, now, edge time.Duration) {
	if e.hold != "" || c.phase.plan.Pace > 0 {
		c.gate.Store(nil)
		return
	}
	if at, ok := c.users.Next(c.at); ok {
		edge = min(edge, at)
	}
	until := e.lease
	if edge < never {
		if at, ok := e.timeline.RunTime(c.phase.start + edge); ok {
			until = min(until, at)
		}
	}
	if change, ok := e.timeline.Next(now); ok {
		until = min(until, change.At)
	}
	old := c.gate.Load()
	next := gate{active: c.active, since: c.since, until: until, owned: c.owned}
	if old != nil && *old == next {
		return
	}
	c.gate.Store(&next)
}

// own notes the shards that are owned at the phase time reached.
func (c *closedLoad) own() {
	c.owned = &shardSet{}
	for _, r := range c.ranges {
		if c.at < r.Since || (r.Until != 0 && c.at >= r.Until) {
			continue
		}
		for p := r.From; p < r.To; p++ {
			v := schedule.Residue(p)
			c.owned[v/64] |= 1 << (v % 64)
		}
		if r.Since > 0 {
			c.inherit(r)
		}
	}
}

// inherit numbers the iterations of the users of a range that was another worker's before. How far
// they have come there is not known here, only that no iteration takes less than shortestIteration;
// beyond that nothing is repeated of what their numbers decide: rows, choices and drawn data.
func (c *closedLoad) inherit(r schedule.Range) {
	const shortestIteration = time.Microsecond
	from := int64(r.Since/shortestIteration) + 1
	for u := range c.users.Most(0, r.Since) {
		if p := schedule.Residue(schedule.UserShard(u)); p >= r.From && p < r.To {
			s := c.slot(u)
			s.n = max(s.n, from)
		}
	}
}

func (c *closedLoad) slot(u int64) *slot {
	for int64(len(c.slots)) <= u {
		c.slots = append(c.slots, slot{})
	}
	return &c.slots[u]
}

func (c *closedLoad) settle(*Engine, time.Duration) { c.shut() }

// shut makes every user ask the pacer before going on.
func (c *closedLoad) shut() { c.gate.Store(nil) }

// returned takes back a user whose iteration has ended at run time end; false says that the phase is over,
// and that the user is to leave. Any goroutine may call it.
func (c *closedLoad) returned(j job, end time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.back = append(c.back, finish{j, end})
	}
	return !c.over
}

// again makes of an iteration that has ended the next one of a user that may go on at once, without the pacer. That
// one starts at the very instant: whatever happens to its goroutine from then on is part of it, and of the response
// time of its first step. Any goroutine may call it.
func (c *closedLoad) again(j *job, end time.Duration) bool {
	g := c.gate.Load()
	if g == nil || j.exhausted || j.started < g.since || j.user >= g.active || end >= g.until || !g.owned.has(schedule.UserShard(j.user)) {
		return false
	}
	*j = c.job(j.user, j.n+1, end, end)
	j.started = end
	return true
}
