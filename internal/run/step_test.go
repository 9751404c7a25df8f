package run

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var wall = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// newRun returns a run with setup and teardown.
func newRun() Run {
	return New(Options{ID: "r1", Name: "shop", HasSetup: true, HasTeardown: true, Reason: "waiting for workers", Time: wall})
}

func shards(revision uint64) *ShardMap {
	return &ShardMap{Revision: revision, Owners: []Owner{
		{Member: Member{"w1", 1}, Ranges: []Range{{From: 0, To: 8192}}},
		{Member: Member{"w2", 2}, Ranges: []Range{{From: 8192, To: Positions}}},
	}}
}

// must applies events, each a second of wall time after the one before.
func must(t testing.TB, r Run, evs ...Event) Run {
	t.Helper()
	for _, ev := range evs {
		if ev.Time.IsZero() {
			ev.Time = r.latest().Add(time.Second)
		}
		next, _, err := Step(r, ev)
		if err != nil {
			t.Fatalf("step %s in %s: %v", ev.Kind, r.State, err)
		}
		r = next
	}
	return r
}

var (
	toRunning = []Event{
		{Kind: WorkersAssigned, Shards: shards(1)},
		{Kind: ValidationOK},
		{Kind: SetupStarted},
		{Kind: SetupDone, Saved: `{"sku":"a"}`, Requests: 3},
		{Kind: BarrierReady},
		{Kind: Started, T0: wall.Add(time.Minute)},
	}
	invalid = &Verdict{Result: Invalid, ExitCode: ExitInvalid}
	passed  = &Verdict{Result: Pass}
)

func kinds(effects []Effect) []EffectKind {
	var out []EffectKind
	for _, e := range effects {
		out = append(out, e.Kind)
	}
	return out
}

func TestWholeLife(t *testing.T) {
	r := newRun()
	steps := []struct {
		ev      Event
		state   State
		effects []EffectKind
	}{
		{Event{Kind: Waiting, Reason: "1 of 2 workers"}, Idle, []EffectKind{Persist}},
		{Event{Kind: Waiting, Reason: "1 of 2 workers"}, Idle, nil},
		{Event{Kind: WorkersAssigned, Shards: shards(1)}, Validating, []EffectKind{Persist, Validate}},
		{Event{Kind: ValidationOK}, Initializing, []EffectKind{Persist, Prepare, BeginSetup}},
		{Event{Kind: SetupStarted}, Initializing, []EffectKind{Persist, RunSetup}},
		{Event{Kind: SetupDone, Saved: "{}"}, Initializing, []EffectKind{Persist}},
		{Event{Kind: BarrierReady}, Initializing, []EffectKind{Persist, StampT0}},
		{Event{Kind: Started, T0: wall}, Running, []EffectKind{Persist, SendAssignment, Notify}},
		{Event{Kind: PauseRequested, ID: "p", RunTime: time.Second}, Paused, []EffectKind{Persist, SendAssignment, Notify}},
		{Event{Kind: ScaleRequested, ID: "s", RunTime: 2 * time.Second, Factor: 1.5}, Paused, []EffectKind{Persist, SendAssignment}},
		{Event{Kind: ResumeRequested, ID: "q", RunTime: 4 * time.Second}, Running, []EffectKind{Persist, SendAssignment, Notify}},
		{Event{Kind: PhaseStarted, Phase: "steady", RunTime: 5 * time.Second}, Running, []EffectKind{Persist, SendAssignment}},
		{Event{Kind: ShardsMoved, Shards: shards(2), RunTime: 6 * time.Second}, Running, []EffectKind{Persist, SendAssignment}},
		{Event{Kind: AllEnded, RunTime: 10 * time.Second}, Stopping, []EffectKind{SendStop, Persist}},
		{Event{Kind: Drained, RunTime: 11 * time.Second}, Stopping, []EffectKind{Persist, RunTeardown}},
		{Event{Kind: TeardownDone}, Stopping, []EffectKind{Persist, Finalise}},
		{Event{Kind: Finalised, Verdict: passed}, Completed, []EffectKind{Persist, Release, Notify}},
	}
	for i, s := range steps {
		s.ev.Time = wall.Add(time.Duration(i) * time.Second)
		next, effects, err := Step(r, s.ev)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if next.State != s.state || !slices.Equal(kinds(effects), s.effects) {
			t.Fatalf("step %d %s: %s %v, want %s %v", i, s.ev.Kind, next.State, kinds(effects), s.state, s.effects)
		}
		for _, e := range effects {
			if e.ID == "" {
				t.Errorf("step %d: effect %s has no id", i, e.Kind)
			}
		}
		if err := next.Validate(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		r = next
	}
	if r.Elapsed != 7*time.Second || r.Paused != 3*time.Second {
		t.Errorf("elapsed %v paused %v, want 7s and 3s", r.Elapsed, r.Paused)
	}
	want := History{
		{ID: "p", Kind: ChangePause, At: 1500 * time.Millisecond},
		{ID: "s", Kind: ChangeScale, At: 2500 * time.Millisecond, Factor: 1.5},
		{ID: "q", Kind: ChangeResume, At: 4500 * time.Millisecond},
		{ID: "r1/change/4", Kind: ChangePhaseStart, At: 5500 * time.Millisecond, Phase: "steady"},
	}
	if d := cmp.Diff(want, r.History); d != "" {
		t.Error(d)
	}
	if !slices.Equal(r.Owed, []Member{{"w1", 1}, {"w2", 2}}) {
		t.Errorf("owed %v", r.Owed)
	}
}

// callbacks returns what a step calls back.
func callbacks(effects []Effect) []CallbackKind {
	var out []CallbackKind
	for _, e := range effects {
		if e.Kind == Notify {
			out = append(out, e.Callback)
		}
	}
	return out
}

func TestCallbacks(t *testing.T) {
	running := must(t, newRun(), toRunning...)
	stopping := must(t, running, Event{Kind: StopRequested, Stop: StopOperator})
	failing := must(t, running, Event{Kind: ErrorOccurred})
	for _, c := range []struct {
		name string
		run  Run
		ev   Event
		want []CallbackKind
	}{
		{"start", must(t, newRun(), toRunning[:5]...), toRunning[5], []CallbackKind{OnStart}},
		{"pause", running, Event{Kind: PauseRequested}, []CallbackKind{OnPause}},
		{"resume", must(t, running, Event{Kind: PauseRequested}), Event{Kind: ResumeRequested}, []CallbackKind{OnResume}},
		{"stop", running, Event{Kind: StopRequested, Stop: StopOperator}, []CallbackKind{OnStop}},
		{"stop again", stopping, Event{Kind: StopRequested, Stop: StopSignal}, nil},
		{"all ended is no stop", running, Event{Kind: AllEnded}, nil},
		{"complete", stopping, Event{Kind: Finalised, Verdict: &Verdict{Result: Aborted, ExitCode: ExitStopped}}, []CallbackKind{OnComplete}},
		{"error", failing, Event{Kind: Finalised, Verdict: invalid}, []CallbackKind{OnError}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, effects, err := Step(c.run, c.ev)
			if err != nil || !slices.Equal(callbacks(effects), c.want) {
				t.Errorf("callbacks %v, %v; want %v", callbacks(effects), err, c.want)
			}
		})
	}
}

