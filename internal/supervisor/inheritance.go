package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// inheritance is a run that an earlier term left under way and that is not in hand yet. The load goes
// on meanwhile: workers fire for as long as their leases last, and samples are committed as they come.
// What waits is everything that needs the run time, which only the workers know.
type inheritance struct {
	since   int64 // when the term took the run over, on the manager's clock
	clocked int64 // when the first worker had told its run time; 0: none has
	held    []func()
}

const (
	// settleWithin is how long the other workers may take to tell their run time after the first has.
	settleWithin = 2 * time.Second
	// reconnects is how long a worker may take at most to find a coordinator that has come back.
	reconnects = 5 * time.Second
)

// inherit carries on what an earlier term began. The workers of the crew are adopted before any is
// served, so that none of them is told to do nothing.
func (r *runner) inherit() {
	r.log.Info("run taken over", "state", r.run.State, "workers", len(r.crew))
	r.rebuild()
	r.orphans()
	switch r.run.State {
	case run.Running, run.Paused:
		r.takeOver = &inheritance{since: r.m.opts.Clock()}
	case run.Initializing:
		if r.run.Setup.State == run.TaskStarted {
			// It is never repeated: either its outcome comes from whoever ran it, or it stays unknown.
			r.errand = &errand{kind: "setup", id: r.run.Setup.ID, began: r.m.opts.Clock()}
		}
		r.assignAll(wire.GoalPrepare)
	default:
		for _, e := range run.Outstanding(r.run) {
			r.effect(e)
		}
	}
}

// regain finds out what run time it is, from what the workers say, and takes the run in hand. It waits
// for all workers that may still live, but not for long once one has told: every one of them holds a
// lease that ends.
func (r *runner) regain() {
	now := r.m.opts.Clock()
	r.hearClocks()
	var clocks []run.Interval
	present, begun, pending, leased := 0, false, false, false
	for _, h := range r.active() {
		w, here := r.alive(h.member)
		switch clock, told := r.clocks[h.member]; {
		case h.gone:
		case here && h.here && told:
			clocks = append(clocks, clock)
			present, begun = present+1, true
		case here && h.here:
			present, begun = present+1, begun || h.status.State >= wire.WorkerRunning
			pending = pending || h.status.State >= wire.WorkerRunning
		case w.Silent <= r.patience():
			pending = true
			leased = leased || !here && w.Incarnation == h.member.Incarnation // also by this term, which may have served and lost it
		}
	}
	pending = pending && (leased || time.Duration(now-r.takeOver.since) <= r.patience())
	if len(clocks) > 0 && r.takeOver.clocked == 0 {
		r.takeOver.clocked = now
	}
	switch {
	case pending && (len(clocks) == 0 || time.Duration(now-r.takeOver.clocked) < settleWithin):
	case len(clocks) > 0:
		r.tieClock(clocks)
		r.resumeLoad()
	case present > 0 && !begun && !r.underLoad():
		r.startAnew()
	default:
		r.giveUpLoad()
	}
}

// underLoad reports whether the load had begun in an earlier term by what is recorded or was sent: those who have come
// back may have joined just before, and know nothing of it.
func (r *runner) underLoad() bool {
	c := r.facts.Clock
	return r.covered > 0 || len(r.ledger.Sources()) > 0 || c != nil && c.Run > 2*r.m.opts.CommitEvery
}

// resumeLoad tells the workers to go on, by the run time that they told. A command that was recorded
// and reached nobody before its stamp is stamped anew: those who act on it must do so together.
func (r *runner) resumeLoad() {
	held := 0
	for _, h := range r.active() {
		if h.here {
			held = max(held, h.status.Changes)
		}
	}
	before := r.run.Revision
	if held < len(r.run.History) {
		r.expect(run.Event{Kind: run.Restamped, Change: r.run.History[held].ID, Reason: "its coordinator ended before it was told"})
	}
	r.resumeHanding()
	if r.run.Revision == before {
		r.assignAll(r.goal())
	}
	r.inHand()
	r.checkPhases() // one may have ended meanwhile
}

// startAnew stamps T0 once more: it was recorded, and nobody was told in time.
func (r *runner) startAnew() {
	if !r.stamp(run.Event{Kind: run.Restarted, Reason: "the coordinator ended before the load began"}, r.try) {
		r.expect(run.Event{Kind: run.ErrorOccurred, Reason: "the coordinator ended while the load was starting, and commands were given already"})
	}
	r.inHand()
}

// giveUpLoad ends a run of whose workers none has come back.
func (r *runner) giveUpLoad() {
	if r.learnClock(); r.t0 == nil {
		r.estimateClock()
	}
	lost := slices.DeleteFunc(r.active(), r.through)
	if len(lost) == 0 && len(r.active()) > 0 && r.scheduled() {
		r.expect(run.Event{Kind: run.AllEnded, At: r.loadEnd(), Reason: "every phase has ended"})
		return
	}
	now := r.now()
	for _, h := range lost {
		h.lost = &now
		r.view.event(r, "worker", h.worker.Name+lostSuffix)
	}
	r.lose(lost, 0)
	r.expect(run.Event{Kind: run.WorkersLost, Reason: "the coordinator ended before the run did, and none of its workers came back"})
	r.inHand()
}

