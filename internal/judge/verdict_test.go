package judge

import (
	"slices"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

func codes(v run.Verdict) []string {
	var out []string
	for _, r := range v.Reasons {
		if !slices.Contains(out, r.Code) {
			out = append(out, r.Code)
		}
	}
	return out
}

func TestVerdict(t *testing.T) {
	holds, fails := "max(response_time) < 1s", "max(response_time) < 1ms"
	unknown := "count(iterations) > 0"
	crit := func(src ...string) (out []scenario.Criterion) {
		for _, s := range src {
			out = append(out, check(t, s))
		}
		return out
	}
	lagging := every(5, 30, func(i int64) *sec {
		return quiet(i).add(metric.ScheduleLag, metric.NewLabels("phase", phaseAt(i)), 100, 20*time.Millisecond)
	})
	notSent := func(cause metric.Cause) map[int64]*sec {
		return every(5, 30, func(i int64) *sec { return quiet(i).withheld(cause, 1) })
	}
	silent := every(0, 30, at0)
	failing := every(0, 30, func(i int64) *sec {
		s := at0(i).arrivals(10)
		return s.add(metric.ResponseTime, s.labels("login", "outcome", "failed", "error", "connect"), 10, time.Millisecond)
	})
	stop := func(k run.StopKind, exit int) Input {
		return Input{Run: "r1", Completeness: 1, Stop: &run.Stop{Kind: k, Reason: "because", ExitCode: exit}}
	}
	for _, c := range []struct {
		name     string
		criteria []scenario.Criterion
		seconds  map[int64]*sec
		in       Input
		result   run.Result
		exit     int
		by       string
		codes    []string
	}{
		{"passes", crit(holds), nil, whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"completed is no stop", crit(holds), nil, stop(run.StopCompleted, 0), run.Pass, 0, "", []string{run.CodeAllMet}},
		{"fails", crit(holds, fails), nil, whole, run.Fail, 1, "", []string{run.CodeBreached}},
		{"not judged", crit(holds, unknown), nil, whole, run.Invalid, 5, "", []string{run.CodeNotJudged}},
		{"a failure comes before what is not judged", crit(unknown, fails), nil, whole, run.Fail, 1, "", []string{run.CodeBreached, run.CodeNotJudged}},
		{"no criteria", nil, nil, whole, run.Pass, 0, "", []string{run.CodeNoCriteria}},
		{"no criteria and nothing succeeded", nil, failing, whole, run.Invalid, 5, "", []string{run.CodeAllFailed}},
		{"a criterion that allows failures", crit("error_ratio(requests) <= 100%"), failing, whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"no criteria and nothing measured", nil, silent, whole, run.Invalid, 5, "", []string{run.CodeNothing}},
		{"no seconds at all", nil, every(0, 30, func(int64) *sec { return nil }), whole, run.Invalid, 5, "", []string{run.CodeNothing, run.CodeGenerator}},
		{"only warm-up measured", nil, every(5, 30, at0), whole, run.Invalid, 5, "", []string{run.CodeNothing}},

		{"operator", crit(fails), lagging, stop(run.StopOperator, 0), run.Aborted, 4, "operator", []string{run.CodeStopped, run.CodeScheduleLag, run.CodeBreached}},
		{"signal", crit(holds), nil, stop(run.StopSignal, 0), run.Aborted, 4, "signal", []string{run.CodeStopped}},
		{"halt", crit(holds), nil, stop(run.StopHalt, 0), run.Aborted, 4, "halt", []string{run.CodeStopped}},
		{"stop condition", crit(fails), lagging, stop(run.StopCriterion, 0), run.Aborted, 3, "criterion", []string{run.CodeAborted, run.CodeScheduleLag, run.CodeBreached}},
		{"safety", crit(holds), nil, stop(run.StopSafety, 0), run.Aborted, 3, "safety", []string{run.CodeAborted}},
		{"workers lost", crit(holds), nil, stop(run.StopWorkerLoss, 0), run.Invalid, 5, "worker_loss", []string{run.CodeWorkerLoss}},
		{"error", crit(holds), nil, stop(run.StopError, 0), run.Invalid, 5, "", []string{run.CodeError}},
		{"error with a code", crit(holds), nil, stop(run.StopError, 75), run.Invalid, 75, "", []string{run.CodeError}},
		{"a kind of stop that nobody knows", crit(holds), nil, stop("earthquake", 0), run.Invalid, 5, "earthquake", []string{run.CodeError}},

		{"incomplete", crit(fails), nil, Input{Completeness: 0.99, Gaps: []string{"w1: 3 to 4"}}, run.Invalid, 5, "", []string{run.CodeIncomplete, run.CodeBreached}},
		{"completeness not told", crit(holds), nil, Input{}, run.Invalid, 5, "", []string{run.CodeIncomplete}},
		{"complete enough", crit(holds), nil, Input{Completeness: 0.999}, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"schedule lag", crit(holds), lagging, whole, run.Invalid, 5, "", []string{run.CodeScheduleLag}},
		{"schedule lag in warm-up", crit(holds), every(0, 5, func(i int64) *sec {
			return quiet(i).add(metric.ScheduleLag, metric.NewLabels("phase", "warm", "warmup", "true"), 100, 20*time.Millisecond)
		}), whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"late", crit(holds), notSent(metric.CauseLate), whole, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"no lease", crit(holds), notSent(metric.CauseNoLease), whole, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"cap share", crit(holds), notSent(metric.CauseCapShare), whole, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"outbox full", crit(holds), notSent(metric.CauseOutboxFull), whole, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"worker lost", crit(holds), notSent(metric.CauseWorkerLost), whole, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"told to stop is not the generator's", crit(holds), notSent(metric.CauseStopped), whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"no data left is not the generator's", crit(holds), notSent(metric.CauseData), whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"the target's cap is not the generator's", crit("count(requests) > 0"), notSent(metric.CauseMaxInFlight), whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"a few not sent", crit(holds), every(7, 10, func(i int64) *sec { return quiet(i).withheld(metric.CauseLate, 4) }), whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"requests that could not be built", nil, unbuilt(5, 1), whole, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"a few requests that could not be built", crit(holds), unbuilt(24, 1), whole, run.Pass, 0, "", []string{run.CodeAllMet}},
		{"what became of them is unknown", crit(holds), every(5, 30, func(i int64) *sec {
			s := quiet(i)
			s.row().Planned++
			return s
		}), whole, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"in no second", crit(holds), nil, Input{Completeness: 1, Unknown: 20}, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"due while nobody owned their shard", crit(holds), nil, Input{Completeness: 1, WorkerLost: 20}, run.Invalid, 5, "", []string{run.CodeNotSent}},
		{"generator limited", nil, every(7, 9, func(i int64) *sec { return quiet(i).health(metric.HealthInvalid, "cpu") }), whole, run.Invalid, 5, "", []string{run.CodeGenerator}},
		{"seconds missing", nil, every(7, 9, func(int64) *sec { return nil }), whole, run.Invalid, 5, "", []string{run.CodeGenerator}},
		{"not in order", crit(holds), map[int64]*sec{9: quiet(3)}, whole, run.Invalid, 5, "", []string{run.CodeDisordered}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judged(newPlan(c.criteria...), seconds(c.seconds)).Final(c.in).Verdict
			if v.Result != c.result || v.ExitCode != c.exit || v.StoppedBy != c.by {
				t.Errorf("%s, exit code %d, stopped by %q, want %s, %d, %q: %v", v.Result, v.ExitCode, v.StoppedBy, c.result, c.exit, c.by, v.Reasons)
			}
			if got := codes(v); !slices.Equal(got, c.codes) {
				t.Errorf("codes %v, want %v", got, c.codes)
			}
			for _, r := range v.Reasons {
				if r.Message == "" {
					t.Errorf("reason %s says nothing", r.Code)
				}
			}
		})
	}
}

