package supervisor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// effect carries out one effect of a step. All are idempotent.
func (r *runner) effect(e run.Effect) {
	switch e.Kind {
	case run.Validate:
		r.validate()
	case run.Prepare:
		r.assignAll(wire.GoalPrepare)
	case run.BeginSetup:
		r.checkReady() // setup begins when the workers are ready: its targets may be their mocks
	case run.RunSetup:
		r.runTask("setup", r.run.Setup.ID)
	case run.StampT0:
		r.stampT0()
	case run.SendAssignment:
		if r.announce() {
			r.assignAll(r.goal())
		}
	case run.SendStop:
		r.assignAll(wire.GoalStop) // and the next tick looks whether anything is in flight
	case run.RunTeardown:
		r.runTask("teardown", r.run.Teardown.ID)
	case run.Finalise:
		r.finalise()
	case run.Release:
		r.release()
	case run.Notify:
		r.call(result.Notice{ID: e.ID, Kind: e.Callback})
	}
}

// resumeEffects begins what a run needs that an earlier term left: the callbacks that it owes, and one
// in IDLE looks for workers.
func (r *runner) resumeEffects() {
	for _, n := range r.facts.Notices {
		r.call(n)
	}
	if r.run.State == run.Idle {
		r.seekWorkers()
	}
}

// goal is what the workers are to do in the run's present state.
func (r *runner) goal() wire.Goal {
	switch {
	case r.run.State == run.Stopping || r.run.State.Final():
		return wire.GoalStop
	case r.told0 != nil:
		return wire.GoalRun
	}
	return wire.GoalPrepare
}

// validate checks what only the coordinator and the assigned workers together can tell.
func (r *runner) validate() {
	var missing []string
	for _, name := range r.plan.Secrets {
		if _, ok := r.m.opts.Secret(name); !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		r.expect(run.Event{
			Kind: run.ValidationFailed, ExitCode: run.ExitUsage,
			Reason: fmt.Sprintf("no value for secret %s: set PROOFLOAD_SECRET_%s where the coordinator runs", strings.Join(missing, ", "), strings.ToUpper(missing[0])),
		})
		return
	}
	r.expect(run.Event{Kind: run.ValidationOK, Reason: "the plan fits the workers"})
}

// assignAll tells every worker what to do now.
func (r *runner) assignAll(goal wire.Goal) {
	secrets := r.secrets()
	for _, h := range r.crew {
		if h.gone || h.left != nil {
			continue // its process has ended, or it has nothing to do with the run any more
		}
		if h.here { // others are told when they attach
			r.instruct(h, goal, secrets)
		}
	}
}

// instruct tells one worker what to do. One that was given up is told too: if it was only silent and
// comes back, it must hear that its shards are not its own any more before it is granted a lease again.
func (r *runner) instruct(h *hand, goal wire.Goal, secrets map[string]string) {
	if h.gone {
		return
	}
	switch {
	case h.lost != nil, r.handedOver(h):
		goal = wire.GoalStop // and it closes its books, so that what it did is told to the end
	case goal == wire.GoalRun && (h.recruit || !slices.Contains(r.stored.Owed, h.member)):
		goal = wire.GoalPrepare // until it is recorded that it has a part
	}
	h.revision++
	r.m.fleet.Assign(h.member, r.assignment(h, goal, secrets), r.plan.Grace)
}

// secrets returns the values that the plan names.
func (r *runner) secrets() map[string]string {
	values := map[string]string{}
	for _, name := range r.plan.Secrets {
		if v, ok := r.m.opts.Secret(name); ok {
			values[name] = v
		}
	}
	return values
}

// drainTime is how long work in flight may still take when the run was stopped, or at a worker that leaves, until it is
// cut: as long as an iteration may take, but not for hours. Whoever ends something wants it to end.
func (r *runner) drainTime() time.Duration {
	longest := time.Second
	for _, f := range r.plan.Flows {
		longest = max(longest, f.Longest())
	}
	return min(longest+time.Second, scenario.StopTime)
}

