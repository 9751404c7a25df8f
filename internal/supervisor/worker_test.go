package supervisor

import (
	"cmp"
	"slices"
	"sync"
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
	bound       time.Duration // on its clock

	mu       sync.Mutex
	wanted   wire.Assignment
	wake     chan struct{}
	quit     chan struct{}
	run      string // reserved for
	heard    int64  // when it was last heard; 0: it is heard all the time
	away     bool
	acked    uint64
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
	failure  string         // why it cannot prepare; it says so and nothing more
	lead     *time.Duration // how far ahead T0 was when it first heard of it
	slow     time.Duration  // how long what was in flight at the end of the schedule takes
	late     time.Duration  // how long after its end it delivers a second
	unsent   bool           // of every arrival a second request never leaves
	withheld int64          // what it sealed and could not deliver
}

// robots is a Fleet of robots.
type robots struct {
	manager *Manager
	plan    *scenario.Plan
	clock   func() int64
	wg      sync.WaitGroup

	mu  sync.Mutex
	all map[string]*robot
}

func (f *robots) get(name string) *robot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[name]
}

// join starts a worker.
func (f *robots) join(name string, incarnation int64, outbox ...wire.OutboxState) *robot {
	w := &robot{fleet: f, name: name, incarnation: incarnation, capacity: 1, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	f.mu.Lock()
	old := f.all[name]
	if old != nil {
		w.run = old.run
	}
	f.all[name] = w
	f.mu.Unlock()
	f.wg.Go(w.live)
	f.manager.Attached(w.info(), wire.Hello{Name: name, Outbox: outbox})
	return w
}

// die ends a worker without a word.
func (w *robot) die(goodbye bool) {
	w.mu.Lock()
	w.away, w.heard = true, w.fleet.clock()
	w.mu.Unlock()
	close(w.quit)
	w.fleet.manager.Detached(w.info(), "stream ended", goodbye)
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
	i := fleet.Worker{Name: w.name, Incarnation: w.incarnation, Labels: w.labels, Capacity: w.capacity, Connected: !w.away, Run: w.run, Loopback: !w.remote, Bound: w.bound}
	if w.heard != 0 {
		i.Silent = time.Duration(w.fleet.clock() - w.heard)
	}
	return i
}

// Reserve implements Fleet.
func (f *robots) Reserve(runID string, match map[string]string, least int) (taken []fleet.Worker, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var free []*robot
	for _, w := range f.all {
		if i := w.info(); i.Connected && i.Run == "" && i.Matches(match) {
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
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.all {
		w.mu.Lock()
		if w.run == runID {
			w.run, w.wanted, w.acked, w.closed = "", wire.Assignment{}, 0, false
		}
		w.mu.Unlock()
	}
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
func (f *robots) Assign(to run.Member, a wire.Assignment, _ time.Duration) {
	if w := f.get(to.Worker); w != nil && w.incarnation == to.Incarnation {
		w.mu.Lock()
		w.wanted = a
		if a.T0 != nil && w.lead == nil {
			lead := time.Duration(*a.T0 - f.clock())
			w.lead = &lead
		}
		w.mu.Unlock()
		w.poke()
	}
}

// Ack implements Fleet.
func (f *robots) Ack(name string, marks []wire.Mark) {
	if w := f.get(name); w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, m := range marks {
			if m.Incarnation == w.incarnation {
				w.acked, w.closed = max(w.acked, m.Through), w.closed || m.Closed
			}
		}
	}
}

// Nack implements Fleet.
func (f *robots) Nack(name string, n wire.Nack) {
	if w := f.get(name); w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.nacks = append(w.nacks, n)
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
		f.manager.Received(w.info(), result)
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

// live does what assignments say, one run after the other.
func (w *robot) live() {
	done := ""
	for {
		select {
		case <-w.quit:
			return
		case <-w.wake:
		}
		a := w.state()
		if a.Run == "" || a.Run == done {
			continue
		}
		done = a.Run
		time.Sleep(10 * time.Millisecond) // it prepares
		if w.failure != "" {
			w.fleet.manager.Received(w.info(), wire.Status{Run: a.Run, Revision: a.Revision, State: wire.WorkerFailed, Error: w.failure})
			continue
		}
		x := &executed{robot: w, id: a.Run, plan: w.fleet.plan, streams: map[string]*schedule.Stream{}}
		if !x.run() {
			return
		}
	}
}
