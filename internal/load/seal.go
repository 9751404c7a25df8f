package load

import (
	"maps"
	"time"

	"proofload/internal/metric"
)

// Seal closes a run-time second, and with it every one before it that is still open, and returns
// what happened since the last call, with the engine's judgement of it. Seconds must be sealed in
// order, each after its end; the last one after Run has returned.
func (e *Engine) Seal(index int64) metric.Second {
	e.sealing.Lock()
	defer e.sealing.Unlock()
	s := e.acc.Seal(index)
	from, to := time.Duration(index)*time.Second, time.Duration(index+1)*time.Second
	s.Paused = e.paused(from, to)
	e.peaks(&s)
	e.inFlightBooks(s)
	e.peaks(&s)
	oldest := map[awaited]time.Duration{}
	for _, l := range e.lanes {
		l.ages(oldest)
	}
	for key, n := range e.books {
		row, ok := s.Arrivals[key]
		if !ok {
			row = &metric.Arrivals{}
			s.Arrivals[key] = row
		}
		row.InFlight = n
	}
	for at, since := range oldest {
		if row, ok := s.Arrivals[at.row]; ok && since < to {
			if row.Oldest == nil {
				row.Oldest = map[string]time.Duration{}
			}
			row.Oldest[at.step] = to - since
		}
	}
	maps.Copy(s.Infos, e.infos)
	s.Health, s.Causes = e.check.judge(s, e.lapsed(from, to))
	return s
}

// peaks raises the peaks of a second to what the books say is in flight: at its begin, or at its end.
func (e *Engine) peaks(s *metric.Second) {
	inFlight := map[string]int64{}
	for key, n := range e.books {
		inFlight[key.Phase] += n
	}
	for _, p := range e.phases {
		if n := inFlight[p.plan.Name]; p.users == nil && n > s.Peaks[p.plan.Name] {
			if s.Peaks == nil {
				s.Peaks = map[string]int64{}
			}
			s.Peaks[p.plan.Name] = n
		}
	}
}

func (e *Engine) paused(from, to time.Duration) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.timeline.PausedWithin(from, to)
}
