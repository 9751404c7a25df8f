package run

import (
	"math"
	"slices"
	"time"
)

func (s *step) waiting() error {
	if s.run.Reason != s.ev.Reason {
		s.run.Reason = s.ev.Reason
		s.do(Persist)
	}
	return nil
}

// takeShards puts a new shard map into the record.
func (s *step) takeShards() error {
	m := s.ev.Shards
	switch {
	case m == nil || len(m.Owners) == 0:
		return s.wrong("the shard map names no worker")
	case m.Revision <= s.run.Shards.Revision:
		return s.wrong("shard map revision %d is not after %d", m.Revision, s.run.Shards.Revision)
	}
	if err := m.Validate(); err != nil {
		return s.wrong("%v", err)
	}
	s.run.Shards, s.run.Owed = m.clone(), m.owed(s.run.Owed)
	return nil
}

func (s *step) workersAssigned() error {
	if err := s.takeShards(); err != nil {
		return err
	}
	s.to(Validating)
	s.do(Persist, Validate)
	return nil
}

func (s *step) shardsMoved() error {
	if err := s.takeShards(); err != nil {
		return err
	}
	s.do(Persist, SendAssignment)
	return nil
}

func (s *step) validationOK() error {
	s.to(Initializing)
	s.do(Persist, Prepare)
	if s.run.Setup.State == TaskPending {
		s.do(BeginSetup)
	}
	return nil
}

func (s *step) setupStarted() error {
	if s.run.Setup.State != TaskPending {
		return s.refuse("setup is %s, and never repeated", s.run.Setup.State)
	}
	s.run.Setup.State = TaskStarted
	s.do(Persist, RunSetup)
	return nil
}

func (s *step) setupDone() error {
	if s.run.Setup.State != TaskStarted {
		return s.refuse("setup is %s", s.run.Setup.State)
	}
	t := &s.run.Setup
	t.State, t.Saved, t.Requests = TaskDone, s.ev.Saved, s.ev.Requests
	s.do(Persist)
	return nil
}

// setupFailed ends the run, unless it is ending: then the outcome is recorded.
func (s *step) setupFailed() error {
	if s.run.Setup.State != TaskStarted {
		return s.refuse("setup is %s", s.run.Setup.State)
	}
	t := &s.run.Setup
	t.State, t.Error, t.Requests = TaskFailed, s.ev.Reason, s.ev.Requests
	if s.run.State == Stopping {
		s.do(Persist)
		return nil
	}
	return s.end(StopError)
}

func (s *step) barrierReady() error {
	if st := s.run.Setup.State; st != TaskNone && st != TaskDone {
		return s.refuse("setup is %s", st)
	}
	s.run.Ready = true
	s.do(Persist, StampT0)
	return nil
}

func (s *step) started() error {
	switch {
	case !s.run.Ready:
		return s.refuse("the workers are not ready")
	case s.ev.T0.IsZero():
		return s.wrong("T0 is missing")
	}
	t0 := label(s.ev.T0)
	s.run.T0, s.run.Now = &t0, 0
	s.to(Running)
	s.do(Persist, SendAssignment)
	s.notify(OnStart)
	return nil
}

func (s *step) restarted() error {
	switch {
	case len(s.run.History) > 0:
		return s.refuse("commands are stamped against the first T0")
	case s.ev.T0.IsZero():
		return s.wrong("T0 is missing")
	}
	t0 := label(s.ev.T0)
	s.run.T0, s.run.Now = &t0, 0
	s.do(Persist, SendAssignment)
	return nil
}

// room refuses what would make the record too large to be written every second. Resume, stop and the
// starts of phases are never refused: there are no more of them than of what they follow.
func (s *step) room() error {
	if len(s.run.History) >= maxChanges {
		return s.refuse("it has been paused and scaled %d times, and no record holds more", maxChanges)
	}
	return nil
}

func (s *step) pause() error {
	if err := s.room(); err != nil {
		return err
	}
	s.change(Change{Kind: ChangePause})
	s.to(Paused)
	s.notify(OnPause)
	return nil
}