// stopTime is drainTime, and what programs that are killed then may take.
func (r *runner) stopTime() time.Duration {
	return r.drainTime() + r.plan.Killed()
}

func (r *runner) assignment(h *hand, goal wire.Goal, secrets map[string]string) wire.Assignment {
	rec := r.stored // what is not recorded yet may never have been
	a := wire.Assignment{
		Revision: h.revision, Run: r.id, PlanDigest: rec.Plan, Secrets: secrets, Goal: goal,
		T0: r.told0, ShardRevision: rec.Shards.Revision, History: rec.History,
		Drain: r.drainTime(),
	}
	if r.run.Stop != nil {
		a.Stop = wire.Stop{Kind: r.run.Stop.Kind, Reason: r.run.Stop.Reason}
		if asked := r.run.Stop.Asked; asked != nil { // for the next leader, should this one not live to record it
			a.Stop.Order = wire.Order{AskedOf: r.run.Stop.AskedOf, Asked: *asked}
		}
	}
	if lift := r.m.opts.Lift; lift != nil {
		a.Lift = lift()
	}
	if rec.Setup.State == run.TaskDone && rec.Setup.Saved != "" {
		a.Setup = json.RawMessage(rec.Setup.Saved)
	}
	for _, g := range r.recorded.ranges(rec.Shards, h.member) {
		if !r.withheld(g) {
			a.Ranges = append(a.Ranges, wire.ShardRange{From: g.From, To: g.To, Since: g.Since, Until: g.Until})
		}
	}
	if h.permits == nil {
		r.allot(h)
	}
	a.Permits = maps.Clone(h.permits)
	return a
}

// beginSetup records that setup starts, which makes it run.
func (r *runner) beginSetup() {
	if r.run.Setup.State == run.TaskPending {
		r.expect(run.Event{Kind: run.SetupStarted, Reason: "setup starts"})
	}
}

// taskDone takes the outcome of a task. That of a worker which the task was taken from counts only
// if it was done.
func (r *runner) taskDone(w fleet.Worker, t wire.TaskResult) {
	e := r.errand
	if e == nil || e.id != t.ID || (t.Error != "" && e.hand != nil && r.hand(w) != e.hand) {
		return
	}
	r.taskEnded(e.kind, t)
}

func (r *runner) taskEnded(kind string, t wire.TaskResult) {
	r.errand = nil
	switch {
	case kind == "teardown":
		if t.Error != "" {
			r.view.event(r, "teardown", t.Error)
		}
		r.expect(run.Event{Kind: run.TeardownDone, Error: t.Error, Requests: t.Requests, Reason: "teardown ended"})
	case t.Error != "":
		r.expect(run.Event{Kind: run.SetupFailed, Reason: "setup: " + t.Error, Requests: t.Requests})
	default:
		if r.expect(run.Event{Kind: run.SetupDone, Saved: string(t.Saved), Requests: t.Requests, Reason: "setup ended"}) {
			// The workers are ready again once they have what setup saved.
			r.waiting = append(r.waiting, waiter{answer: func(run.Run, error) { r.assignAll(r.goal()) }})
			r.dirty = true
		}
	}
}

// release tells the workers that the run is closed.
func (r *runner) release() {
	for source, seq := range r.ledger.Sources() {
		r.m.fleet.Ack(source.Worker, []wire.Mark{{Run: r.id, Incarnation: source.Incarnation, Through: seq, Closed: true}})
	}
	for _, h := range r.everybody() {
		r.m.fleet.Ack(h.member.Worker, []wire.Mark{{Run: r.id, Incarnation: h.member.Incarnation, Closed: true}})
	}
}

// crewNames returns the names of the crew in order. Nobody is ever taken out of it, so that they are sorted
// when somebody has come, and not many times a second. The caller must not change them.
func (r *runner) crewNames() []string {
	if len(r.names) != len(r.crew) {
		r.names = slices.Sorted(maps.Keys(r.crew))
	}
	return r.names
}
