package judge

import (
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// results maps the labels of rows to their results.
func results(out Outcome) map[string]Result {
	m := map[string]Result{}
	for _, c := range out.Criteria {
		m[metric.LabelsOf(c.Labels).String()] = c.Result
	}
	return m
}

func TestBy(t *testing.T) {
	onlyLogin := func(i int64) *sec { return at0(i).arrivals(100).ok("login", 100, 10) }
	for _, c := range []struct {
		name    string
		check   string
		opts    []opt
		seconds map[int64]*sec
		want    map[string]Result
	}{
		{"each step", "p99(response_time) < 100ms", []opt{by("step")}, every(7, 9, func(i int64) *sec {
			return at0(i).arrivals(100).ok("login", 100, 400).ok("add", 100, 10)
		}), map[string]Result{`{step="add"}`: Pass, `{step="login"}`: Fail}},
		{
			"a step that was never reached", "p99(response_time) < 100ms",
			[]opt{by("step")},
			every(5, 30, onlyLogin),
			map[string]Result{`{step="add"}`: Invalid, `{step="login"}`: Pass},
		},
		{
			"each phase has windows of its own", "p99(response_time) < 100ms",
			[]opt{by("phase"), window(s5)},
			nil,
			map[string]Result{`{phase="steady"}`: Pass, `{phase="tail"}`: Pass},
		},
		{
			"each phase has a rate of its own", "rate(requests) == 200/s",
			[]opt{by("phase")},
			nil,
			map[string]Result{`{phase="steady"}`: Pass, `{phase="tail"}`: Pass},
		},
		{
			"each status", "error_ratio(requests) < 1%",
			[]opt{by("status")},
			every(29, 30, broken),
			map[string]Result{`{status="200"}`: Pass, `{status="503"}`: Fail},
		},
		{
			"a status seen late counts from the start", "rate(requests) < 3/s",
			[]opt{by("status"), during("steady")},
			every(24, 25, broken),
			map[string]Result{`{status="200"}`: Fail, `{status="503"}`: Pass},
		},
		{
			"an outcome that does not occur is no empty window", "p99(response_time) < 100ms",
			[]opt{by("status"), window(s5)},
			every(11, 12, broken),
			map[string]Result{`{status="200"}`: Pass, `{status="503"}`: Pass},
		},
		{"step and status", "count(requests) < 10", []opt{by("step", "status")}, every(7, 8, func(i int64) *sec {
			return at0(i).arrivals(9).ok("login", 9, 10).failed("add", 9, 10)
		}), map[string]Result{`{status="200",step="add"}`: Fail, `{status="200",step="login"}`: Fail, `{status="503",step="add"}`: Pass}},
		{"nothing at all", "max(cpu) < 50%", []opt{by("worker")}, nil, map[string]Result{`{}`: Invalid}},
		{"a metric without phases", "max(cpu) < 50%", []opt{by("worker")}, every(7, 8, func(i int64) *sec {
			return quiet(i).add("cpu", metric.NewLabels("worker", "a"), 1, 400*time.Millisecond).add("cpu", metric.NewLabels("worker", "b"), 1, 600*time.Millisecond)
		}), map[string]Result{`{worker="a"}`: Pass, `{worker="b"}`: Fail}},
		{
			"held back at each step", "p50(response_time) < 100ms",
			[]opt{by("step")},
			every(5, 30, full(0, 10)),
			map[string]Result{`{step="add"}`: Fail, `{step="login"}`: Fail},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := judged(newPlan(check(t, c.check, c.opts...)), seconds(c.seconds)).Final(whole)
			got := results(out)
			if len(got) != len(c.want) || len(out.Criteria) != len(c.want) {
				t.Fatalf("rows %v, want %v", got, c.want)
			}
			for l, want := range c.want {
				if got[l] != want {
					t.Errorf("%s: %s, want %s", l, got[l], want)
				}
			}
		})
	}
}

