package supervisor

import (
	"fmt"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// Workers join a run that is under load: those that are free and carry its labels, the next life of one
// that was lost among them. One prepares first, as at the start, and owns nothing meanwhile. When it is ready
// the ring is divided anew.

// seekEvery is how often it is looked for workers that could join.
const seekEvery = time.Second

// seek has every free worker that could join prepare to do so, unless a run in the queue waits for such.
func (r *runner) seek() {
	now := r.m.opts.Clock()
	needy := len(r.executing()) == 0 // nothing is fired until somebody joins
	if r.run.State == run.Initializing || r.t0 == nil || r.scheduled() || (now-r.sought < int64(seekEvery) && !needy) {
		return
	}
	r.sought = now
	if r.m.queue.wants(r.plan.Workers.Match) || len(r.secrets()) < len(r.plan.Secrets) { // a leader without them can prepare nobody
		return
	}
	taken, _ := r.m.fleet.Reserve(r.id, r.plan.Workers.Match, 1)
	for _, w := range taken {
		r.enrol(w)
	}
}

// enrol makes a worker prepare to join.
func (r *runner) enrol(w fleet.Worker) {
	member := run.Member{Worker: w.Name, Incarnation: w.Incarnation}
	if before := r.crew[w.Name]; before != nil {
		if before.lost == nil && before.left == nil {
			r.m.fleet.Dismiss(member) // its earlier life is to be given up first
			return
		}
		r.former = append(r.former, before)
	}
	h := &hand{worker: w, member: member, joined: r.now(), here: true, recruit: true}
	r.crew[w.Name] = h
	r.log.Info("worker prepares to join", "worker_id", w.Name)
	r.instruct(h, wire.GoalPrepare, r.secrets())
}

// checkRecruit takes what a worker that prepares to join has reported.
func (r *runner) checkRecruit(h *hand) {
	if r.run.State != run.Running && r.run.State != run.Paused {
		return
	}
	switch {
	case h.status.State == wire.WorkerFailed:
		r.log.Warn("worker cannot join", "worker_id", h.worker.Name, "error", h.status.Error)
		r.view.event(r, "worker", fmt.Sprintf("%s cannot join: %s", h.worker.Name, h.status.Error))
		r.dismiss(h)
	case h.status.State >= wire.WorkerReady && r.calm():
		r.admit()
	}
}

// admit gives those that are ready to join their part.
func (r *runner) admit() {
	wanted := r.executing()
	joined := 0
	for _, h := range r.active() {
		if h.recruit && h.status.State >= wire.WorkerReady && h.status.State < wire.WorkerStopping {
			wanted = append(wanted, h)
			joined++
		}
	}
	if joined == 0 {
		return
	}
	at := r.now() + r.moveLead()
	if !r.reassign(r.shares(wanted), at, fmt.Sprintf("%d workers joined", joined)) {
		return
	}
	for i := range r.losses {
		if r.losses[i].until == 0 {
			r.losses[i].until = at // all of the ring has an owner again
		}
	}
	for _, h := range wanted {
		if !h.recruit {
			continue // one that is leaving has nothing any more either, and is still handing it over
		}
		if h.recruit = false; r.run.Shards.Positions(h.member) == 0 {
			r.dismiss(h) // its capacity rounds to nothing
		}
	}
}

// shares are what workers count for; one that is leaving gets nothing more.
func (r *runner) shares(hands []*hand) []share {
	var out []share
	for _, h := range hands {
		if !h.leaving {
			out = append(out, share{h.member, h.worker.Capacity})
		}
	}
	if len(out) == 0 {
		for _, h := range hands {
			out = append(out, share{h.member, h.worker.Capacity}) // there is nobody else
		}
	}
	return out
}

// reassign divides the ring anew, from run time at on.
func (r *runner) reassign(want []share, at time.Duration, reason string) bool {
	var dead []run.Member
	for _, h := range r.everybody() {
		if h.lost != nil {
			dead = append(dead, h.member)
		}
	}
	shards := reassign(r.run.Shards, want, dead, r.now(), at)
	return r.moveShards(shards, at, reason)
}

// moveLead is how far ahead of now shards are given to new owners: far enough that those who hand them over
// hear of it before.
func (r *runner) moveLead() time.Duration {
	return run.CommandLead + 2*r.view.lastWrite() + 2*r.worstBound()
}

// dismiss lets a worker go that has nothing to do for the run any more.
func (r *runner) dismiss(h *hand) {
	now := r.now()
	h.left = &now
	r.m.fleet.Dismiss(h.member)
}
