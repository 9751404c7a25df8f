package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// hand is one worker of the crew.
type hand struct {
	worker   fleet.Worker
	member   run.Member
	status   wire.Status
	final    *wire.Final
	joined   time.Duration
	here     bool           // it has attached in this term
	unheard  bool           // what it says next is of the time without a leader
	backlog  uint64         // the last batch that it had when it did
	lost     *time.Duration // run time at which it was given up, or had left early
	left     *time.Duration // run time at which it had handed over everything, and told all
	recruit  bool           // it prepares to join, and owns nothing yet
	leaving  bool           // it is to hand over what it owns
	stopped  bool           // it was told to stop, having handed that over
	quit     bool           // it has stopped by its own judgement, which is not that of the whole
	retired  bool           // it was given up, has told all, and may begin another life
	gone     bool           // it is known to have stopped: by its goodbye, or because it lives again
	revision uint64         // of the last assignment sent

	// In-flight permits by phase: what it was told last, and the most that it may believe to have.
	permits, held map[string]int64
}

// received takes a message of a worker.
func (r *runner) received(w fleet.Worker, msg wire.Upward) {
	switch m := msg.(type) {
	case wire.Sealed:
		r.batch(w, m)
	case wire.Status:
		if h := r.hand(w); h != nil {
			r.reported(h, m)
		}
	case wire.Final:
		if h := r.hand(w); h != nil && h.member.Incarnation == m.Incarnation {
			r.dirty = r.dirty || h.final == nil // it may be gone when the next leader would ask
			h.final = &m
			r.delivered(sourceOf(h.member), 0)
		}
	case wire.TaskResult:
		r.taskDone(w, m)
	}
}

// hand returns the crew member that a session belongs to, if it is still the same life of it.
func (r *runner) hand(w fleet.Worker) *hand {
	h := r.crew[w.Name]
	if h == nil || h.member.Incarnation != w.Incarnation {
		return nil
	}
	return h
}

// attached takes back a worker that has a session again. Another life of it is the proof that the
// life that was assigned has stopped.
func (r *runner) attached(w fleet.Worker, hello wire.Hello) {
	h := r.crew[w.Name]
	if h == nil {
		return
	}
	if h.member.Incarnation != w.Incarnation {
		// Only the next life of the same worker is a proof; another one that has its name is none.
		h.gone = h.gone || w.Incarnation > h.member.Incarnation && (w.Instance == h.worker.Instance || h.worker.Instance == "")
		return
	}
	h.worker = w
	first := !h.here
	h.unheard = first && r.rebuilding != nil
	h.here = true
	if e := r.errand; e != nil && e.hand == h {
		r.order(h, e.kind, e.id) // it may not have heard of it; twice it does nothing
	}
	knows := hello.Status != nil && hello.Status.Run == r.id
	for _, o := range hello.Outbox {
		if first && o.Run == r.id && o.Incarnation == w.Incarnation {
			h.backlog = o.NextSeq - 1
		}
	}
	if first && knows {
		h.revision = max(h.revision, hello.Status.Revision)
		if h.permits == nil && hello.Status.Permits != nil {
			h.permits, h.held = maps.Clone(hello.Status.Permits), maps.Clone(hello.Status.Permits)
		}
	}
	if first && !knows && r.run.Stamped() {
		h.gone = true // the same process, and it does nothing for this run any more
	}
	if knows {
		r.reported(h, *hello.Status)
	}
	if first {
		r.brief(h)
	}
}

// detached notes that a worker has lost its session. It may have a new one already; how long it is
// silent decides, and the fleet knows that.
func (r *runner) detached(w fleet.Worker, reason string, goodbye bool) {
	h := r.hand(w)
	if h == nil {
		return
	}
	h.gone = h.gone || goodbye
	r.log.Info("worker away", "worker_id", w.Name, "reason", reason)
	r.view.event(r, "worker", w.Name+" away: "+reason)
}

// reported takes a worker's status.
func (r *runner) reported(h *hand, s wire.Status) {
	if s.Run != r.id || s.State < h.status.State || s.Revision < min(h.status.Revision, h.revision) {
		return // overtaken, by way of a session that another has replaced; an earlier leader's revisions may be higher
	}
	h.status = s
	if r.toldToStop(h, s.Stop) {
		return
	}
	if h.recruit {
		r.checkRecruit(h)
		return
	}
	if s.State == wire.WorkerFailed && r.run.State != run.Stopping {
		r.expect(run.Event{Kind: run.ErrorOccurred, Reason: fmt.Sprintf("worker %s: %s", h.worker.Name, s.Error)})
		return
	}
	switch r.run.State {
	case run.Initializing:
		r.checkReady()
	case run.Running, run.Paused:
		r.checkPhases()
	case run.Stopping:
		r.checkDrained()
	}
}

// active yields the crew that has not been given up and has not left.
func (r *runner) active() []*hand {
	out := make([]*hand, 0, len(r.crew))
	for _, name := range r.crewNames() {
		if h := r.crew[name]; h.lost == nil && h.left == nil {
			out = append(out, h)
		}
	}
	return out
}

// executing yields the active crew without those that only prepare to join.
func (r *runner) executing() []*hand {
	return slices.DeleteFunc(r.active(), func(h *hand) bool { return h.recruit })
}

// checkReady passes the barrier when every worker is ready.
func (r *runner) checkReady() {
	for _, h := range r.active() {
		if h.status.State < wire.WorkerReady || h.status.Revision < h.revision {
			return
		}
	}
	switch r.run.Setup.State {
	case run.TaskPending, run.TaskStarted:
		r.beginSetup()
		return
	}
	switch {
	case !r.run.Ready:
		r.expect(run.Event{Kind: run.BarrierReady, Reason: "every worker is ready"})
	case !r.run.Stamped():
		r.stampT0() // an earlier term got as far as the barrier
	}
}