func TestStampsAreAheadAndInOrder(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	r = must(t, r, Event{Kind: PauseRequested, RunTime: -2 * time.Second})
	if at := r.History[0].At; at != CommandLead {
		t.Errorf("a pause before T0 is stamped %v, want %v", at, CommandLead)
	}
	r = must(t, r, Event{Kind: ResumeRequested, RunTime: 10 * time.Second}, Event{Kind: PauseRequested, RunTime: 9 * time.Second})
	if a, b := r.History[1].At, r.History[2].At; a != 10500*time.Millisecond || b < a {
		t.Errorf("stamps %v and %v", a, b)
	}
}

func TestRepeatedCommandIsTheSameCommand(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	cmd := Event{Kind: PauseRequested, ID: "c1", RunTime: time.Second, Time: wall}
	r = must(t, r, cmd)
	first, ok := r.Answer("c1")
	if !ok || first.At != 1500*time.Millisecond {
		t.Fatalf("answer %v %v", first, ok)
	}
	for name, later := range map[string]Run{
		"at once":    r,
		"resumed":    must(t, r, Event{Kind: ResumeRequested, RunTime: 3 * time.Second}),
		"when final": must(t, r, Event{Kind: StopRequested, Stop: StopOperator}, Event{Kind: Finalised, Verdict: &Verdict{Result: Aborted, ExitCode: ExitStopped}}),
	} {
		cmd.RunTime = 7 * time.Second
		again, effects, err := Step(later, cmd)
		if err != nil || effects != nil || !reflect.DeepEqual(again, later) {
			t.Errorf("%s: a repetition has effects %v, error %v", name, effects, err)
		}
		if got, _ := again.Answer("c1"); got != first {
			t.Errorf("%s: answer %v, want %v", name, got, first)
		}
	}
	var wrong *EventError
	if _, _, err := Step(r, Event{Kind: ResumeRequested, ID: "c1"}); !errors.As(err, &wrong) {
		t.Errorf("an id taken for another command: %v", err)
	}
	if _, ok := r.Answer(""); ok {
		t.Error("no id is the id of no command")
	}
}