// toldToStop records a stop that an earlier term ordered, and of which it did not live to record that.
//
// A worker that stopped by its own judgement is believed only for the time in which nobody led: while a leader was
// in office, the judgement is that of all workers' samples, and this one has left the load.
func (r *runner) toldToStop(h *hand, s wire.Stop) bool {
	unheard := h.unheard
	h.unheard = false
	if s.Kind == "" || s.Kind == run.StopCompleted || r.run.State == run.Stopping || r.run.State.Final() {
		return false
	}
	if s.Alone && !unheard {
		h.quit = true
		return false
	}
	ev := run.Event{Kind: run.StopRequested, Stop: s.Kind, Reason: s.Reason, ID: s.Order.Request, At: s.At, Asked: s.Order.Asked, AskedOf: s.Order.AskedOf}
	if !s.Kind.Requestable() {
		ev = run.Event{Kind: run.ErrorOccurred, Reason: s.Reason}
	}
	return r.expect(ev)
}

// noteStop tells of a stop that is recorded later than it was asked for.
func (r *runner) noteStop(s *run.Stop) {
	if s.AskedOf == "" {
		return
	}
	r.view.event(r, "stop", fmt.Sprintf("asked of coordinator %s at %s, when it could not be recorded (%s): %s", s.AskedOf, s.Asked.Format("15:04:05Z"), s.Kind, s.Reason))
}

// estimateClock sets the run time where nobody is left who could tell it.
func (r *runner) estimateClock() {
	if r.facts.Clock == nil {
		return
	}
	t0 := r.m.opts.Clock() - int64(r.latest())
	r.t0, r.told0 = &t0, &t0
}

// latest is the run time up to which workers may have fired by now. Where nobody has told the run time of this term,
// that goes by the wall clock, or by how long this term has lasted should the wall clock be behind that of the
// earlier one: as far as workers may have gone on without a leader, and no further.
func (r *runner) latest() time.Duration {
	c := r.facts.Clock
	if r.t0 != nil || c == nil {
		return r.now()
	}
	// A store that was slow has kept the run from this term while that served the workers already.
	most := r.plan.Grace + 2*r.m.opts.CommitEvery + time.Duration(r.launched-r.m.began)
	if r.orphaned {
		most = 2 * r.m.opts.CommitEvery // they ended with the process that would have committed
	}
	return c.Run + min(max(r.m.opts.Wall().Sub(c.Wall), time.Duration(r.m.opts.Clock()-r.m.began)), most)
}

// hearClocks keeps where those who are there say that T0 is: that stays so when they have gone.
func (r *runner) hearClocks() {
	for _, h := range r.everybody() {
		if w, here := r.alive(h.member); here {
			if t0, bound, told := w.T0(r.id); told {
				r.clocks[h.member] = run.Around(time.Duration(t0), bound)
			}
		}
	}
}

// learnClock takes the run time from whoever has told it in this term, in a run that is ending: one that an earlier
// term has stopped, or of whose stop a worker has told before the run time was known. It says when those fired last
// who are given up.
func (r *runner) learnClock() {
	if r.t0 != nil || !r.run.Stamped() {
		return
	}
	r.hearClocks()
	r.tieClock(slices.Collect(maps.Values(r.clocks)))
}

// tieClock sets the run time by what workers say, if any has.
func (r *runner) tieClock(clocks []run.Interval) {
	if len(clocks) == 0 {
		return
	}
	at, _ := run.Agree(clocks)
	t0 := int64(at.Mid())
	r.t0, r.told0 = &t0, &t0
}

// inHand ends the taking over, and does what was asked for meanwhile.
func (r *runner) inHand() {
	t := r.takeOver
	if t == nil {
		return
	}
	r.takeOver = nil
	r.facts.Leaders = slices.Clone(r.facts.Leaders) // a commit may be writing the present one
	last := &r.facts.Leaders[len(r.facts.Leaders)-1]
	last.At = max(0, r.now()-time.Duration(r.m.opts.Clock()-t.since))
	r.dirty = true
	r.log.Info("run in hand", "run_time", r.now().Round(time.Millisecond))
	r.view.event(r, "leader", fmt.Sprintf("%s conducts the run from here on", last.Coordinator))
	for _, fn := range t.held {
		fn()
	}
}

// inTime does something that needs the run time: at once, or when it is known again.
func (r *runner) inTime(fn func()) {
	if r.takeOver != nil {
		r.takeOver.held = append(r.takeOver.held, fn)
		return
	}
	fn()
}

// brief tells a worker that has attached for the first time in this term what to do.
func (r *runner) brief(h *hand) {
	if r.takeOver != nil || r.run.State == run.Idle || r.run.State == run.Validating {
		return // all are told at once, when it is known what
	}
	r.instruct(h, r.goal(), r.secrets())
}
