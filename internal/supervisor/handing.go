package supervisor

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// handing is shards on their way from living workers to others. The givers are told first. When all of them
// have said that they know, and since when, the takers are told: theirs is what is due after that. So no
// arrival is fired twice, however slow the store or a link is, and none is given up when they are not.
type handing struct {
	at      time.Duration
	givers  []*hand
	settled bool // the map says what became of it, as soon as that is recorded
}

// handPending is how long a hand-over may wait for its record and its givers, beyond the silence of one.
const handPending = 30 * time.Second

// handSettled is how long after its end a giver may still be starting what was due before.
const handSettled = 200 * time.Millisecond

// moveShards records a new map, in which living workers may hand something over at a time; 0: none does.
func (r *runner) moveShards(shards run.ShardMap, at time.Duration, reason string) bool {
	if err := shards.Validate(); err != nil {
		// Whose a position was is worth less than the run: a giver stops when it hears of it, and what it had
		// not sent by its stamp is unknown.
		r.log.Warn("map of shards put right", "error", err)
		shards = withoutPast(shards)
	}
	before := r.handings
	if at > 0 {
		r.handings = append(slices.Clip(before), r.givers(shards, at)...)
	}
	if err := r.step(run.Event{Kind: run.ShardsMoved, Shards: &shards, Reason: reason}); err != nil {
		r.handings = before
		r.abandon(err)
		return false
	}
	return true
}

// givers finds who hands something over at a time.
func (r *runner) givers(shards run.ShardMap, at time.Duration) []*handing {
	h := &handing{at: at}
	for _, o := range shards.Owners {
		if r.executes(o.Member) && gives(o.Ranges, at) {
			h.givers = append(h.givers, r.life(o.Member))
		}
	}
	if len(h.givers) == 0 {
		return nil
	}
	return []*handing{h}
}

// executes reports whether a life of a worker is with the run, neither lost nor dismissed.
func (r *runner) executes(m run.Member) bool {
	h := r.life(m)
	return h != nil && h.lost == nil && h.left == nil
}

// gives reports whether one of the ranges is handed over at a time.
func gives(ranges []run.Range, at time.Duration) bool {
	return slices.ContainsFunc(ranges, func(g run.Range) bool { return g.Until == at })
}

// withheld reports whether a range is being handed to its owner, and may not be told to it yet.
func (r *runner) withheld(g run.Range) bool {
	return slices.ContainsFunc(r.handings, func(h *handing) bool { return h.at == g.Since })
}

// confirmed reports whether a giver has said that it knows. One that got back what it was to give needs not.
func (r *runner) confirmed(h *handing, g *hand) bool {
	return over(g) || g.status.HandOver >= h.at || !gives(r.run.Shards.Ranges(g.member), h.at)
}

// late reports whether a giver has heard of a hand-over when it was due already. What it says is of the last one that
// it has heard of.
func (h *handing) late(g *hand) bool { return g.status.HandOver == h.at && g.status.Heard >= h.at }

// unconfirmed reports whether somebody, but for those in lost, has yet to confirm a hand-over. Until then the map
// cannot be divided anew: who would get what is on its way would be told of it without waiting for its giver.
func (r *runner) unconfirmed(lost []*hand) bool {
	return slices.ContainsFunc(r.handings, func(h *handing) bool {
		return !h.settled && slices.ContainsFunc(h.givers, func(g *hand) bool {
			// One that has told all that it did has executed its part to the end of the schedule: it gives nothing, and
			// keeps nobody waiting.
			return g.lost == nil && !r.through(g) && !slices.Contains(lost, g) && !r.confirmed(h, g)
		})
	})
}

// checkHandOver gives the takers what all givers have confirmed. What a giver heard of too late is the
// takers' only from then on.
func (r *runner) checkHandOver() {
	if r.stored.Shards.Revision < r.run.Shards.Revision {
		return // nobody is told before it is recorded
	}
	r.handings = slices.DeleteFunc(slices.Clone(r.handings), func(h *handing) bool { return h.settled })
	for _, h := range r.handings {
		if slices.ContainsFunc(h.givers, func(g *hand) bool { return !r.confirmed(h, g) }) {
			continue
		}
		shards, late := r.run.Shards, false
		for _, g := range h.givers {
			switch {
			case g.lost != nil:
			case over(g): // it says nothing more: what it executed its batches tell
				if heard := r.reached[sourceOf(g.member)]; heard >= h.at {
					shards, late = shift(shards, g.member, h.at, heard+1), true
				}
			case h.late(g):
				shards, late = shift(shards, g.member, h.at, g.status.Heard+1), true
			}
		}
		if h.settled = true; late {
			r.moveShards(shards, 0, "a hand-over was heard of late")
			return
		}
		r.handings = slices.DeleteFunc(slices.Clone(r.handings), func(o *handing) bool { return o == h })
		r.assignAll(r.goal())
		return // the next one with the next tick
	}
	if r.calm() {
		r.admit()
		r.checkLeaving()
	}
}