func (s *step) resume() error {
	s.change(Change{Kind: ChangeResume})
	s.to(Running)
	s.notify(OnResume)
	return nil
}

func (s *step) scale() error {
	f := s.ev.Factor
	switch {
	case !(f > 0) || math.IsInf(f, 0): // also not a number
		return s.wrong("factor %v is not a positive number; to hold the load back, pause", f)
	case s.ev.MaxFactor > 0 && f > s.ev.MaxFactor:
		return &LimitError{Run: s.run.ID, Factor: f, Max: s.ev.MaxFactor, Limit: s.ev.Limit}
	}
	if err := s.room(); err != nil {
		return err
	}
	s.run.Factor = f
	s.change(Change{Kind: ChangeScale, Factor: f})
	return nil
}

func (s *step) phaseStarted() error {
	if s.ev.Phase == "" {
		return s.wrong("the phase is missing")
	}
	for _, c := range s.run.History {
		if c.Kind == ChangePhaseStart && c.Phase == s.ev.Phase {
			return s.refuse("phase %s has started", s.ev.Phase)
		}
	}
	s.change(Change{Kind: ChangePhaseStart, Phase: s.ev.Phase})
	return nil
}

// restamped moves a change, and what stands behind it, out of the past. A change that is ahead
// already stays, and an earlier answer is corrected: what holds is what the workers will do.
func (s *step) restamped() error {
	i := slices.IndexFunc(s.run.History, func(c Change) bool { return c.ID == s.ev.Change })
	if i < 0 {
		return s.wrong("no change has the id %q", s.ev.Change)
	}
	at := max(s.now, 0) + CommandLead
	if s.run.History[i].At >= at {
		return nil
	}
	for ; i < len(s.run.History); i++ {
		c := &s.run.History[i]
		c.At = c.aligned(max(c.At, at))
		at = c.At
		for j := range s.run.Applied {
			if s.run.Applied[j].ID == c.ID {
				s.run.Applied[j].At = c.At
			}
		}
	}
	s.do(Persist, SendAssignment)
	return nil
}

// stopRequested ends the run early. A stop while stopping is remembered and changes nothing.
func (s *step) stopRequested() error {
	if !s.ev.Stop.Requestable() {
		return s.wrong("%q is not a kind of stop that can be requested", s.ev.Stop)
	}
	if s.run.State == Stopping {
		if s.ev.ID != "" {
			s.do(Persist)
		}
		return nil
	}
	if err := s.end(s.ev.Stop); err != nil {
		return err
	}
	if s.ev.At > 0 {
		s.run.Stop.At = min(s.run.Stop.At, s.ev.At)
	}
	if s.ev.AskedOf != "" {
		asked := label(s.ev.Asked)
		s.run.Stop.Asked, s.run.Stop.AskedOf = &asked, s.ev.AskedOf
	}
	return nil
}

// errorOccurred ends the run; one that is stopping for another reason fails all the same.
func (s *step) errorOccurred() error {
	if s.run.State != Stopping {
		return s.end(StopError)
	}
	if s.run.Stop.Kind.Fails() {
		return nil
	}
	s.run.Stop.Kind, s.run.Stop.Reason, s.run.Stop.ExitCode = StopError, s.ev.Reason, s.ev.ExitCode
	s.run.Reason = s.ev.Reason
	s.do(Persist)
	return nil
}

// allEnded ends a run whose load has ended by itself. What was in flight then may have taken until now.
func (s *step) allEnded() error {
	if err := s.end(StopCompleted); err != nil {
		return err
	}
	if s.ev.At > 0 {
		s.run.Stop.At = min(s.run.Stop.At, s.ev.At)
	}
	return nil
}

// end enters STOPPING. The order to stop goes out before the record is written: like a revert, a
// stop needs no commit.
func (s *step) end(kind StopKind) error {
	s.run.Stop = &Stop{Kind: kind, Reason: s.ev.Reason, At: max(s.now, 0)}
	if kind == StopError {
		s.run.Stop.ExitCode = s.ev.ExitCode
	}
	s.to(Stopping)
	s.do(SendStop, Persist)
	if kind != StopCompleted {
		s.notify(OnStop)
	}
	return nil
}

