package supervisor

import (
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

const hundred = `
version: 1
name: shop
seed: 7
target: http://127.0.0.1:9
flows:
  buy:
    - step: get
      http: {method: GET, path: /}
      timeout: 1s
phases:
  - name: hold
    flow: buy
    rate:
      - hold: {at: 100/s, for: 100s}
coordinator_loss: {grace: 20s}
`

// TestDwarfedWorker: one whose share rounds to nothing beside a much larger one hands over what it has.
func TestDwarfedWorker(t *testing.T) {
	bubble(t, hundred, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 5*time.Second)
		b := r.fleet.enter("b", 11)
		b.capacity = 100000
		b.attach()
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Pass || d.Load.Sent != 10000 || len(d.Integrity.Gaps) > 0 {
			t.Errorf("%+v, load %+v, gaps %+v\n%s", rec.Verdict, d.Load, d.Integrity.Gaps, r.log.String())
		}
	})
}

// TestOneThatStoppedAlone: what one worker judged by itself, while a leader was in office, does not end the run of all.
func TestOneThatStoppedAlone(t *testing.T) {
	text := hundred + "\ncriteria:\n  - {name: errors, check: \"error_ratio(requests) < 50%\", window: 2s, on_breach: abort}\n"
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		r.fleet.join("c", 12)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 10*time.Second)
		b.mu.Lock()
		b.away, b.heard = true, r.fleet.clock()
		b.mu.Unlock()
		time.Sleep(6 * time.Second)
		b.mu.Lock()
		b.wanted.Goal, b.wanted.Stop = wire.GoalStop, wire.Stop{Kind: run.StopCriterion, Reason: "errors: observed 100 %", Alone: true}
		b.mu.Unlock()
		b.poke()
		time.Sleep(2 * time.Second)
		b.mu.Lock()
		b.away, b.heard = false, 0
		b.mu.Unlock()
		b.attach()
		rec, d := r.ended2("r1")
		if rec.Stop.Kind != run.StopCompleted {
			t.Errorf("stopped by %s: %s", rec.Stop.Kind, rec.Stop.Reason)
		}
		accounted(t, d, 10000)
	})
}

// TestShedInTheMiddleOfAHandOver: what is lost and what was given away are counted once.
func TestShedInTheMiddleOfAHandOver(t *testing.T) {
	bubble(t, strings.Replace(hundred, "grace: 20s", "grace: 2s", 1)+"worker_loss: {policy: shed}\n", func(r *rig) {
		a := r.fleet.join("a", 10)
		r.fleet.join("c", 12)
		r.create("r1", 0)
		r.load("r1", 5*time.Second)
		a.mu.Lock()
		a.deafened = true // it never hears what it is to give away
		a.mu.Unlock()
		r.fleet.join("b", 11)
		r.load("r1", 7*time.Second)
		a.die(false)
		_, d := r.ended2("r1")
		accounted(t, d, 10000)
	})
}

// TestDrainOnASlowStore: a worker that ends before it has heard that others take over leaves no part to nobody.
func TestDrainOnASlowStore(t *testing.T) {
	bubble(t, hundred, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 5*time.Second)
		r.term.mu.Lock()
		r.term.slow = 8 * time.Second
		r.term.mu.Unlock()
		b.leave()
		time.Sleep(5 * time.Second) // as long as a worker waits
		stop := b.state()
		stop.Goal = wire.GoalStop
		b.mu.Lock()
		b.wanted = stop
		b.mu.Unlock()
		b.poke()
		time.Sleep(500 * time.Millisecond)
		b.die(true)
		r.term.mu.Lock()
		r.term.slow = 0
		r.term.mu.Unlock()
		_, d := r.ended2("r1")
		accounted(t, d, 10000)
		if d.Load.Sent < 9000 {
			t.Errorf("%d sent", d.Load.Sent)
		}
	})
}