// over reports whether nothing more is heard of a worker.
func over(h *hand) bool { return h.lost != nil || h.left != nil || h.gone }

// resumeHanding goes on with hand-overs that an earlier term may not have completed: the last one of each giver.
// What a giver says of when it heard is about that one. Takers are given theirs all at once, so that one of
// them who says that it has his proves that it was completed; and nobody who may still be a giver is awaited for
// longer than it may be silent.
func (r *runner) resumeHanding() {
	for _, o := range r.run.Shards.Owners {
		var last time.Duration
		for _, g := range o.Ranges {
			last = max(last, g.Until)
		}
		if last == 0 || !r.executes(o.Member) || last < r.now()-r.patience()-handPending || r.granted(last) {
			continue
		}
		i := slices.IndexFunc(r.handings, func(h *handing) bool { return h.at == last })
		if i < 0 {
			i, r.handings = len(r.handings), append(r.handings, &handing{at: last})
		}
		r.handings[i].givers = append(r.handings[i].givers, r.life(o.Member))
	}
}

// granted reports whether a taker says that it has what was handed over at a time.
func (r *runner) granted(at time.Duration) bool {
	return slices.ContainsFunc(r.executing(), func(h *hand) bool { return h.here && h.status.Granted >= at })
}

// lastHandOver is the run time of the newest hand-over; 0: there was none lately.
func (r *runner) lastHandOver() time.Duration {
	var last time.Duration
	for _, o := range r.run.Shards.Owners {
		for _, g := range o.Ranges {
			last = max(last, g.Until)
		}
	}
	return last
}

// calm reports whether nothing is on its way to an owner or was handed over just now: an engine knows one stretch of
// time for each position, and may get back what it gave only once that is over. What somebody was told to begin with
// soon is on its way, too: to give it to another then would need no hand-over by the map, and it may hear of that late.
func (r *runner) calm() bool {
	now, last := r.now(), r.lastHandOver()
	for _, o := range r.run.Shards.Owners {
		if slices.ContainsFunc(o.Ranges, func(g run.Range) bool { return g.Since > now }) {
			return false
		}
	}
	return len(r.handings) == 0 && (last == 0 || now > last+handSettled)
}

// abandonHanding leaves lost workers out of hand-overs. What they were to give away they may have fired until
// they were given up, and it is the takers' from run time at on.
func (r *runner) abandonHanding(lost []*hand, at time.Duration) {
	for _, h := range r.handings {
		for _, g := range lost {
			if slices.Contains(h.givers, g) {
				r.run.Shards = bereave(r.run.Shards, g.member, h.at, at)
			}
		}
		for _, g := range h.givers {
			if !h.settled && g.lost == nil && h.late(g) { // the others are not waited for any more
				r.run.Shards = shift(r.run.Shards, g.member, h.at, g.status.Heard+1)
			}
		}
	}
}

// leaving has a worker hand over what it owns, for it wants to end.
func (r *runner) leaving(w fleet.Worker, reason string) {
	h := r.hand(w)
	if h == nil || h.leaving || h.lost != nil || h.left != nil {
		return
	}
	h.leaving, r.dirty = true, true
	r.log.Info("worker is leaving", "worker_id", w.Name, "reason", reason)
	r.view.event(r, "worker", w.Name+" is leaving: "+reason)
	if h.recruit {
		r.dismiss(h)
	}
}

// checkLeaving hands over what leaving workers own, and tells them to stop once others have it.
func (r *runner) checkLeaving() {
	owned, others := 0, false
	for _, h := range r.executing() {
		if !h.leaving {
			others = true
			continue
		}
		owned += r.run.Shards.Positions(h.member)
		if r.handedOver(h) && h.status.State < wire.WorkerStopping && !h.stopped {
			h.stopped = true
			r.instruct(h, wire.GoalStop, r.secrets())
		}
	}
	if owned > 0 && others && !r.scheduled() {
		r.reassign(r.shares(r.executing()), r.now()+r.moveLead(), "workers leave")
	}
}

// handedOver reports whether others execute all that a worker that is leaving owned.
func (r *runner) handedOver(h *hand) bool {
	if !h.leaving || len(r.handings) > 0 {
		return false
	}
	for _, g := range r.owned.ranges(r.run.Shards, h.member) {
		if g.Current() || r.now() < g.Until+handSettled {
			return false
		}
	}
	return true
}

// checkLeft lets a worker go that has handed over everything and told all that it did.
func (r *runner) checkLeft(h *hand) bool {
	if !r.run.Stamped() || h.recruit || !r.through(h) || r.run.Shards.Positions(h.member) > 0 || r.run.State == run.Stopping {
		return false
	}
	r.log.Info("worker has left", "worker_id", h.worker.Name)
	r.view.event(r, "worker", fmt.Sprintf("%s has left, and others have its part", h.worker.Name))
	r.dismiss(h)
	r.dirty = true
	return true
}