func TestSecondsThatDoNotCount(t *testing.T) {
	bad := func(i int64) *sec { return slow(i).health(metric.HealthInvalid, "schedule_lag") }
	unjudged := func(i int64) *sec { return slow(i).health(0) }
	paused := func(i int64) *sec { return slow(i).paused(time.Second) }
	gone := func(int64) *sec { return nil }
	for _, c := range []struct {
		name    string
		check   string
		opts    []opt
		seconds map[int64]*sec
		want    Result
	}{
		{"one invalid second in 25 is left out", "max(response_time) < 100ms", nil, every(7, 8, bad), Pass},
		{"two are too many", "max(response_time) < 100ms", nil, every(7, 9, bad), Invalid},
		{"too many, even for a breach", "max(response_time) < 1ms", nil, every(7, 9, bad), Invalid},
		{"two in 25, for a phase that they are not in", "max(response_time) < 100ms", []opt{during("tail")}, every(7, 9, bad), Pass},
		{"one in five", "max(response_time) < 100ms", []opt{during("tail")}, every(27, 28, bad), Invalid},
		{"invalid in warm-up", "max(response_time) < 100ms", nil, every(0, 5, bad), Pass},
		{"degraded is valid", "max(response_time) < 500ms", nil, every(5, 30, func(i int64) *sec { return slow(i).health(metric.HealthDegraded, "cpu") }), Pass},
		{"nobody judged it", "max(response_time) < 100ms", nil, every(7, 9, unjudged), Invalid},
		{"left out of windows too", "max(response_time) < 100ms", []opt{window(s5)}, every(7, 8, bad), Pass},
		{"a window of nothing else does not count", "max(response_time) < 100ms", []opt{window(time.Second)}, every(7, 8, bad), Pass},
		{"totals take it in", "count(requests) == 5000", nil, every(7, 8, bad), Pass},
		{"sums take it in", "sum(response_time) > 120s", nil, every(7, 8, bad), Pass},
		{"rates do not, nor its time", "rate(requests) == 200/s", nil, every(7, 8, func(i int64) *sec { return at0(i).health(metric.HealthInvalid) }), Pass},
		{"a second is missing", "max(response_time) < 100ms", nil, every(7, 8, gone), Pass},
		{"two are missing", "max(response_time) < 100ms", nil, every(7, 9, gone), Invalid},
		{"missing at the beginning", "max(response_time) < 100ms", []opt{during("warm")}, every(0, 1, gone), Invalid},
		{"paused seconds feed no window", "max(response_time) < 100ms", []opt{window(time.Second)}, every(7, 8, paused), Pass},
		{"paused seconds feed totals", "max(response_time) < 100ms", nil, every(7, 8, paused), Fail},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := judged(newPlan(check(t, c.check, c.opts...)), seconds(c.seconds)).Final(whole)
			if got := out.Criteria[0]; got.Result != c.want {
				t.Errorf("%s (%s), want %s", got.Result, got.Reason, c.want)
			}
		})
	}
}

// TestWithoutHistory: seconds alone tell where pauses and phases lie, if to the second only.
func TestWithoutHistory(t *testing.T) {
	for name, src := range map[string]scenario.Criterion{
		"tail begins when it is seen": check(t, "rate(requests) == 200/s", during("tail")),
		"windows of the tail":         check(t, "rate(requests) >= 200/s", during("tail"), window(time.Second)),
		"paused time is no time":      check(t, "rate(requests) == 200/s", during("steady")),
	} {
		j := New(newPlan(src))
		for i := range int64(33) {
			switch plan := i - 3; {
			case i < 12:
				j.Observe(quiet(i).Second)
			case i < 15:
				j.Observe(at0(i).paused(time.Second).Second)
			default:
				s := quiet(plan)
				s.Index = i
				j.Observe(s.Second)
			}
		}
		if got := j.Final(whole).Criteria[0]; got.Result != Pass {
			t.Errorf("%s: %s %v %s", name, got.Result, *got.Observed, got.Reason)
		}
	}
}

