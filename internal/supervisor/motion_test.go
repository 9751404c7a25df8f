package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/simulation"
	"proofload/internal/wire"
)

// motion is a run around which everything happens that may: workers come, leave, die, start again with what
// they had, stand still and are cut off, links and the store are slow, and leaders follow each other, some of
// which do not know that they are deposed. Its robots fire on leases and note what they fire.
type motion struct {
	rig         *rig
	rnd         *rand.Rand
	incarnation int64
	epoch       int64
	lives       []*robot // all that ever were
	pending     []timed
	told        []string // what happened

	mu       sync.Mutex
	answered *run.Run // how a leader answered the stop that was asked of it; nil: it did not, or with an error
}

// timed is something that happens later.
type timed struct {
	at time.Time
	fn func()
}

// moving is late by as much as robots are.
var moving = strings.Replace(shop, "    rate:", "    late: 100ms\n    rate:", 1) + "worker_loss: {max_lost: 100%}\n"

// motionOf conducts one run with a seed and returns what went wrong.
func motionOf(t *testing.T, seed uint64, broken liberties) (problem error) {
	t.Helper()
	bubble(t, moving, func(r *rig) {
		m := &motion{rig: r, rnd: rand.New(rand.NewPCG(seed, 11)), incarnation: 10, epoch: 1}
		r.fleet.broken, r.fleet.strict, r.fleet.mortal = broken, true, true
		m.join()
		m.join()
		m.join()
		r.create("r1", 0)
		m.sleep(100 * time.Millisecond)
		if seed%4 == 3 {
			m.stop(rand.New(rand.NewPCG(seed, 12)))
		}
		for range 10 {
			m.sleep(time.Duration(m.rnd.IntN(1500)) * time.Millisecond)
			m.step()
		}
		problem = m.account()
		if problem != nil {
			problem = fmt.Errorf("%w\n%s", problem, strings.Join(m.told, "\n"))
			if testing.Verbose() {
				m.explain()
			}
		}
	})
	return problem
}

// later has something happen within a time.
func (m *motion) later(within time.Duration, fn func()) {
	at := time.Now().Add(time.Duration(m.rnd.Int64N(int64(within))))
	m.pending = append(m.pending, timed{at, fn})
}

// sleep lets time pass, and what is due in it happen.
func (m *motion) sleep(d time.Duration) {
	end := time.Now().Add(d)
	for {
		next := -1
		for i, p := range m.pending {
			if !p.at.After(end) && (next < 0 || p.at.Before(m.pending[next].at)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		p := m.pending[next]
		m.pending = slices.Delete(m.pending, next, next+1)
		time.Sleep(time.Until(p.at))
		p.fn()
	}
	time.Sleep(time.Until(end))
}

// say notes what happens.
func (m *motion) say(format string, args ...any) {
	at := time.Duration(0)
	if v, err := m.rig.manager.Live("r1"); err == nil && v.Progress != nil {
		at = v.Progress.RunTime
	}
	m.told = append(m.told, fmt.Sprintf("%8s %s", at.Round(time.Millisecond), fmt.Sprintf(format, args...)))
}

// here returns the robots that live and do not leave.
func (m *motion) here() []*robot {
	return slices.DeleteFunc(slices.Clone(m.lives), func(w *robot) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.crashed || w.draining
	})
}

// one returns a robot that lives, if that leaves at least one other.
func (m *motion) one() *robot {
	here := m.here()
	if len(here) < 2 {
		return nil
	}
	return here[m.rnd.IntN(len(here))]
}

func (m *motion) step() {
	w := m.one()
	n := m.rnd.IntN(20)
	if w == nil {
		n = 0
	}
	switch {
	case n < 3:
		m.join()
	case n < 5:
		m.say("%s leaves", w.name)
		w.leave()
	case n < 8:
		m.crash(w)
	case n < 10:
		m.freeze(w)
	case n < 12:
		m.cut(w)
	case n < 14:
		w.mu.Lock()
		w.delay = time.Duration(m.rnd.IntN(1500)) * time.Millisecond
		m.say("what %s is told takes %v", w.name, w.delay)
		w.mu.Unlock()
	case n < 17:
		m.store()
	default:
		m.elect()
	}
}

// stop has a stop asked for at some time, when nobody may be able to record it: it reaches some of the workers, and
// the coordinator that was asked may tell whoever leads by then. Its draws are its own.
func (m *motion) stop(rnd *rand.Rand) {
	at := time.Now().Add(500*time.Millisecond + time.Duration(rnd.Int64N(int64(9*time.Second))))
	m.pending = append(m.pending, timed{at, func() {
		order := wire.Halt{Run: "r1", Kind: run.StopOperator, Reason: "enough", Order: wire.Order{Request: "q", AskedOf: "c9", Asked: time.Now()}}
		for _, w := range m.here() {
			if rnd.IntN(2) == 0 {
				m.say("%s is told to stop", w.name)
				w.deliver(func() { w.halt(order) })
			}
		}
		if rnd.IntN(2) == 0 {
			return // it is told by the workers alone
		}
		m.pending = append(m.pending, timed{time.Now().Add(time.Duration(rnd.Int64N(int64(3 * time.Second)))), func() {
			m.say("whoever leads is told to stop")
			boss := m.rig.manager
			m.rig.fleet.wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				rec, err := boss.Command(ctx, "r1", run.Event{Kind: run.StopRequested, ID: "q", Stop: order.Kind, Reason: order.Reason, Asked: order.Asked, AskedOf: order.AskedOf})
				if err == nil {
					m.mu.Lock()
					m.answered = &rec
					m.mu.Unlock()
				}
			})
		}})
	}})
}