func TestScaleIsAbsoluteAndUpToTheLimit(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	r = must(t, r, Event{Kind: ScaleRequested, Factor: 1.5, MaxFactor: 2}, Event{Kind: ScaleRequested, Factor: 1.5, MaxFactor: 2, RunTime: time.Second})
	if r.Factor != 1.5 || r.Timeline().FactorAt(time.Minute) != 1.5 {
		t.Errorf("factor %v after twice 150 %%", r.Factor)
	}
	if r = must(t, r, Event{Kind: ScaleRequested, Factor: 2, MaxFactor: 2, RunTime: time.Second}); r.Factor != 2 {
		t.Errorf("the limit itself is refused")
	}
}

func TestStopIsSentBeforeItIsRecorded(t *testing.T) {
	for _, to := range []int{0, 1, 2, 3, 4, 5, 6} {
		r := must(t, newRun(), toRunning[:to]...)
		_, effects, err := Step(r, Event{Kind: StopRequested, Stop: StopOperator, Reason: "enough", RunTime: 3 * time.Second})
		if err != nil || effects[0].Kind != SendStop || effects[1].Kind != Persist {
			t.Errorf("in %s: %v, %v", r.State, kinds(effects), err)
		}
	}
}

func TestFirstStopStands(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	r = must(t, r, Event{Kind: StopRequested, Stop: StopCriterion, Reason: "breach", RunTime: time.Second, ID: "a"})
	r = must(t, r, Event{Kind: StopRequested, Stop: StopOperator, Reason: "me too", RunTime: 2 * time.Second, ID: "b"})
	if r.Stop.Kind != StopCriterion || r.Stop.At != time.Second || r.Stop.Reason != "breach" {
		t.Errorf("stop %+v", *r.Stop)
	}
	before := *r.Stop
	failed := must(t, r, Event{Kind: ErrorOccurred, Reason: "disk gone", ExitCode: ExitInternal})
	if *r.Stop != before {
		t.Error("step changed the run that it was given")
	}
	failed = must(t, failed, Event{Kind: Finalised, Verdict: invalid})
	if failed.State != Failed || failed.Verdict.ExitCode != ExitInternal || failed.Stop.At != time.Second {
		t.Errorf("an error while stopping: %s %+v %+v", failed.State, failed.Verdict, failed.Stop)
	}
}

func TestSetupIsNeverRepeated(t *testing.T) {
	started := must(t, newRun(), toRunning[:3]...)
	for _, e := range Outstanding(started) {
		if e.Kind == RunSetup || e.Kind == BeginSetup {
			t.Errorf("a new leader is told to %s although setup had begun", e.Kind)
		}
	}
	r := must(t, started, Event{Kind: SetupFailed, Reason: "its outcome is unknown"})
	if r.State != Stopping || r.Stop.Kind != StopError || r.Setup.State != TaskFailed {
		t.Errorf("%s %+v %+v", r.State, r.Stop, r.Setup)
	}
	_, effects, err := Step(r, Event{Kind: Drained})
	if err != nil || !slices.Contains(kinds(effects), RunTeardown) {
		t.Errorf("what setup may have done is not torn down: %v %v", kinds(effects), err)
	}
	stopped := must(t, started, Event{Kind: StopRequested, Stop: StopSignal}, Event{Kind: SetupDone, Saved: "{}"})
	if stopped.State != Stopping || stopped.Setup.Saved != "{}" {
		t.Errorf("setup that ends while stopping: %s %+v", stopped.State, stopped.Setup)
	}
}

func TestNothingDoneIsNotTornDown(t *testing.T) {
	r := must(t, newRun(), toRunning[:2]...)
	r = must(t, r, Event{Kind: StopRequested, Stop: StopSignal})
	_, effects, err := Step(r, Event{Kind: Drained})
	if err != nil || !slices.Equal(kinds(effects), []EffectKind{Persist, Finalise}) {
		t.Errorf("%v %v", kinds(effects), err)
	}
}

