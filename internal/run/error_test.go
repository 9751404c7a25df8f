package run

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestRefusals(t *testing.T) {
	idle := newRun()
	running := must(t, idle, toRunning...)
	paused := must(t, running, Event{Kind: PauseRequested})
	stopping := must(t, running, Event{Kind: StopRequested, Stop: StopOperator})
	completing := must(t, running, Event{Kind: AllEnded})
	lost := must(t, running, Event{Kind: WorkersLost})
	overlap := shards(9)
	overlap.Owners[1].Ranges[0].From = 8000
	transition, event, limit := new(*TransitionError), new(*EventError), new(*LimitError)
	for _, c := range []struct {
		name string
		run  Run
		ev   Event
		want any
	}{
		{"pause while paused", paused, Event{Kind: PauseRequested}, transition},
		{"resume while running", running, Event{Kind: ResumeRequested}, transition},
		{"start before ready", must(t, idle, toRunning[:4]...), toRunning[5], transition},
		{"ready before setup", must(t, idle, toRunning[:2]...), Event{Kind: BarrierReady}, transition},
		{"ready during setup", must(t, idle, toRunning[:3]...), Event{Kind: BarrierReady}, transition},
		{"setup twice", must(t, idle, toRunning[:3]...), Event{Kind: SetupStarted}, transition},
		{"setup after setup", must(t, idle, toRunning[:4]...), Event{Kind: SetupStarted}, transition},
		{"setup done twice", must(t, idle, toRunning[:4]...), Event{Kind: SetupDone}, transition},
		{"new T0 after a command", must(t, running, Event{Kind: ScaleRequested, Factor: 2}), Event{Kind: Restarted, T0: wall}, transition},
		{"no T0", must(t, idle, toRunning[:5]...), Event{Kind: Started}, event},
		{"phase started twice", must(t, running, Event{Kind: PhaseStarted, Phase: "p"}), Event{Kind: PhaseStarted, Phase: "p"}, transition},
		{"phase without name", running, Event{Kind: PhaseStarted}, event},
		{"scale beyond the limit", running, Event{Kind: ScaleRequested, Factor: 2.01, MaxFactor: 2}, limit},
		{"scale to zero", running, Event{Kind: ScaleRequested}, event},
		{"scale to NaN", running, Event{Kind: ScaleRequested, Factor: math.NaN()}, event},
		{"scale to infinity", running, Event{Kind: ScaleRequested, Factor: math.Inf(1)}, event},
		{"no shards", idle, Event{Kind: WorkersAssigned}, event},
		{"shards owned twice", running, Event{Kind: ShardsMoved, Shards: overlap}, event},
		{"old shard map", running, Event{Kind: ShardsMoved, Shards: shards(1)}, event},
		{"stop as completed", running, Event{Kind: StopRequested, Stop: StopCompleted}, event},
		{"stop of no kind", running, Event{Kind: StopRequested}, event},
		{"restamp of nothing", running, Event{Kind: Restamped, Change: "x"}, event},
		{"run time out of range", running, Event{Kind: PauseRequested, RunTime: math.MaxInt64}, event},
		{"unknown event", running, Event{Kind: "dance"}, event},
		{"no verdict", completing, Event{Kind: Finalised}, event},
		{"verdict with a wrong exit code", completing, Event{Kind: Finalised, Verdict: &Verdict{Result: Pass, ExitCode: 1}}, event},
		{"pass of a stopped run", stopping, Event{Kind: Finalised, Verdict: passed}, event},
		{"pass of a run that lost its workers", lost, Event{Kind: Finalised, Verdict: passed}, event},
		{"failure of a run that lost its workers", lost, Event{Kind: Finalised, Verdict: &Verdict{Result: Fail, ExitCode: 1}}, event},
		{"teardown before drained", stopping, Event{Kind: TeardownDone}, transition},
		{"drained twice", must(t, stopping, Event{Kind: Drained}), Event{Kind: Drained}, transition},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := c.run.Encode()
			next, effects, err := Step(c.run, c.ev)
			if err == nil || !errors.As(err, c.want) {
				t.Fatalf("error %v, want a %T", err, c.want)
			}
			after, _ := next.Encode()
			if effects != nil || string(after) != string(before) || err.Error() == "" {
				t.Errorf("a refused event has an effect")
			}
		})
	}
}

func TestErrorsName(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&TransitionError{Run: "r", From: Idle, Event: PauseRequested}, "run r: pause is not possible in state IDLE: a run can be paused while it is RUNNING"},
		{&TransitionError{Run: "r", From: Idle, Event: Started, Detail: "why"}, "run r: started is not possible in state IDLE: why"},
		{&LimitError{Run: "r", Factor: 3, Max: 2, Limit: "limits.rate"}, "run r: scale to 300 % is beyond limits.rate, which allows 200 %"},
		{&EventError{"r", Started, "T0 is missing"}, "run r: event started: T0 is missing"},
	} {
		if got := fmt.Sprint(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
