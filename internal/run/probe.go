package run

import (
	"math"
	"time"

	"proofload/internal/search"
)

// Probe is one probe of a capacity search as it was judged. Its rate and its begin stand in the history.
type Probe struct {
	Change string `json:"change"` // id of the change that began it
	search.Verdict
	// Cut says that it was ended before its time, because a criterion that aborts was breached.
	Cut bool `json:"cut,omitempty"`
}

// OpenProbe returns the probe that has begun and is not judged yet.
func (r Run) OpenProbe() (Change, bool) {
	all := r.History.Probes()
	if len(all) == len(r.Probes) {
		return Change{}, false
	}
	return all[len(r.Probes)], true
}

// Verdicts are those of the probes, from which a search can be replayed.
func (r Run) Verdicts() []search.Verdict {
	out := make([]search.Verdict, len(r.Probes))
	for i, p := range r.Probes {
		out[i] = p.Verdict
	}
	return out
}

// probesFit tells whether what was judged is the probes that began, but for one that is open.
func probesFit(begun []Change, judged []Probe) bool {
	if len(judged) > len(begun) || len(begun) > len(judged)+1 {
		return false
	}
	for i, p := range judged {
		if p.Change != begun[i].ID || p.Rate != begun[i].Rate || !p.Outcome.Valid() {
			return false
		}
	}
	return true
}

// probeStarted begins a probe on a second's boundary, so that what it measures is whole seconds.
func (s *step) probeStarted() error {
	switch _, open := s.run.OpenProbe(); {
	case open:
		return s.refuse("a probe is under way")
	case s.ev.Phase == "":
		return s.wrong("the phase is missing")
	case !(s.ev.Rate > 0) || math.IsInf(s.ev.Rate, 0) || s.ev.For <= 0 || s.ev.For > maxRunTime || s.ev.At > maxRunTime-time.Second:
		return s.wrong("a probe at %v/s for %v from %v on cannot be", s.ev.Rate, s.ev.For, s.ev.At)
	case s.phaseEnds(s.ev.Phase):
		return s.refuse("phase %s has ended", s.ev.Phase)
	}
	s.change(Change{Kind: ChangeProbe, Phase: s.ev.Phase, Rate: s.ev.Rate, For: s.ev.For, At: s.ev.At})
	return nil
}

// probeJudged records what a probe has shown, once. One that is cut makes no more load.
func (s *step) probeJudged() error {
	open, ok := s.run.OpenProbe()
	switch {
	case !ok:
		return s.refuse("no probe is under way")
	case s.ev.Probe == nil:
		return s.wrong("the probe is missing")
	case s.ev.Probe.Change != open.ID || s.ev.Probe.Rate != open.Rate:
		return s.refuse("probe %s is under way, and not %s", open.ID, s.ev.Probe.Change)
	case !s.ev.Probe.Outcome.Valid():
		return s.wrong("unknown outcome %q", s.ev.Probe.Outcome)
	}
	s.run.Probes = append(s.run.Probes, *s.ev.Probe)
	if s.ev.Probe.Cut {
		s.change(Change{Kind: ChangeProbe, Phase: open.Phase})
		return nil
	}
	s.do(Persist)
	return nil
}

// phaseEnded ends the schedule of a phase.
func (s *step) phaseEnded() error {
	switch {
	case s.ev.Phase == "":
		return s.wrong("the phase is missing")
	case s.phaseEnds(s.ev.Phase):
		return s.refuse("phase %s has ended", s.ev.Phase)
	}
	s.change(Change{Kind: ChangePhaseEnd, Phase: s.ev.Phase})
	return nil
}

// phaseEnds tells whether a phase was ended before its time.
func (s *step) phaseEnds(phase string) bool {
	for _, c := range s.run.History {
		if c.Kind == ChangePhaseEnd && c.Phase == phase {
			return true
		}
	}
	return false
}
