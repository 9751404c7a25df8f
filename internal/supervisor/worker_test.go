package supervisor

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// robot is a worker whose engine is ideal: every arrival of its shards is sent at the instant at
// which it is due and ends 10 ms later. It keeps its batches until they are acknowledged.
type robot struct {
	fleet       *robots
	name        string
	incarnation int64
	labels      map[string]string
	capacity    float64
	remote      bool
	draining    bool
	bound       time.Duration // on its clock

	mu       sync.Mutex
	wanted   wire.Assignment
	wake     chan struct{}
	quit     chan struct{}
	run      string // reserved for
	heard    int64  // when it was last heard; 0: it is heard all the time
	away     bool
	acked    uint64
	unacked  []wire.Sealed
	status   *wire.Status // the last that it told
	final    *wire.Final
	results  []wire.TaskResult
	t0       *int64 // by its own clock, once its load has begun
	closed   bool
	nacks    []wire.Nack
	tasks    []wire.Task
	mute     bool  // seals no batches
	busy     int64 // iterations in flight that it tells of
	peak     int64 // how many were in flight at most in each second
	refuses  int64 // arrivals for which it has no permit in each second
	lies     bool  // its totals are not what it did
	taskErr  string
	saved    string         // what setup saves
	deaf     bool           // says nothing about tasks
	deafened bool           // what it is told does not reach it
	failure  string         // why it cannot prepare; it says so and nothing more
	lead     *time.Duration // how far ahead T0 was when it first heard of it
	slow     time.Duration  // how long what was in flight at the end of the schedule takes
	late     time.Duration  // how long after its end it delivers a second
	resends  bool           // sends what is asked for again
	unsent   bool           // of every arrival a second request never leaves
	withheld int64          // what it sealed and could not deliver
	knee     knee           // of its target, and its own
	leased
}

// robots is a Fleet of robots.
type robots struct {
	plan   *scenario.Plan
	mortal bool      // no robot begins another life by itself
	begin  time.Time // of the robots' clock
	wg     sync.WaitGroup

	mu      sync.Mutex
	all     map[string]*robot
	manager *Manager
	ahead   atomic.Int64 // of the leader's clock, nanoseconds
	leads   func() bool  // whether the leader that they are attached to still leads
	epoch   int64        // of the newest leader
	broken  liberties
	strict  bool // what is late is given up
	books   arrivals
}

// clock is that of the robots.
func (f *robots) clock() int64 { return int64(time.Since(f.begin)) }

// away ends a term, and says how far the clock of the next leader is ahead of the robots'.
func (f *robots) away(ahead time.Duration) {
	f.ahead.Store(int64(ahead))
	for _, w := range f.everybody() {
		w.mu.Lock()
		w.run = "" // whom it belongs to is what the next leader says
		w.session, w.grant, w.assigned = false, 0, nil
		w.mu.Unlock()
	}
}

// lead makes a manager the one that is talked to.
func (f *robots) lead(m *Manager) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manager = m
}

func (f *robots) boss() *Manager {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.manager
}

// own translates a reading of the leader's clock.
func (f *robots) own(reading int64) int64 { return reading - f.ahead.Load() }

// offset is the robots' clock minus the leader's.
func (f *robots) offset() time.Duration { return -time.Duration(f.ahead.Load()) }

// reattach has every robot that is there introduce itself to the new leader.
func (f *robots) reattach() {
	f.mu.Lock()
	all := slices.SortedFunc(maps.Values(f.all), func(a, b *robot) int { return cmp.Compare(a.name, b.name) })
	f.mu.Unlock()
	for _, w := range all {
		w.attach()
	}
}

// attach introduces a robot that is not away, and delivers again what was not acknowledged.
func (w *robot) attach() {
	w.mu.Lock()
	if w.away || w.cut || w.frozen {
		w.mu.Unlock()
		return
	}
	w.session, w.epoch, w.lastHeard = true, w.fleet.newest(), w.fleet.clock()
	wanted := w.assigned
	hello := wire.Hello{Name: w.name, Incarnation: w.incarnation, Status: w.status}
	for _, life := range w.past {
		if held := life.held(); len(held) > 0 {
			hello.Outbox = append(hello.Outbox, wire.OutboxState{Run: held[0].Run, Incarnation: life.incarnation, OldestUnacked: held[0].Seq, NextSeq: held[len(held)-1].Seq + 1})
		}
	}
	if w.wanted.Run != "" {
		hello.Outbox = []wire.OutboxState{{Run: w.wanted.Run, Incarnation: w.incarnation, OldestUnacked: w.acked + 1, NextSeq: w.acked + uint64(len(w.unacked)) + 1}}
	}
	w.mu.Unlock()
	w.resume(wanted)
	boss := w.fleet.boss()
	for _, m := range boss.Attached(w.info(), hello) {
		w.drop(m)
	}
	w.mu.Lock()
	unacked, final, results := slices.Clone(w.unacked), w.final, slices.Clone(w.results)
	w.mu.Unlock()
	for _, life := range w.past {
		unacked = append(life.held(), unacked...)
	}
	for _, b := range unacked {
		boss.Received(w.info(), b)
	}
	w.mu.Lock()
	late := slices.Clone(w.unacked) // sealed meanwhile: it may have come before what was to come first, and been refused
	w.mu.Unlock()
	for _, b := range late {
		if !slices.ContainsFunc(unacked, func(sent wire.Sealed) bool { return sent.Seq == b.Seq && sent.Incarnation == b.Incarnation }) {
			boss.Received(w.info(), b)
		}
	}
	if final != nil {
		boss.Received(w.info(), *final)
	}
	for _, t := range results {
		boss.Received(w.info(), t)
	}
}

