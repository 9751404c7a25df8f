package agent

import (
	"maps"

	"proofload/internal/wire"
)

// progress reports when a phase has got further.
func (w *work) progress() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reportLocked()
}

func (w *work) report() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reportLocked()
}

// reportLocked posts the status if it says something new. How many operations are in flight is news
// only when a phase's schedule has ended.
func (w *work) reportLocked() {
	s := wire.Status{Run: w.run, Revision: w.wanted.Revision, State: w.state, Error: w.failure, T0: w.wanted.T0, Changes: len(w.wanted.History), HandOver: w.handOverTo, Heard: w.heard, Granted: w.wanted.Granted(), Stop: w.wanted.Stop, Permits: maps.Clone(w.wanted.Permits)}
	s.Stop.At = w.stopped
	if w.engine != nil {
		status := w.engine.Status()
		s.Skew = status.Skew
		for _, p := range status.Phases {
			in := int64(0)
			if p.Ended && !p.Drained {
				in = max(p.InFlight, 1)
			}
			s.Phases = append(s.Phases, wire.PhaseStatus{Phase: p.Phase, Started: p.Started, Ended: p.Ended, InFlight: in})
		}
	}
	if sameStatus(s, w.lastStatus) {
		return
	}
	w.lastStatus = s
	w.agent.link.Report(&s)
}

func sameStatus(a, b wire.Status) bool {
	if a.Stop != b.Stop || a.Run != b.Run || a.Revision != b.Revision || a.State != b.State || a.Error != b.Error || (a.T0 == nil) != (b.T0 == nil) || len(a.Phases) != len(b.Phases) {
		return false
	}
	for i, p := range a.Phases {
		q := b.Phases[i]
		if p.Started != q.Started || p.Ended != q.Ended || (p.InFlight == 0) != (q.InFlight == 0) {
			return false
		}
	}
	return true
}