func TestOutstanding(t *testing.T) {
	for i, want := range [][]EffectKind{
		nil, {Validate}, {Prepare, BeginSetup}, {Prepare}, {Prepare}, {Prepare, StampT0}, {SendAssignment},
	} {
		r := must(t, newRun(), toRunning[:i]...)
		if got := kinds(Outstanding(r)); !slices.Equal(got, want) {
			t.Errorf("after %d steps in %s: %v, want %v", i, r.State, got, want)
		}
	}
	r := must(t, newRun(), toRunning...)
	for _, s := range []struct {
		ev   Event
		want []EffectKind
	}{
		{Event{Kind: AllEnded}, []EffectKind{SendStop}},
		{Event{Kind: Drained}, []EffectKind{SendStop, RunTeardown}},
		{Event{Kind: TeardownDone, Error: "404"}, []EffectKind{SendStop, Finalise}},
		{Event{Kind: Finalised, Verdict: passed}, []EffectKind{Release}},
	} {
		r = must(t, r, s.ev)
		if got := kinds(Outstanding(r)); !slices.Equal(got, s.want) {
			t.Errorf("after %s: %v, want %v", s.ev.Kind, got, s.want)
		}
	}
	if id := Outstanding(must(t, must(t, newRun(), toRunning...), Event{Kind: AllEnded}, Event{Kind: Drained}))[1].ID; id != "r1/teardown" {
		t.Errorf("teardown has the id %q", id)
	}
}

func TestRestamp(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	r = must(t, r, Event{Kind: PauseRequested, ID: "p", RunTime: time.Second}, Event{Kind: ResumeRequested, ID: "q", RunTime: 2 * time.Second})
	r = must(t, r, Event{Kind: Restamped, Change: "p", RunTime: 5 * time.Second})
	for _, id := range []string{"p", "q"} {
		if a, _ := r.Answer(id); a.At != 5500*time.Millisecond {
			t.Errorf("answer of %s: %v", id, a.At)
		}
	}
	if err := r.History.Validate(); err != nil {
		t.Error(err)
	}
	same, effects, err := Step(r, Event{Kind: Restamped, Change: "q", RunTime: 5 * time.Second})
	if err != nil || effects != nil || same.Revision != r.Revision {
		t.Errorf("a change that is ahead is stamped anew: %v %v", effects, err)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	r = must(t, r, Event{Kind: PauseRequested, RunTime: 9 * time.Second, Time: wall.Add(time.Hour)})
	r = must(t, r, Event{Kind: ResumeRequested, RunTime: 2 * time.Second, Time: wall})
	last := r.Transitions[len(r.Transitions)-1]
	if last.RunTime != 9*time.Second || !last.At.Equal(wall.Add(time.Hour)) {
		t.Errorf("transition %+v", last)
	}
}

func TestTimesOfAStopWhilePaused(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	if e, p := must(t, newRun()).Times(time.Minute); e != 0 || p != 0 {
		t.Errorf("before T0: %v %v", e, p)
	}
	r = must(t, r, Event{Kind: PauseRequested, RunTime: 2500 * time.Millisecond})
	if e, p := r.Times(2 * time.Second); e != 2*time.Second || p != 0 {
		t.Errorf("before the stamp: %v %v", e, p)
	}
	r = must(t, r, Event{Kind: StopRequested, Stop: StopOperator, RunTime: 7 * time.Second}, Event{Kind: Drained, RunTime: 9 * time.Second},
		Event{Kind: TeardownDone}, Event{Kind: Finalised, RunTime: 20 * time.Second, Verdict: &Verdict{Result: Aborted, ExitCode: ExitStopped}})
	if r.Elapsed != 3*time.Second || r.Paused != 4*time.Second {
		t.Errorf("elapsed %v, paused %v", r.Elapsed, r.Paused)
	}
}

func TestRestartedMovesT0(t *testing.T) {
	r := must(t, newRun(), toRunning...)
	later := wall.Add(time.Hour)
	if r = must(t, r, Event{Kind: Restarted, T0: later}); !r.T0.Equal(later) || r.State != Running {
		t.Errorf("T0 %v in %s", r.T0, r.State)
	}
}

// TestCompletedRunEndsWithItsLoad, and not when the last answer came.
func TestCompletedRunEndsWithItsLoad(t *testing.T) {
	for _, tc := range []struct{ at, now, want time.Duration }{
		{at: 3 * time.Second, now: 5 * time.Second, want: 3 * time.Second},
		{at: 0, now: 5 * time.Second, want: 5 * time.Second},
		{at: 9 * time.Second, now: 5 * time.Second, want: 5 * time.Second},
	} {
		r, _, err := Step(Run{ID: "r", State: Running, Factor: 1, T0: &time.Time{}}, Event{Kind: AllEnded, At: tc.at, RunTime: tc.now})
		if err != nil || r.Stop.At != tc.want {
			t.Errorf("load ended at %v, told at %v: %+v, %v", tc.at, tc.now, r.Stop, err)
		}
	}
}