// drop forgets what is committed.
func (w *robot) drop(m wire.Mark) {
	for _, life := range w.past {
		life.drop(m)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.Incarnation == w.incarnation {
		w.acked, w.closed = max(w.acked, m.Through), w.closed || m.Closed
		w.unacked = slices.DeleteFunc(w.unacked, func(b wire.Sealed) bool { return b.Seq <= w.acked })
	}
}

// Adopt implements Fleet.
func (f *robots) Adopt(m run.Member, _, runID string, lease time.Duration) {
	w := f.get(m.Worker)
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.incarnation == m.Incarnation {
		w.run = runID
		w.adopted(lease)
	}
	if w.away {
		w.heard = w.fleet.clock() // what it was silent counts from now on
	}
}

func (f *robots) get(name string) *robot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[name]
}

// join starts a worker, which attaches.
func (f *robots) join(name string, incarnation int64, outbox ...wire.OutboxState) *robot {
	w := f.enter(name, incarnation)
	w.mu.Lock()
	w.session, w.epoch, w.lastHeard = true, f.newest(), f.clock()
	w.mu.Unlock()
	f.boss().Attached(w.info(), wire.Hello{Name: name, Outbox: outbox})
	return w
}

// enter starts a worker.
func (f *robots) enter(name string, incarnation int64) *robot {
	w := &robot{fleet: f, name: name, incarnation: incarnation, capacity: 1, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	f.mu.Lock()
	f.all[name] = w
	f.mu.Unlock()
	f.wg.Go(w.live)
	return w
}

// die ends a worker without a word.
func (w *robot) die(goodbye bool) {
	w.mu.Lock()
	w.away, w.heard = true, w.fleet.clock()
	w.mu.Unlock()
	w.mu.Lock()
	select {
	case <-w.quit: // it has begun another life
	default:
		close(w.quit)
	}
	w.mu.Unlock()
	w.fleet.boss().Detached(w.info(), "stream ended", goodbye)
}

// stop ends every worker that lives.
func (f *robots) stop() {
	f.mu.Lock()
	for _, w := range f.all {
		select {
		case <-w.quit:
		default:
			close(w.quit)
		}
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (w *robot) info() fleet.Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := fleet.Worker{Name: w.name, Incarnation: w.incarnation, Labels: w.labels, Capacity: w.capacity, Connected: w.session && !w.away && !w.cut, Run: w.run, Draining: w.draining, Loopback: !w.remote, Bound: w.bound}
	if w.heard != 0 {
		i.Silent = time.Duration(w.fleet.clock() - w.heard)
	} else if w.cut || w.frozen || !w.session {
		i.Silent = w.silence()
	}
	if w.t0 != nil {
		i.Clock, i.Offset, i.Bound = &fleet.RunClock{Run: w.wanted.Run, T0: *w.t0}, w.fleet.offset(), max(i.Bound, 1)
	}
	return i
}

// everybody is all robots, in no order. The fleet's lock is never held while a robot's is taken.
func (f *robots) everybody() []*robot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.all))
}

