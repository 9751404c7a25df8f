package supervisor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"proofload/internal/run"
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
		r.assignAll(r.goal())
	case run.SendStop:
		r.assignAll(wire.GoalStop)
		r.checkDrained()
	case run.RunTeardown:
		r.runTask("teardown", r.run.Teardown.ID)
	case run.Finalise:
		r.finalise()
	case run.Release:
		r.release()
	case run.Notify:
		r.m.notify(e.Callback, r.run)
	}
}

// resumeEffects begins what a run needs that an earlier term left: one in IDLE looks for workers.
func (r *runner) resumeEffects() {
	if r.run.State == run.Idle {
		r.seekWorkers()
	}
}

// goal is what the workers are to do in the run's present state.
func (r *runner) goal() wire.Goal {
	switch {
	case r.run.State == run.Stopping || r.run.State.Final():
		return wire.GoalStop
	case r.t0 != nil:
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
		_ = r.step(run.Event{
			Kind: run.ValidationFailed, ExitCode: run.ExitUsage,
			Reason: fmt.Sprintf("no value for secret %s: set PROOFLOAD_SECRET_%s where the coordinator runs", strings.Join(missing, ", "), strings.ToUpper(missing[0])),
		})
		return
	}
	_ = r.step(run.Event{Kind: run.ValidationOK, Reason: "the plan fits the workers"})
}

// assignAll tells every worker what to do now.
func (r *runner) assignAll(goal wire.Goal) {
	secrets := r.secrets()
	for _, h := range r.crew {
		if h.gone {
			continue // its process has ended
		}
		// One that was given up is told too: if it was only silent and comes back, it must hear that its
		// shards are not its own any more before it is granted a lease again.
		wanted := goal
		if h.lost != nil {
			wanted = wire.GoalStop // and it closes its books, so that what it did is told to the end
		}
		h.revision++
		r.m.fleet.Assign(h.member, r.assignment(h, wanted, secrets), r.plan.Grace)
	}
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

// drainTime is how long work in flight may still take: the longest timeout of an operation.
func (r *runner) drainTime() time.Duration {
	longest := time.Second
	for _, f := range r.plan.Flows {
		for _, s := range f.Steps {
			longest = max(longest, s.Timeout)
		}
	}
	return longest + time.Second
}

func (r *runner) assignment(h *hand, goal wire.Goal, secrets map[string]string) wire.Assignment {
	a := wire.Assignment{
		Revision: h.revision, Run: r.id, PlanDigest: r.run.Plan, Secrets: secrets, Goal: goal,
		T0: r.t0, ShardRevision: r.run.Shards.Revision, History: r.run.History,
		Drain: r.drainTime(),
	}
	if r.run.Setup.State == run.TaskDone && r.run.Setup.Saved != "" {
		a.Setup = json.RawMessage(r.run.Setup.Saved)
	}
	for _, g := range r.run.Shards.Ranges(h.member) {
		a.Ranges = append(a.Ranges, wire.ShardRange{From: g.From, To: g.To, Since: g.Since})
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
		_ = r.step(run.Event{Kind: run.SetupStarted, Reason: "setup starts"})
	}
}

// runTask has the first worker that is there run setup or teardown.
func (r *runner) runTask(kind, id string) {
	for _, h := range r.active() {
		if h.detached {
			continue
		}
		if err := r.m.fleet.Task(h.member, wire.Task{ID: id, Run: r.id, Kind: kind}); err == nil {
			r.task = id
			return
		}
	}
	r.taskEnded(kind, wire.TaskResult{ID: id, Run: r.id, Error: "no worker is there to run it"})
}

// taskDone takes the outcome of a task.
func (r *runner) taskDone(t wire.TaskResult) {
	switch t.ID {
	case r.run.Setup.ID:
		r.taskEnded("setup", t)
	case r.run.Teardown.ID:
		r.taskEnded("teardown", t)
	}
}

func (r *runner) taskEnded(kind string, t wire.TaskResult) {
	if r.task != t.ID && t.Error == "" {
		return
	}
	r.task = ""
	switch {
	case kind == "teardown":
		if t.Error != "" {
			r.view.event(r, "teardown", t.Error)
		}
		_ = r.step(run.Event{Kind: run.TeardownDone, Error: t.Error, Requests: t.Requests, Reason: "teardown ended"})
	case t.Error != "":
		_ = r.step(run.Event{Kind: run.SetupFailed, Reason: "setup: " + t.Error, Requests: t.Requests})
	default:
		if err := r.step(run.Event{Kind: run.SetupDone, Saved: string(t.Saved), Requests: t.Requests, Reason: "setup ended"}); err == nil {
			// The workers are ready again once they have what setup saved.
			r.waiting = append(r.waiting, waiter{answer: func(run.Run, error) { r.assignAll(wire.GoalPrepare) }})
			r.dirty = true
		}
	}
}

// stampT0 decides the start of run time and records it.
func (r *runner) stampT0() {
	if r.t0 != nil {
		return
	}
	var worst time.Duration
	remote := false
	for _, h := range r.active() {
		if w, ok := r.m.fleet.Worker(h.worker.Name); ok {
			worst = max(worst, w.Bound)
			remote = remote || !r.m.opts.Local
		}
	}
	lead := run.Lead(worst, r.view.lastWrite(), !remote)
	t0 := r.m.opts.Clock() + int64(lead)
	r.t0 = &t0
	err := r.step(run.Event{Kind: run.Started, T0: r.m.opts.Wall().Add(lead), Reason: "load starts"})
	if err != nil {
		r.t0 = nil
		r.abandon(err)
	}
}

// checkDrained goes on once no worker has work in flight any more, or is waited for.
func (r *runner) checkDrained() {
	if r.run.State != run.Stopping || r.run.Drained != nil {
		return
	}
	for _, h := range r.active() {
		if h.final == nil || !r.complete(h) {
			return
		}
	}
	_ = r.step(run.Event{Kind: run.Drained, Reason: "nothing is in flight any more"})
}

// complete reports whether every batch that a worker's final names is here.
func (r *runner) complete(h *hand) bool {
	return r.ledger.Want(sourceOf(h.member)) > h.final.LastSeq
}

// release tells the workers that the run is closed.
func (r *runner) release() {
	for source, seq := range r.ledger.Sources() {
		r.m.fleet.Ack(source.Worker, []wire.Mark{{Run: r.id, Incarnation: source.Incarnation, Through: seq, Closed: true}})
	}
	for _, name := range r.crewNames() {
		h := r.crew[name]
		r.m.fleet.Ack(name, []wire.Mark{{Run: r.id, Incarnation: h.member.Incarnation, Closed: true}})
	}
}

func (r *runner) crewNames() []string {
	names := make([]string, 0, len(r.crew))
	for name := range r.crew {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
