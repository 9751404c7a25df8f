package supervisor

import (
	"maps"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// charging is what the plan says about arrivals for which there was no permit.
func charging(plan *scenario.Plan) metric.Charging {
	c := metric.Charging{Caps: map[string]int64{}, Sent: plan.Validity.Sent}
	for _, p := range plan.Phases {
		c.Caps[p.Name] = p.MaxInFlight
	}
	return c
}

// redivideEvery is how often unused permits go to those who need them.
const redivideEvery = time.Second

// redivideMoving is how often while shards are about to move: who gets them needs permits by then.
const redivideMoving = 100 * time.Millisecond

// allotment is one worker's part of a phase's in-flight cap.
type allotment struct {
	weight float64 // positions owned
	used   int64   // in flight when it last told
	held   int64   // the most that it may believe to have
}

// redivide shares a cap out again: everybody gets what it uses and, in proportion to its weight, a
// part of what nobody uses. Nobody is given more before those who give it up have said that they know,
// so that the fleet never holds more than the cap. It returns what each is to be told.
func redivide(limit int64, all []allotment) []int64 {
	var used, held int64
	shares := make([]share, len(all))
	for i, a := range all {
		used += a.used
		held += a.held
		shares[i] = share{capacity: a.weight}
	}
	out := make([]int64, len(all))
	if used >= limit { // saturated: moving permits about would help nobody
		for i, a := range all {
			out[i] = a.held
		}
	} else {
		for i, p := range cut(shares, int(limit-used)) {
			out[i] = all[i].used + int64(p.to-p.from)
		}
	}
	room := max(0, limit-held)
	for i, a := range all {
		if more := out[i] - a.held; more > 0 {
			given := min(more, room)
			out[i], room = a.held+given, room-given
		}
	}
	return out
}

// shareCaps divides the in-flight caps among the workers again.
func (r *runner) shareCaps() {
	now := r.m.opts.Clock()
	hands := r.active()
	every := redivideEvery
	if !r.calm() || len(r.executing()) < len(hands) {
		every = redivideMoving
	}
	if r.run.State != run.Running || now-r.redivided < int64(every) || len(hands) == 0 {
		return
	}
	if slices.ContainsFunc(hands, func(h *hand) bool { return h.permits == nil }) {
		return // what one has that is still away is not known
	}
	r.redivided = now
	changed := map[*hand]bool{}
	for _, h := range hands {
		if h.status.Revision >= h.revision {
			h.held = maps.Clone(h.permits)
		}
	}
	for _, p := range r.plan.Phases {
		if p.MaxInFlight <= 0 {
			continue
		}
		all := make([]allotment, len(hands))
		for i, h := range hands {
			all[i] = allotment{weight: r.weight(h), used: r.view.inFlightOf(p.Name, h.worker.Name), held: h.held[p.Name]}
		}
		for i, n := range redivide(p.MaxInFlight, all) {
			h := hands[i]
			if n != h.permits[p.Name] {
				h.permits[p.Name], changed[h] = n, true
				h.held[p.Name] = max(h.held[p.Name], n)
			}
		}
	}
	if len(changed) > 0 {
		secrets := r.secrets()
		for h := range changed {
			r.instruct(h, r.goal(), secrets)
		}
	}
}

// allot gives a worker its first part of the caps.
func (r *runner) allot(h *hand) {
	h.permits = map[string]int64{}
	for _, p := range r.plan.Phases {
		if p.MaxInFlight <= 0 {
			continue
		}
		h.permits[p.Name] = r.owned.permits(r.run.Shards, p.MaxInFlight)[h.member]
	}
	h.held = maps.Clone(h.permits)
}

// weight is what a worker counts for when permits are divided. One that is to join counts already, so that it
// has permits when it begins.
func (r *runner) weight(h *hand) float64 {
	if !h.recruit {
		return r.positions(h)
	}
	all := 0.0
	for _, w := range r.active() {
		all += w.worker.Capacity
	}
	return run.Positions * h.worker.Capacity / all
}

// positions returns how many positions of the ring a worker executes: also those that it is about to give away.
func (r *runner) positions(h *hand) float64 {
	n := 0
	for _, g := range r.owned.ranges(r.run.Shards, h.member) {
		if g.Current() || r.now() < g.Until+handSettled {
			n += g.To - g.From
		}
	}
	return float64(n)
}