func (m *motion) join() {
	if len(m.here()) > 5 {
		return
	}
	name := fmt.Sprintf("w%d", m.incarnation)
	m.say("%s joins", name)
	m.lives = append(m.lives, m.rig.fleet.join(name, m.incarnation))
	m.incarnation++
}

// crash ends a process. Its guard may tell, and it may start again with what was in its outbox.
func (m *motion) crash(w *robot) {
	m.say("%s crashes", w.name)
	w.mu.Lock()
	w.crashed, w.shaken = true, w.heeded != nil
	quiet := w.cut || w.frozen
	heard := w.lastHeard
	w.mu.Unlock()
	w.die(false)
	if quiet {
		w.mu.Lock()
		w.heard = heard
		w.mu.Unlock()
	}
	var next *robot
	if m.rnd.IntN(2) == 0 {
		m.later(4*time.Second, func() { next = m.restart(w) })
	}
	if m.rnd.IntN(2) == 0 {
		m.later(2*time.Second, func() {
			m.say("the guard of %s/%d tells of its death", w.name, w.incarnation)
			life := w
			if m.rig.fleet.broken.obituary && next != nil {
				life = next
			}
			if life.known() {
				m.rig.manager.Detached(life.info(), "its guard reports", true)
			}
		})
	}
}

// known reports whether the fleet knows this life, which is what an obituary is checked by.
func (w *robot) known() bool { return w.fleet.get(w.name) == w }

// restart begins another life of a worker.
func (m *motion) restart(w *robot) *robot {
	m.say("%s starts again as %d", w.name, m.incarnation)
	next := m.rig.fleet.revive(w, m.incarnation)
	m.lives = append(m.lives, next)
	m.incarnation++
	return next
}

// freeze has a process stand still for a while.
func (m *motion) freeze(w *robot) {
	m.say("%s stands still", w.name)
	w.mu.Lock()
	w.frozen, w.shaken = true, w.heeded != nil
	w.mu.Unlock()
	m.absence(w, func() {
		m.say("%s goes on", w.name)
		w.thaw()
	})
}