// unbuilt has seconds, from the given one on, in which n requests in a hundred could not be built.
func unbuilt(from int64, n uint64) map[int64]*sec {
	return every(from, 30, func(i int64) *sec {
		return quiet(i).add(metric.Unsent, at0(i).labels("login", "outcome", "failed", "error", "template"), 2*n, 0)
	})
}

func TestOnlyCriticalDecides(t *testing.T) {
	for severityOf, want := range map[string]run.Result{
		"critical": run.Fail, "": run.Fail, "grave": run.Fail, "warning": run.Pass, "info": run.Pass,
	} {
		plan := newPlan(check(t, "max(response_time) < 1ms", severity(severityOf)), check(t, "max(response_time) < 1s"))
		out := judged(plan, seconds(nil)).Final(whole)
		if out.Verdict.Result != want || out.Criteria[0].Result != Fail || len(out.Violations) != 1 {
			t.Errorf("severity %q: %s, row %s, %d violations", severityOf, out.Verdict.Result, out.Criteria[0].Result, len(out.Violations))
		}
	}
}

// TestVerdictFitsTheStateMachine: what the judge says of a stopped run, run.Step accepts.
func TestVerdictFitsTheStateMachine(t *testing.T) {
	for _, kind := range []run.StopKind{
		run.StopCompleted, run.StopCriterion, run.StopSafety, run.StopWorkerLoss, run.StopHalt, run.StopOperator, run.StopSignal, run.StopError,
	} {
		for _, src := range []string{"max(response_time) < 1ms", "max(response_time) < 1s", "count(iterations) > 0"} {
			stop := run.Stop{Kind: kind}
			v := judged(newPlan(check(t, src)), seconds(nil)).Final(Input{Completeness: 1, Stop: &stop}).Verdict
			r := run.New(run.Options{ID: "r1", Time: time.Unix(0, 0)})
			r.State, r.Stop = run.Stopping, &stop
			next, _, err := run.Step(r, run.Event{Kind: run.Finalised, Verdict: &v})
			if err != nil || !next.State.Final() || (next.State == run.Failed) != kind.Fails() {
				t.Errorf("%s with %s: %s, %v", kind, v.Result, next.State, err)
			}
		}
	}
}

// TestSentence proves that the reason of a verdict tells rows of one criterion apart, and the value.
func TestSentence(t *testing.T) {
	observed := 0.0316
	for _, c := range []struct {
		row  Criterion
		want string
	}{
		{Criterion{Name: "few", Check: "error_ratio(requests) < 1%", Observed: &observed, Unit: scenario.UnitRatio}, "few: error_ratio(requests) < 1% does not hold, observed 3.16 %"},
		{Criterion{Name: "c < 1", Check: "c < 1", Labels: map[string]string{"step": "add", "flow": "buy"}}, "c < 1 (flow buy, step add) does not hold"},
		{Criterion{Name: "few", Check: "c < 1", Reason: "why"}, "few: c < 1 does not hold: why"},
	} {
		if got := c.row.sentence("does not hold"); got != c.want {
			t.Errorf("sentence = %q, want %q", got, c.want)
		}
	}
}