// checkPhases starts the phases whose predecessor is over, and ends the run when all are.
func (r *runner) checkPhases() {
	if r.t0 == nil || r.now() < 0 {
		return
	}
	over := map[string]bool{}
	all := true
	for _, p := range r.plan.Phases {
		over[p.Name] = r.phaseOver(p.Name)
		all = all && over[p.Name]
	}
	for _, p := range r.plan.Phases {
		if p.After != "" && over[p.After] && !r.phaseStarted(p.Name) {
			if err := r.step(run.Event{Kind: run.PhaseStarted, ID: r.id + "/phase/" + p.Name, Phase: p.Name, Reason: p.After + " has ended"}); err == nil {
				r.view.event(r, "phase", p.Name+" starts")
			}
		}
	}
	if all {
		r.expect(run.Event{Kind: run.AllEnded, At: r.loadEnd(), Reason: "every phase has ended"})
	}
}

func (r *runner) phaseStarted(name string) bool {
	return slices.ContainsFunc(r.run.History, func(c run.Change) bool {
		return c.Kind == run.ChangePhaseStart && c.Phase == name
	})
}

// phaseOver reports whether a phase's schedule has ended and nothing of it is in flight, on every
// worker that is still there.
func (r *runner) phaseOver(name string) bool {
	anybody := false
	for _, h := range r.crew { // in any order, and without a list: it is asked with every status
		if h.lost != nil || h.left != nil || h.recruit {
			continue
		}
		anybody = true
		i := slices.IndexFunc(h.status.Phases, func(p wire.PhaseStatus) bool { return p.Phase == name })
		if i < 0 || !h.status.Phases[i].Ended || h.status.Phases[i].InFlight > 0 {
			return false
		}
	}
	return anybody
}

// checkCrew gives up workers that are known to have stopped, or whose lease cannot be alive: silence
// decides, with a session or without one, because a process that hangs keeps its connection.
func (r *runner) checkCrew() {
	var lost []*hand
	for _, h := range r.active() {
		if r.checkLeft(h) {
			continue
		}
		if r.through(h) && (!h.gone && !h.quit || r.run.State == run.Stopping || r.scheduled()) {
			continue // its part is done; one that leaves before is a loss, however orderly it went
		}
		w, known := r.m.fleet.Worker(h.worker.Name)
		if h.gone || h.quit || !known || w.Incarnation != h.member.Incarnation || w.Silent > r.patience() || r.overdue(h) {
			lost = append(lost, h)
		}
	}
	if len(lost) == 0 {
		if len(r.executing()) == 0 && len(r.active()) == 0 && r.run.State != run.Stopping {
			r.expect(run.Event{Kind: run.WorkersLost, Reason: "no worker is left"})
		}
		return
	}
	if r.run.State != run.Stopping && r.unconfirmed(lost) {
		return
	}
	now := r.latest()
	for _, h := range lost {
		h.lost = &now
		r.log.Warn("worker lost", "worker_id", h.worker.Name)
		r.view.event(r, "worker", h.worker.Name+lostSuffix)
	}
	if r.run.State == run.Stopping {
		r.lose(lost, 0)
		return
	}
	if owners := slices.DeleteFunc(slices.Clone(lost), func(h *hand) bool { return h.recruit }); len(owners) > 0 {
		r.replace(owners)
	}
	if r.run.State == run.Running || r.run.State == run.Paused {
		r.checkPhases() // those who are left may have told all, and be gone: nobody else says that it is over
	}
}

// scheduled reports whether the schedules of all phases are over.
func (r *runner) scheduled() bool {
	timeline := r.run.Timeline()
	plan := timeline.PlanTime(r.now())
	starts := schedule.Starts(r.plan.Phases, timeline)
	for _, p := range r.plan.Phases {
		if start, known := starts[p.Name]; !known || plan < start+timeline.PhaseLength(p.Name, start, p.Length) {
			return false
		}
	}
	return true
}

// replace applies the scenario's policy to lost workers.
func (r *runner) replace(lost []*hand) {
	rest, gone, joined, all := r.executing(), 0, 0, 0
	for _, h := range r.crew {
		if h.recruit || h.left != nil {
			continue
		}
		all++
		if h.lost != nil {
			gone++
		}
		if h.joined > 0 {
			joined++
		}
	}
	gone, all = max(gone-joined, 0), max(all-joined, 1) // who joined is there in the place of one
	reason := fmt.Sprintf("%d of %d workers lost", gone, all)
	if r.plan.Loss.Policy == "abort" || (gone > 1 && float64(gone)/float64(all) > r.plan.Loss.MaxLost) || r.run.State == run.Initializing {
		r.lose(lost, 0)
		r.expect(run.Event{Kind: run.WorkersLost, Reason: reason})
		return
	}
	if len(rest) == 0 {
		r.lose(lost, 0)
		if r.seek(); len(r.active()) == 0 {
			r.expect(run.Event{Kind: run.WorkersLost, Reason: reason})
		}
		return // else those who prepare get it all
	}
	if r.plan.Loss.Policy == "shed" {
		r.lose(lost, 0)
		r.abandonHanding(lost, r.now())
		r.reassign(nil, r.now(), reason)
		return
	}
	at := r.now() + r.moveLead()
	r.lose(lost, at)
	r.abandonHanding(lost, at)
	r.reassign(r.shares(rest), at, reason)
}