// TestScheduleCutShort: after a stop the rest of a window is not expected to be full.
func TestScheduleCutShort(t *testing.T) {
	plan := newPlan(check(t, "rate(requests) >= 200/s", window(s5)))
	for stopped, want := range map[time.Duration]Result{0: Fail, 21300 * time.Millisecond: Pass} {
		j := New(plan)
		j.SetSchedule(nil, stopped)
		for i := range int64(30) {
			s := quiet(i)
			if i > 20 {
				s = at0(i).ok("add", 3, 10)
			}
			j.Observe(s.Second)
		}
		if got := j.Final(whole).Criteria[0]; got.Result != want {
			t.Errorf("stopped at %v: %s %s, want %s", stopped, got.Result, got.Reason, want)
		}
	}
}

func TestPhasesWithEachOther(t *testing.T) {
	plan := newPlan(check(t, "rate(requests) == 200/s", during("beside")))
	plan.Phases = append(plan.Phases, scenario.Phase{Name: "beside", With: "steady", Length: s5, Mix: plan.Phases[0].Mix},
		scenario.Phase{Name: "round", With: "about", Length: s5}, scenario.Phase{Name: "about", With: "round", Length: s5})
	j := New(plan)
	for i := range int64(12) {
		s := quiet(i)
		if i >= 5 && i < 10 {
			s.add(metric.ResponseTime, s.labels("add").With("phase", "beside"), 200, time.Millisecond)
		}
		j.Observe(s.Second)
	}
	if got := j.Final(whole).Criteria[0]; got.Result != Pass {
		t.Errorf("%+v", got)
	}
	if _, ok := j.cal.start("round"); ok {
		t.Error("a circle of phases has a start")
	}
}

// TestToleratedIsNotHeld: breaches that do not last are tolerated, but prove nothing by themselves.
func TestToleratedIsNotHeld(t *testing.T) {
	plan := newPlan(check(t, "p99(response_time) < 100ms", window(s5), lasting(10*time.Second), during("tail")))
	if got := judged(plan, seconds(every(25, 30, slow))).Final(whole).Criteria[0]; got.Result != Invalid {
		t.Errorf("%+v", got)
	}
}

// TestBreachBeforeAnythingWasSeen: with `by`, what is breached before a row has been seen stays breached.
func TestBreachBeforeAnythingWasSeen(t *testing.T) {
	plan := newPlan(check(t, "p99(response_time) < 1s", window(s5), by("status"), onBreach("abort")))
	j := New(plan)
	j.SetSchedule(history, 0)
	for _, s := range seconds(every(5, 10, full(0, 100))) {
		j.Observe(s)
	}
	out := j.Final(whole)
	want := map[string]Result{"{}": Fail, `{status="200"}`: Pass}
	if got := results(out); len(got) != 2 || got["{}"] != Fail || got[`{status="200"}`] != Pass {
		t.Errorf("rows %v, want %v", got, want)
	}
	if told := j.Breaches(); len(told) != 1 || told[0].OnBreach != "abort" || len(out.Violations) != 1 || out.Violations[0].ID != told[0].ViolationID("r1") {
		t.Errorf("violations %+v", out.Violations)
	}
}

func TestStanding(t *testing.T) {
	j := New(newPlan(check(t, "p99(response_time) < 100ms", window(s5)), check(t, "count(requests) > 0"), check(t, "count(requests) > 0", during("nowhere"))))
	if s := j.Standing(); len(s) != 3 || s[0].Result != Invalid || s[1].Result != Invalid || s[2].Result != Invalid {
		t.Errorf("before anything: %+v", s)
	}
	for i := range int64(12) {
		j.Observe(quiet(i).Second)
	}
	if s := j.Standing(); s[0].Result != Pass || s[1].Result != Pass || s[2].Result != Invalid {
		t.Errorf("after 12 s: %+v", s)
	}
}

func TestOpenPauseInHistory(t *testing.T) {
	j := New(newPlan(check(t, "count(requests) > 0")))
	j.SetSchedule(run.History{{Kind: run.ChangePause, At: 8 * time.Second}}, 0)
	for i := range int64(8) {
		j.Observe(quiet(i).Second)
	}
	j.Observe(at0(20).paused(time.Second).Second) // what is left out lies within the pause
	if got := j.Final(whole); got.Verdict.Result != run.Pass {
		t.Errorf("%+v", got.Verdict)
	}
}
