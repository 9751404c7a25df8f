package supervisor

import (
	"fmt"
	"sync"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// liberties are rules that a fleet or its workers can break on purpose, to show that it would be noticed.
type liberties struct {
	fromReceipt     bool // a lease counts from the receipt of the answer
	followersGrant  bool // whoever is reached extends leases
	leaseFirst      bool // a lease is granted before the assignment is there
	adoptLost       bool // a new leader grants leases to those that were given up, too
	silentBefore    bool // what a worker was silent counts from before the take-over
	impatient       bool // shards move before the lease is over
	obituary        bool // an obituary is believed for a later life
	takerFirst      bool // the taker is told of a hand-over before the giver has confirmed it
	handOverAtStamp bool // a hand-over is taken to be at its stamp, whenever it was heard of
	stopForgotten   bool // workers do not tell the next leader that they were told to stop
	stopIgnored     bool // workers say that they have stopped, and fire on for as long as they have a lease
	zombieOrders    bool // workers obey leaders of the past
	ackEarly        bool // workers let go of what they have sent
}

// arrivals is every arrival that was fired.
type arrivals struct {
	mu      sync.Mutex
	by      map[string]string
	doubled string // the first one that was fired twice
}

// fired notes an arrival.
func (f *robots) fired(x *executed, phase string, index int64) {
	b := &f.books
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil {
		b.by = map[string]string{}
	}
	key := fmt.Sprintf("%s/%s/%d", x.id, phase, index)
	who := fmt.Sprintf("%s/%d", x.name, x.incarnation)
	if before, ok := b.by[key]; ok && b.doubled == "" {
		b.doubled = fmt.Sprintf("arrival %s was fired by %s and by %s", key, before, who)
	}
	b.by[key] = who
}

// so returns how many arrivals were fired, and what went wrong.
func (b *arrivals) so() (n int, doubled string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.by), b.doubled
}

// follow notes who leads from now on.
func (f *robots) follow(epoch int64, t *term) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch = epoch
	f.leads = func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return !t.over
	}
}

func (f *robots) newest() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch
}

// leading reports whether the leader that robots are attached to still leads.
func (f *robots) leading() bool {
	f.mu.Lock()
	leads := f.leads
	f.mu.Unlock()
	return leads()
}

// office is the Fleet of one term. When another has begun, robots are attached there, and it sees none.
type office struct {
	*robots
	epoch int64
}

func (o *office) deposed() bool { return o.newest() != o.epoch }

// Reserve implements Fleet.
func (o *office) Reserve(runID string, match map[string]string, least int) ([]fleet.Worker, string) {
	if o.deposed() {
		return nil, "nobody is here any more"
	}
	return o.robots.Reserve(runID, match, least)
}

// Adopt implements Fleet.
func (o *office) Adopt(w run.Member, instance, runID string, lease time.Duration) {
	if !o.deposed() {
		o.robots.Adopt(w, instance, runID, lease)
	}
}

// Renew implements Fleet.
func (o *office) Renew(who run.Member) {
	if !o.deposed() {
		o.robots.Renew(who)
	}
}

// Release implements Fleet.
func (o *office) Release(runID string) {
	if !o.deposed() {
		o.robots.Release(runID)
	}
}

// Dismiss implements Fleet.
func (o *office) Dismiss(who run.Member) {
	if !o.deposed() {
		o.robots.Dismiss(who)
	}
}

// Worker implements Fleet.
func (o *office) Worker(name string) (fleet.Worker, bool) {
	w, ok := o.robots.Worker(name)
	if o.deposed() {
		w.Connected, w.Silent, w.Run = false, time.Minute, ""
	}
	return w, ok
}

// Assign implements Fleet.
func (o *office) Assign(to run.Member, a wire.Assignment, lease time.Duration) {
	switch {
	case !o.deposed():
		if o.broken.takerFirst && a.Goal == wire.GoalRun {
			o.tellAll(to, &a)
		}
		o.robots.Assign(to, a, lease)
	case o.broken.zombieOrders:
		if w := o.get(to.Worker); w != nil && w.incarnation == to.Incarnation {
			w.deliver(func() { w.obey(a) })
		}
	}
}

// tellAll has an assignment name what is withheld, too. It is called by the runner's own goroutine.
func (o *office) tellAll(to run.Member, a *wire.Assignment) {
	r, err := o.boss().live(a.Run)
	if err != nil {
		return
	}
	a.Ranges = nil
	for _, g := range r.stored.Shards.Ranges(to) {
		a.Ranges = append(a.Ranges, wire.ShardRange(g))
	}
}

// Ack implements Fleet.
func (o *office) Ack(name string, marks []wire.Mark) {
	if !o.deposed() {
		o.robots.Ack(name, marks)
	}
}

// Nack implements Fleet.
func (o *office) Nack(name string, n wire.Nack) {
	if !o.deposed() {
		o.robots.Nack(name, n)
	}
}

// Task implements Fleet.
func (o *office) Task(to run.Member, t wire.Task) error {
	if o.deposed() {
		return fleet.ErrNotConnected
	}
	return o.robots.Task(to, t)
}