// stopSlack is how long after its acceptance a stop may take to reach the workers without being a late one.
const stopSlack = 50 * time.Millisecond

func (s *step) drained() error {
	if s.run.Drained != nil {
		return s.refuse("the run has drained already")
	}
	if stop := s.run.Stop; stop.Kind != StopCompleted && s.ev.At > stop.At+stopSlack {
		stop.At = s.ev.At // the stop reached the workers late, and until then there was load
	}
	at := max(s.now, s.run.Stop.At)
	s.run.Drained = &at
	if s.run.needsTeardown() {
		s.run.Teardown.State = TaskStarted
		s.do(Persist, RunTeardown)
		return nil
	}
	s.do(Persist, Finalise)
	return nil
}

// needsTeardown tells whether anything was done that teardown could undo.
func (r Run) needsTeardown() bool {
	began := r.Stamped() || r.Setup.State == TaskStarted || r.Setup.State == TaskDone || r.Setup.State == TaskFailed
	return r.Teardown.State == TaskPending && began
}

func (s *step) teardownDone() error {
	t := &s.run.Teardown
	if t.State != TaskStarted {
		return s.refuse("teardown is %s", t.State)
	}
	t.State, t.Error, t.Requests = TaskDone, s.ev.Error, s.ev.Requests
	if t.Error != "" {
		t.State = TaskFailed
	}
	s.do(Persist, Finalise)
	return nil
}

// finalised ends the run. That a run which an error or a lost worker ended is INVALID, and that none
// which was stopped passes, is checked here again, behind the judge.
func (s *step) finalised() error {
	if s.ev.Verdict == nil {
		return s.wrong("the verdict is missing")
	}
	v, stop := *s.ev.Verdict, *s.run.Stop
	v.Reasons = slices.Clone(v.Reasons)
	if v.Result == Invalid && stop.ExitCode != 0 {
		v.ExitCode = stop.ExitCode
	}
	switch {
	case !v.valid():
		return s.wrong("verdict %q does not go with exit code %d", v.Result, v.ExitCode)
	case stop.Kind.Fails() && v.Result != Invalid:
		return s.wrong("a run that %s ended cannot be %s", stop.Kind, v.Result)
	case v.Result == Pass && stop.Kind != StopCompleted:
		return s.wrong("a run that %s stopped cannot pass", stop.Kind)
	}
	s.run.Elapsed, s.run.Paused = s.run.Times(stop.At)
	s.run.Verdict = &v
	end := s.at
	s.run.EndedAt = &end
	s.ev.Reason = firstNonEmpty(s.ev.Reason, stop.Reason)
	last, call := Completed, OnComplete
	if stop.Kind.Fails() {
		last, call = Failed, OnError
	}
	s.to(last)
	s.do(Persist, Release)
	s.notify(call)
	return nil
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Outstanding returns the effects that the record still calls for, whatever became of them: what a
// new leader carries out, or carries out again, once it has taken the run over. Setup whose outcome
// is unknown is not among them: it is never repeated, and the leader reports SetupFailed unless a
// worker still answers for it.
func Outstanding(r Run) []Effect {
	s := &step{run: r}
	s.ev.Reason = r.Reason
	switch r.State {
	case Validating:
		s.do(Validate)
	case Initializing:
		s.do(Prepare)
		switch {
		case r.Setup.State == TaskPending:
			s.do(BeginSetup)
		case r.Ready:
			s.do(StampT0)
		}
	case Running, Paused:
		s.do(SendAssignment)
	case Stopping:
		s.do(SendStop)
		switch {
		case r.Drained == nil:
		case r.Teardown.State == TaskStarted:
			s.do(RunTeardown)
		default:
			s.do(Finalise)
		}
	case Completed, Failed:
		s.do(Release)
	}
	return s.stamped()
}