// Reserve implements Fleet.
func (f *robots) Reserve(runID string, match map[string]string, least int) (taken []fleet.Worker, why string) {
	var free []*robot
	for _, w := range f.everybody() {
		if i := w.info(); i.Connected && !i.Draining && i.Run == "" && i.Matches(match) {
			free = append(free, w)
		}
	}
	if len(free) < max(least, 1) {
		return nil, "waiting for a worker, start one with: worker --join ADDR"
	}
	slices.SortFunc(free, func(a, b *robot) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	for _, w := range free {
		w.mu.Lock()
		w.run = runID
		w.mu.Unlock()
		taken = append(taken, w.info())
	}
	return taken, ""
}

// Release implements Fleet.
func (f *robots) Release(runID string) {
	for _, w := range f.everybody() {
		w.mu.Lock()
		if w.run == runID {
			w.run, w.wanted, w.acked, w.closed = "", wire.Assignment{}, 0, false
			w.grant, w.assigned = 0, nil
			w.unacked, w.status, w.final, w.t0, w.results = nil, nil, nil, nil, nil
		}
		w.mu.Unlock()
	}
}

// Renew implements Fleet.
func (f *robots) Renew(who run.Member) {
	if w := f.get(who.Worker); w != nil && w.incarnation == who.Incarnation {
		f.wg.Go(w.attach)
	}
}

// Retire implements Fleet: the robot begins another life.
func (f *robots) Retire(who run.Member) {
	old := f.get(who.Worker)
	if old == nil || old.incarnation != who.Incarnation || f.mortal {
		return
	}
	f.wg.Go(func() {
		old.mu.Lock()
		select {
		case <-old.quit:
		default:
			close(old.quit)
		}
		old.mu.Unlock()
		f.join(who.Worker, who.Incarnation+1000)
	})
}

// Dismiss implements Fleet.
func (f *robots) Dismiss(who run.Member) {
	w := f.get(who.Worker)
	if w == nil || w.incarnation != who.Incarnation {
		return
	}
	w.mu.Lock()
	w.run, w.grant, w.assigned = "", 0, &wire.Assignment{}
	w.mu.Unlock()
	w.deliver(func() { w.obey(wire.Assignment{}) })
}

// leave has a worker hand over what it has.
func (w *robot) leave() {
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
	w.fleet.boss().Leaving(w.info(), "maintenance")
}

// Worker implements Fleet.
func (f *robots) Worker(name string) (fleet.Worker, bool) {
	w := f.get(name)
	if w == nil {
		return fleet.Worker{}, false
	}
	return w.info(), true
}

// Assign implements Fleet.
func (f *robots) Assign(to run.Member, a wire.Assignment, lease time.Duration) {
	w := f.get(to.Worker)
	if w == nil || w.incarnation != to.Incarnation {
		return
	}
	a.Epoch = f.newest()
	w.mu.Lock()
	w.assigned, w.grant = &a, lease
	there := w.session || w.away
	w.mu.Unlock()
	if there {
		w.deliver(func() { w.obey(a) })
	}
}

// Ack implements Fleet.
func (f *robots) Ack(name string, marks []wire.Mark) {
	if w := f.get(name); w != nil {
		for _, m := range marks {
			w.deliver(func() { w.drop(m) })
		}
	}
}

// Nack implements Fleet.
func (f *robots) Nack(name string, n wire.Nack) {
	if w := f.get(name); w != nil {
		w.mu.Lock()
		w.nacks = append(w.nacks, n)
		resends, held := w.resends && n.Reason == wire.NackGap, slices.Clone(w.unacked)
		w.mu.Unlock()
		if !resends {
			return
		}
		f.wg.Go(func() {
			for _, b := range held {
				if b.Seq >= n.Want {
					w.tell(b)
				}
			}
		})
	}
}

// Task implements Fleet.
func (f *robots) Task(to run.Member, t wire.Task) error {
	w := f.get(to.Worker)
	if w.incarnation != to.Incarnation {
		return fleet.ErrNotConnected
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return fleet.ErrNotConnected
	}
	w.tasks = append(w.tasks, t)
	if w.deaf {
		return nil
	}
	result := wire.TaskResult{ID: t.ID, Run: t.Run, Error: w.taskErr, Saved: []byte(cmp.Or(w.saved, `{"sku":"apple"}`)), Requests: 1}
	f.wg.Go(func() {
		time.Sleep(20 * time.Millisecond)
		w.mu.Lock()
		w.results = append(w.results, result)
		w.mu.Unlock()
		f.boss().Received(w.info(), result)
	})
	return nil
}

func (w *robot) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *robot) state() wire.Assignment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wanted
}

// live does what assignments say, one run after the other. What comes for one that is done is answered.
func (w *robot) live() {
	var x *executed
	for {
		select {
		case <-w.quit:
			return
		case <-w.wake:
		}
		a := w.state()
		if x != nil && a.Run == x.id && x.ended {
			x.hear(a)
			x.status(wire.WorkerDone, true)
		}
		if a.Run == "" || x != nil && a.Run == x.id {
			continue
		}
		x = &executed{robot: w, id: a.Run, plan: w.fleet.plan, streams: map[string]*schedule.Stream{}}
		time.Sleep(10 * time.Millisecond) // it prepares
		if w.failure != "" {
			w.fleet.boss().Received(w.info(), wire.Status{Run: a.Run, Revision: a.Revision, State: wire.WorkerFailed, Error: w.failure})
			continue
		}
		if !x.run() {
			return
		}
	}
}
