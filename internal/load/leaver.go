package load

import (
	"iter"

	"proofload/internal/load/schedule"
)

// leaver is a program that keeps something for each user of a closed phase. Neither call may take long: they
// are the pacer's.
type leaver interface {
	// leave says that a user who is not at work is not active any more, not this worker's, or out of data; all
	// but the last may come back.
	leave(p *phase, user int64)
	// leaveAll is leave of many, none of whom comes back. They are asked for by another goroutine.
	leaveAll(p *phase, users iter.Seq[int64])
}

// leave lets a user who is not at work go.
func (e *Engine) leave(p *phase, user int64) {
	if l, ok := e.program.(leaver); ok {
		l.leave(p, user)
	}
}

// present reports whether user u is active and this worker's.
func (c *closedLoad) present(u int64) bool {
	return u < c.active && c.owned.has(schedule.UserShard(u))
}

// dismiss lets the users from and up to another number go who wait and are not present any more; those at
// work go when they come back.
func (c *closedLoad) dismiss(e *Engine, from, to int64) {
	for u := from; u < min(to, int64(len(c.slots))); u++ {
		if s := &c.slots[u]; s.busy && !s.working && !c.present(u) {
			e.leave(c.phase, u)
		}
	}
}

// end lets everybody go, those at work when they come back.
func (c *closedLoad) end(e *Engine) {
	c.shut()
	c.mu.Lock()
	back := c.back
	c.back, c.over = nil, true
	c.mu.Unlock()
	for _, f := range back {
		c.slots[f.job.user].working = false
	}
	slots := c.slots
	c.slots, c.queue = nil, nil // nothing starts any more
	if l, ok := e.program.(leaver); ok && len(slots) > 0 {
		l.leaveAll(c.phase, resting(slots))
	}
}

// resting yields the users who are not at work.
func resting(slots []slot) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for u := range slots {
			if !slots[u].working && !yield(int64(u)) {
				return
			}
		}
	}
}
