package run

import (
	"errors"
	"testing"
	"time"

	"proofload/internal/search"
)

// TestProbe: probes begin one after another on whole seconds, each is judged once, and in turn.
func TestProbe(t *testing.T) {
	begin := Event{Kind: ProbeStarted, Phase: "p", Rate: 100, For: 6 * time.Second, RunTime: 1200 * time.Millisecond}
	r := must(t, must(t, newRun(), toRunning...), begin)
	c := r.History[0]
	if c.At != 2*time.Second || c.Rate != 100 || c.For != 6*time.Second {
		t.Errorf("stamped %+v", c)
	}
	refused := func(r Run, ev Event) {
		t.Helper()
		ev.Time = wall
		_, _, err := Step(r, ev)
		var transition *TransitionError
		var wrong *EventError
		if !errors.As(err, &transition) && !errors.As(err, &wrong) {
			t.Errorf("%s was taken: %v", ev.Kind, err)
		}
	}
	judged := func(id string, rate float64, o search.Outcome) Event {
		return Event{Kind: ProbeJudged, Probe: &Probe{Change: id, Verdict: search.Verdict{Rate: rate, Outcome: o}}, RunTime: 9 * time.Second}
	}
	refused(r, begin)                                                        // one is under way
	refused(r, judged("other", 100, search.Held))                            // another one
	refused(r, judged(c.ID, 200, search.Held))                               // of another rate
	refused(r, judged(c.ID, 100, "maybe"))                                   // without an outcome
	refused(must(t, newRun(), toRunning...), judged(c.ID, 100, search.Held)) // none is under way
	r = must(t, r, judged(c.ID, 100, search.Held))
	refused(r, judged(c.ID, 100, search.Broken)) // judged already
	late := begin
	late.At, late.RunTime = 20*time.Second+1, 9*time.Second
	if r = must(t, r, late); r.History[1].At != 21*time.Second {
		t.Errorf("a probe that is to begin later is stamped %v", r.History[1].At)
	}
	cut := judged(r.History[1].ID, 100, search.Broken)
	cut.Probe.Cut, cut.RunTime = true, 22*time.Second
	if r = must(t, r, cut); len(r.History) != 3 || r.History[2].Rate != 0 || r.History[2].At != 22500*time.Millisecond {
		t.Errorf("a probe that is cut: %+v", r.History)
	}
	r = must(t, r, Event{Kind: PhaseEnded, Phase: "p", RunTime: 30 * time.Second})
	refused(r, Event{Kind: PhaseEnded, Phase: "p", RunTime: 31 * time.Second})
	refused(r, begin)
	if got := r.Timeline().PhaseLength("p", time.Second, time.Hour); got != 29500*time.Millisecond {
		t.Errorf("the phase lasts %v", got)
	}
	if v := r.Verdicts(); len(v) != 2 || v[0].Outcome != search.Held || v[1].Outcome != search.Broken {
		t.Errorf("verdicts %+v", v)
	}
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Decode(data); err != nil || len(again.Probes) != 2 {
		t.Errorf("read again: %+v, %v", again.Probes, err)
	}
	r.Probes[0].Rate = 5
	if r.Validate() == nil {
		t.Error("a record whose probes are not those of its history is valid")
	}
}

// TestRestampedProbe: a probe that nobody heard of in time begins with a whole second again, and what stands behind it
// does not come before it.
func TestRestampedProbe(t *testing.T) {
	r := must(t, must(t, newRun(), toRunning...), Event{Kind: ProbeStarted, Phase: "p", Rate: 100, For: 6 * time.Second, RunTime: time.Second})
	r = must(t, r, Event{Kind: PauseRequested, ID: "x", RunTime: 2 * time.Second})
	r = must(t, r, Event{Kind: Restamped, Change: r.History[0].ID, RunTime: 7100 * time.Millisecond})
	if r.History[0].At != 8*time.Second || r.History[1].At != 8*time.Second {
		t.Errorf("restamped %+v", r.History)
	}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
}
