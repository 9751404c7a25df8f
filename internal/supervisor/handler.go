package supervisor

import (
	"maps"
	"slices"

	"proofload/internal/fleet"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

var _ fleet.Handler = (*Manager)(nil)

// Attached implements fleet.Handler.
func (m *Manager) Attached(w fleet.Worker, hello wire.Hello) []wire.Mark {
	var marks []wire.Mark
	for _, o := range hello.Outbox {
		r, err := m.live(o.Run)
		if err != nil || r.view.snapshot().Run.State.Final() {
			m.strayed(stray{worker: w.Name, run: o.Run, incarnation: o.Incarnation})
			continue
		}
		marks = append(marks, wire.Mark{Run: o.Run, Incarnation: o.Incarnation, Through: r.view.committed(w.Name, o.Incarnation)})
	}
	for _, r := range m.conducted() {
		r.mail.follow(statusSlot{w.Name, w.Incarnation}, func() {
			r.debit(w, hello)
			r.attached(w, hello)
		})
	}
	m.queue.nudge()
	return marks
}

// conducted returns the runners of this term.
func (m *Manager) conducted() []*runner {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	return slices.Collect(maps.Values(m.runners))
}

// Detached implements fleet.Handler.
func (m *Manager) Detached(w fleet.Worker, reason string, goodbye bool) {
	if w.Run == "" {
		return
	}
	if r, err := m.live(w.Run); err == nil {
		r.mail.follow(statusSlot{w.Name, w.Incarnation}, func() { r.detached(w, reason, goodbye) })
	}
}

// Leaving implements fleet.Handler.
func (m *Manager) Leaving(w fleet.Worker, reason string) {
	for _, r := range m.conducted() {
		r.mail.post(func() { r.leaving(w, reason) })
	}
}

// Received implements fleet.Handler.
func (m *Manager) Received(w fleet.Worker, msg wire.Upward) {
	id := wire.RunOf(msg)
	r, err := m.live(id)
	if err == nil {
		r.deliver(w, msg)
		return
	}
	if c := m.caretaker(); c != nil {
		c.received(w, msg)
		return
	}
	switch b := msg.(type) {
	case wire.Sealed:
		m.strayed(stray{worker: w.Name, run: b.Run, incarnation: b.Incarnation, batch: true})
	case wire.Final:
		m.strayed(stray{worker: w.Name, run: b.Run, incarnation: b.Incarnation})
	}
}

// statusSlot and resendSlot are the places in a run's mailbox of what is only worth its newest content.
type (
	statusSlot run.Member
	resendSlot metric.Source
)

// deliver puts a message into the run's mailbox. A batch for which there is no room is asked for again when what
// came before it has been worked off.
func (r *runner) deliver(w fleet.Worker, msg wire.Upward) {
	take := func() { r.received(w, msg) }
	switch m := msg.(type) {
	case wire.Status:
		r.mail.replace(statusSlot{w.Name, w.Incarnation}, take)
	case wire.Sealed:
		if r.mail.offer(len(m.Data), take) {
			return
		}
		source := metric.Source{Worker: w.Name, Incarnation: m.Incarnation}
		r.mail.replace(resendSlot(source), func() {
			r.m.fleet.Nack(w.Name, wire.Nack{
				Run: r.id, Incarnation: m.Incarnation, Want: r.ledger.Want(source), Reason: wire.NackGap,
				Message: "more samples came at once than the coordinator holds",
			})
		})
	default:
		r.mail.post(take)
	}
}
