package judge

import (
	"strings"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
)

// cut is a second in which some requests failed, and not because of the target.
func cut(kind string, n uint64, took time.Duration) func(int64) *sec {
	return func(i int64) *sec {
		return quiet(i).add(metric.ResponseTime, at0(i).labels("login", "outcome", "failed", "error", kind), n, took)
	}
}

// unmade is a second in which some requests never left.
func unmade(n uint64) func(int64) *sec {
	return func(i int64) *sec {
		return quiet(i).add(metric.Unsent, at0(i).labels("login", "outcome", "failed", "error", "template"), n, time.Millisecond)
	}
}

func halfUnmade(i int64) *sec {
	return at0(i).arrivals(100).ok("login", 50, 10).ok("add", 50, 10).add(metric.Unsent, at0(i).labels("login", "outcome", "failed", "error", "template"), 100, 0)
}

// unwell is a second that the workers found invalid, with failures of the target's kind.
func unwell(i int64) *sec {
	return at0(i).health(metric.HealthInvalid, "cpu").arrivals(100).ok("login", 100, 10).ok("add", 50, 10).failed("add", 50, 10)
}

// TestTargetDoesNotAnswerForTheGenerator: failures of the generator and of the scenario neither breach a
// criterion nor let it pass: if they would decide, it is not judged.
func TestTargetDoesNotAnswerForTheGenerator(t *testing.T) {
	few, many := every(24, 25, cut("cancelled", 4, time.Millisecond)), every(24, 25, cut("cancelled", 400, 9*time.Second))
	mixed := every(24, 25, func(i int64) *sec { return cut("no_ports", 400, 9*time.Second)(i).failed("add", 400, 10) })
	for _, c := range []struct {
		name    string
		check   string
		opts    []opt
		seconds map[int64]*sec
		want    Result
	}{
		{"errors that would decide", "error_ratio(requests) < 1%", nil, many, Invalid},
		{"errors that do not matter", "error_ratio(requests) < 1%", nil, few, Pass},
		{"counted failures", "count(requests{outcome=\"failed\"}) < 10", nil, many, Invalid},
		{"counted failures, few", "count(requests{outcome=\"failed\"}) < 10", nil, few, Pass},
		{"of the scenario", "count(requests{outcome=\"failed\"}) < 10", nil, every(24, 25, cut("template", 400, 0)), Invalid},
		{"the target's alone are enough", "count(requests{outcome=\"failed\"}) < 10", nil, mixed, Fail},
		{"the target's alone are a share", "error_ratio(requests) < 1%", nil, mixed, Fail},
		{"asked for by name", "count(requests{error=\"cancelled\"}) < 10", nil, many, Invalid},
		{"successes that are missing", "count(requests{outcome=\"ok\"}) >= 5300", nil, many, Invalid},
		{"successes that would not be enough", "count(requests{outcome=\"ok\"}) >= 5500", nil, many, Fail},
		{"requests are requests", "count(requests) == 5400", nil, many, Pass},
		{"a latency that they would decide", "p99(response_time) < 1s", nil, many, Invalid},
		{"a latency that they do not reach", "p50(response_time) < 1s", nil, many, Pass},
		{"a trend", "trend(response_time) < 1ms/s", nil, many, Invalid},
		{"a window", "error_ratio(requests) < 1%", []opt{window(time.Second)}, many, Invalid},
		{"a window that may be missed", "error_ratio(requests) < 1%", []opt{window(time.Second), share(0.9)}, many, Pass},
		{"a window beside one that is breached", "error_ratio(requests) < 1%", []opt{window(time.Second)}, func() map[int64]*sec {
			m := every(24, 25, cut("cancelled", 400, 0))
			m[7] = broken(7)
			return m
		}(), Fail},
		{"every window", "error_ratio(requests) < 1%", []opt{window(time.Second)}, every(5, 30, cut("cancelled", 400, 0)), Invalid},
		{"nothing else", "p99(response_time) < 1s", nil, every(5, 30, func(i int64) *sec {
			return at0(i).arrivals(9).add(metric.ResponseTime, at0(i).labels("add", "outcome", "failed", "error", "no_ports"), 9, time.Minute)
		}), Invalid},
		{"in a second that is not valid", "count(requests{outcome=\"failed\"}) < 10", nil, every(7, 8, unwell), Invalid},
		{"as a quotient", "count(requests{outcome=\"failed\"}) / count(requests) < 0.5%", nil, every(7, 8, unwell), Invalid},
		{"never sent", "error_ratio(requests) < 1%", nil, every(5, 30, unmade(50)), Invalid},
		{"never sent, and counted", "count(requests) >= 5000", nil, every(5, 30, halfUnmade), Invalid},
		{"never sent, a step", "error_ratio(requests{step=\"login\"}) < 1%", []opt{window(s5)}, every(5, 30, unmade(50)), Invalid},
		{"never sent, another step", "error_ratio(requests{step=\"add\"}) < 1%", nil, every(5, 30, unmade(50)), Pass},
		{"never sent, few", "error_ratio(requests) < 1%", nil, every(5, 30, unmade(1)), Pass},
		{"none of a step was sent", "error_ratio(requests{step=\"login\"}) < 1%", nil, every(5, 30, func(i int64) *sec {
			return at0(i).arrivals(9).add(metric.Unsent, at0(i).labels("login", "outcome", "failed", "error", "template"), 9, 0)
		}), Invalid},
		{"iterations", "error_ratio(iterations) < 1%", nil, every(5, 30, func(i int64) *sec {
			ok, failed := at0(i).labels("", "outcome", "ok").Without("step"), at0(i).labels("", "outcome", "failed", "error", "no_ports").Without("step")
			return quiet(i).add(metric.Iterations, ok, 95, time.Second).add(metric.Iterations, failed, 5, time.Second)
		}), Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := judged(newPlan(check(t, c.check, c.opts...)), seconds(c.seconds)).Final(whole)
			row := out.Criteria[0]
			if row.Result != c.want {
				t.Fatalf("%s (%s), want %s", row.Result, row.Reason, c.want)
			}
			if c.want == Invalid && !strings.Contains(row.Reason, "not because of the target") {
				t.Errorf("reason %q", row.Reason)
			}
			if c.want == Invalid && out.Verdict.Result != run.Invalid {
				t.Errorf("verdict %s", out.Verdict.Result)
			}
		})
	}
}

// TestRowsOfErrors: a row of one kind of error is that of its origin.
func TestRowsOfErrors(t *testing.T) {
	m := every(24, 25, func(i int64) *sec { return cut("no_ports", 400, 0)(i).failed("add", 9, 10) })
	out := judged(newPlan(check(t, "count(requests) < 10", by("error"), during("steady"))), seconds(m)).Final(whole)
	got := results(out)
	if got[`{error="no_ports"}`] != Invalid || got[`{error="status"}`] != Pass {
		t.Errorf("rows %v", got)
	}
}

// TestDoubtDoesNotAbort: what nobody can charge to the target stops no run.
func TestDoubtDoesNotAbort(t *testing.T) {
	plan := newPlan(check(t, "error_ratio(requests) < 1%", window(time.Second), onBreach("abort")))
	j := judged(plan, seconds(every(7, 12, cut("no_buffers", 400, 0))))
	if told := j.Breaches(); len(told) > 0 {
		t.Errorf("breaches %+v", told)
	}
}