// cut has nothing pass between a worker and its leader for a while.
func (m *motion) cut(w *robot) {
	m.say("%s is cut off", w.name)
	w.mu.Lock()
	w.cut, w.session, w.inbox, w.shaken = true, false, nil, w.heeded != nil
	w.mu.Unlock()
	if m.rnd.IntN(2) == 0 {
		m.rig.manager.Detached(w.info(), "stream ended", false)
	}
	m.absence(w, func() {
		m.say("%s is reached again", w.name)
		w.heal()
	})
}

// absence ends after a while. After a long one the run may have been closed without what the worker had.
func (m *motion) absence(w *robot, end func()) {
	began := time.Now()
	m.later(6*time.Second, func() {
		w.mu.Lock()
		w.absent = w.absent || time.Since(began) > time.Second
		w.mu.Unlock()
		end()
	})
}

// store makes the store slow, or full, or its replies vanish.
func (m *motion) store() {
	r := m.rig
	switch m.rnd.IntN(3) {
	case 0:
		r.term.mu.Lock()
		r.term.slow = time.Duration(m.rnd.IntN(700)) * time.Millisecond
		m.say("a write takes %v", r.term.slow)
		r.term.mu.Unlock()
	case 1:
		m.say("the store is full")
		r.disk.fill(true)
		m.later(2*time.Second, func() { r.disk.fill(false) })
	default:
		m.say("replies of the store vanish")
		t := r.term
		t.trouble.loseReplies(true)
		m.later(time.Second, func() { t.trouble.loseReplies(false) })
	}
}

// elect ends a term and begins the next.
func (m *motion) elect() {
	m.epoch++
	after := time.Duration(m.rnd.IntN(1200)) * time.Millisecond
	m.rig.term.trouble.loseReplies(false)
	if m.rnd.IntN(2) == 0 {
		m.say("the leader ends, the next one comes after %v", after)
		m.rig.succeed(m.epoch, after)
	} else {
		m.say("the leader is deposed without knowing it, the next one comes after %v", after)
		m.rig.usurp(m.epoch, after)
	}
	m.say("epoch %d", m.epoch)
}

// TestFleetInTrouble: whatever happens to workers, links, leaders and the store, no arrival is fired twice, what
// was sent is reported but for what gaps tell of, every planned arrival is in one of the books, what was fired and
// lost is among what is missing, however the run ended, and no stop is forgotten.
func TestFleetInTrouble(t *testing.T) {
	simulation.Each(t, 30, func(t *testing.T, seed uint64) {
		if problem := motionOf(t, seed, liberties{}); problem != nil {
			t.Error(problem)
		}
	}, 2993)
}

// TestFleetInTroubleNoticesEachBrokenRule proves that the test above would.
func TestFleetInTroubleNoticesEachBrokenRule(t *testing.T) {
	for name, row := range map[string]struct {
		broken liberties
		first  uint64 // seed that has noticed it before: most mutants need some tens of others
	}{
		"lease counted from receipt":         {liberties{fromReceipt: true}, 86},
		"any follower extends leases":        {liberties{followersGrant: true}, 4},
		"lease before the assignment":        {liberties{leaseFirst: true}, 4},
		"lost workers adopted with a lease":  {liberties{adoptLost: true}, 16},
		"silence counted from before":        {liberties{silentBefore: true}, 37},
		"moved before the lease is over":     {liberties{impatient: true}, 0},
		"obituary believed for a later life": {liberties{obituary: true}, 108},
		"taker told first":                   {liberties{takerFirst: true}, 1},
		"hand-over at the stamp":             {liberties{handOverAtStamp: true}, 10},
		"leaders of the past are obeyed":     {liberties{zombieOrders: true}, 147},
		"outbox let go before the commit":    {liberties{ackEarly: true}, 2},
		"a stop forgotten":                   {liberties{stopForgotten: true}, 19},
		"a stop claimed and not obeyed":      {liberties{stopIgnored: true}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := row.first; seed < row.first+300; seed++ {
				if problem := motionOf(t, seed, row.broken); problem != nil {
					t.Logf("seed %d: %.200s", seed, problem)
					return
				}
			}
			t.Error("the simulation did not notice")
		})
	}
}
