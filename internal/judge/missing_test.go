package judge

import (
	"slices"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
)

// TestAgeIsThatOfTheStep: while one step hangs, those behind it are not slow, they are not reached.
func TestAgeIsThatOfTheStep(t *testing.T) {
	hanging := every(10, 15, func(i int64) *sec { return at0(i).arrivals(100).awaiting("login", 50, 3*time.Second) })
	throughout := every(5, 30, func(i int64) *sec { return at0(i).arrivals(100).awaiting("login", 50, 3*time.Second) })
	for _, c := range []struct {
		name    string
		check   string
		opts    []opt
		seconds map[int64]*sec
		want    Result
	}{
		{"the step that hangs", `p99(response_time{step="login"}) < 1s`, []opt{window(time.Second)}, hanging, Fail},
		{"the step behind it", `p99(response_time{step="add"}) < 1s`, []opt{window(time.Second)}, hanging, Pass},
		{"all steps", "p99(response_time) < 1s", []opt{window(time.Second)}, hanging, Fail},
		{"the step that hangs throughout", `p99(response_time{step="login"}) < 1s`, nil, throughout, Fail},
		{"a step never reached", `p99(response_time{step="add"}) < 1s`, nil, throughout, Invalid},
		{"a step never reached, in windows", `p99(response_time{step="add"}) < 1s`, []opt{window(time.Second)}, throughout, Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := judged(newPlan(check(t, c.check, c.opts...)), seconds(c.seconds)).Final(whole).Criteria[0]
			if row.Result != c.want {
				t.Errorf("%s (%s), want %s", row.Result, row.Reason, c.want)
			}
		})
	}
	rows := results(judged(newPlan(check(t, "p99(response_time) < 1s", by("step"), window(time.Second))), seconds(hanging)).Final(whole))
	if rows[`{step="login"}`] != Fail || rows[`{step="add"}`] != Pass {
		t.Errorf("by step: %v", rows)
	}
}

// TestMissingAtTheEnd: seconds that the schedule still has count as missing as those in the middle do.
func TestMissingAtTheEnd(t *testing.T) {
	completed := Input{Completeness: 1, Stop: &run.Stop{Kind: run.StopCompleted}}
	pausedForGood := append(slices.Clone(history), run.Change{Kind: run.ChangePause, At: 28 * time.Second})
	for _, c := range []struct {
		name    string
		seconds int64 // that there are of 30
		change  map[int64]*sec
		history run.History
		stopped time.Duration
		in      Input
		want    run.Result
	}{
		{"none", 30, nil, history, 0, whole, run.Pass},
		{"one of 25", 29, nil, history, 0, whole, run.Pass},
		{"two of 25", 28, nil, history, 0, completed, run.Invalid},
		{"half", 15, nil, history, 0, whole, run.Invalid},
		{"all", 0, nil, history, 0, whole, run.Invalid},
		{"a last phase that never began", 25, nil, nil, 0, whole, run.Pass},
		{"a pause that never ended", 28, nil, pausedForGood, 0, whole, run.Pass},
		{"after a stop", 15, nil, history, 14500 * time.Millisecond, whole, run.Pass},
		{"before a stop", 10, nil, history, 14500 * time.Millisecond, whole, run.Invalid},
		{"the data ran out", 27, every(26, 27, func(i int64) *sec { return quiet(i).withheld(metric.CauseData, 1) }), history, 0, completed, run.Pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := New(newPlan(check(t, "p99(response_time) < 100ms")))
			j.SetSchedule(c.history, c.stopped)
			for _, s := range seconds(c.change)[:c.seconds] {
				j.Observe(s)
			}
			out := j.Final(c.in)
			if out.Verdict.Result != c.want {
				t.Errorf("%s %v, want %s", out.Verdict.Result, out.Verdict.Reasons, c.want)
			}
			if c.want == run.Invalid && (out.Criteria[0].Result != Invalid || len(out.Verdict.Reasons) == 0) {
				t.Errorf("criterion %+v, reasons %v", out.Criteria[0], out.Verdict.Reasons)
			}
			if again := j.Final(c.in); len(again.Verdict.Reasons) != len(out.Verdict.Reasons) || again.Criteria[0].Reason != out.Criteria[0].Reason {
				t.Errorf("judged again: %+v, first %+v", again, out)
			}
		})
	}
	j := New(newPlan())
	j.SetSchedule(nil, 0)
	refused := Input{Completeness: 1, Stop: &run.Stop{Kind: run.StopError, Reason: "setup failed"}}
	if v := j.Final(refused).Verdict; slices.Contains(codes(v), run.CodeGenerator) {
		t.Errorf("seconds are missing in a run that had none: %v", v.Reasons)
	}
}
