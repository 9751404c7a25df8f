package judge

import (
	"fmt"
	"math"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

const s5 = 5 * time.Second

// opt is short for the options of a criterion.
type opt = func(*scenario.Criterion)

// slow is a second whose requests all take 400 ms.
func slow(i int64) *sec { return at0(i).arrivals(100).ok("login", 100, 400).ok("add", 100, 400) }

// broken is a second in which half of the requests to add fail.
func broken(i int64) *sec {
	return at0(i).arrivals(100).ok("login", 100, 10).ok("add", 50, 10).failed("add", 50, 10)
}

// stalled is a second in which nothing ends, and the oldest operation is old.
func stalled(age time.Duration) func(int64) *sec {
	return func(i int64) *sec { return at0(i).arrivals(100).inFlight(100, age) }
}

// full is a second in which some arrivals were held back by the in-flight cap.
func full(sent uint64, held int64) func(int64) *sec {
	return func(i int64) *sec {
		return at0(i).arrivals(int64(sent)).withheld(metric.CauseMaxInFlight, held).ok("login", sent, 10).ok("add", sent, 10)
	}
}

func TestCriteria(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name     string
		check    string
		opts     []opt
		seconds  map[int64]*sec
		want     Result
		observed float64 // infinite: none
	}{
		// Statistics without windows. 25 seconds are not warm-up, each with 200 requests.
		{"count", "count(requests) == 5000", nil, nil, Pass, 5000},
		{"count of iterations has no samples", "count(iterations) > 0", nil, nil, Invalid, inf},
		{"rate", "rate(requests) >= 200/s", nil, nil, Pass, 200},
		{"rate too low", "rate(requests) > 200/s", nil, nil, Fail, 200},
		{"sum", "sum(response_time) < 51s", nil, nil, Pass, 50},
		{"mean", "mean(response_time) <= 10ms", nil, nil, Pass, 0.01},
		{"deviation", "stddev(response_time) < 1ms", nil, nil, Pass, 0},
		{"minimum", "min(response_time) >= 10ms", nil, nil, Pass, 0.01},
		{"maximum breached by one second", "max(response_time) < 100ms", nil, every(7, 8, slow), Fail, 0.4},
		{"quantile not reached by one second", "p95(response_time) < 100ms", nil, every(7, 8, slow), Pass, 0.01},
		{"quantile reached by two seconds", "p95(response_time) < 100ms", nil, every(7, 9, slow), Fail, 0.4},
		{"error ratio", "error_ratio(requests) <= 1%", nil, every(7, 8, broken), Pass, 0.01},
		{"error ratio breached", "error_ratio(requests) < 1%", nil, every(7, 8, broken), Fail, 0.01},
		{"error ratio of a step", "error_ratio(requests{step=\"add\"}) < 2%", nil, every(7, 8, broken), Fail, 0.02},
		{"trend", "trend(response_time) < 1ms/s", nil, nil, Pass, 0},
		{"in flight", "max(in_flight) < 100", nil, every(9, 10, func(i int64) *sec { return quiet(i).inFlight(100, 0) }), Fail, 100},
		{"ratio of counts", "count(requests{step=\"add\"}) / count(requests{step=\"login\"}) == 1", nil, nil, Pass, 1},
		{"ratio of times", "p99(response_time{step=\"add\"}) / p50(response_time{step=\"login\"}) < 2", nil, nil, Pass, 1},

		// Never a pass.
		{"a step that does not exist", "p99(response_time{step=\"pay\"}) < 1s", nil, nil, Invalid, inf},
		{"count of a step that does not exist", "count(requests{step=\"pay\"}) < 1", nil, nil, Invalid, inf},
		{"error ratio of a step that does not exist", "error_ratio(requests{step=\"pay\"}) < 1%", nil, nil, Invalid, inf},
		{"a measure that was not taken", "sum(orders) >= 0", nil, nil, Invalid, inf},
		{"a quotient of nothing by something", "count(requests{step=\"pay\"}) / count(requests) < 1", nil, nil, Invalid, inf},
		{"a quotient by nothing", "count(requests) / count(requests{step=\"pay\"}) > 1", nil, nil, Invalid, inf},
		{"a quotient by zero", "count(requests) / count(requests{outcome=\"failed\"}) > 1", nil, nil, Invalid, inf},
		{"windows without samples", "p99(response_time{step=\"pay\"}) < 1s", []opt{window(s5)}, nil, Invalid, inf},
		{"during a phase without samples", "p99(response_time) < 1s", []opt{during("tail")}, every(25, 30, at0), Invalid, inf},
		{"during a phase that does not exist", "p99(response_time) < 1s", []opt{during("nowhere")}, nil, Invalid, inf},
		{"p99 of the failed when none failed", "p99(response_time{outcome=\"failed\"}) < 1s", nil, nil, Invalid, inf},
		{"a met share of nothing", "p99(response_time) < 100ms", []opt{window(s5), share(0)}, every(5, 30, slow), Fail, 0.4},
		{"a broken pattern", "count(requests) > 0", []opt{func(c *scenario.Criterion) {
			c.Check.Left.Matchers = []scenario.Matcher{{Label: "step", Op: "=~", Value: "("}}
		}}, nil, Invalid, inf},
		{"an unknown operator", "count(requests) > 0", []opt{func(c *scenario.Criterion) { c.Check.Op = "~" }}, nil, Invalid, inf},
		{"an unknown statistic", "count(requests) > 0", []opt{func(c *scenario.Criterion) { c.Check.Left.Stat = "mode" }}, nil, Invalid, inf},
		{"an impossible quantile", "p99(response_time) > 0s", []opt{func(c *scenario.Criterion) { c.Check.Left.Quantile = 0 }}, nil, Invalid, inf},
		{"a trend of one second", "trend(response_time) < 1s/s", []opt{during("tail")}, every(26, 30, at0), Invalid, inf},

		// Narrowed by the outcome only: zero when the others are there.
		{"no errors is zero errors", "count(requests{outcome=\"failed\"}) == 0", nil, nil, Pass, 0},
		{"no 503 is a rate of zero", "rate(requests{status=\"503\"}) < 1/s", nil, nil, Pass, 0},
		{"no failed time is a sum of zero", "sum(response_time{outcome=\"failed\"}) < 1s", nil, nil, Pass, 0},
		{"share of one error kind", "error_ratio(requests{error=\"status\"}) < 1%", nil, every(7, 8, broken), Fail, 0.01},
		{"share of another error kind", "error_ratio(requests{error=\"timeout\"}) < 1%", nil, every(7, 8, broken), Pass, 0},

		// Matchers.
		{"not equal", "count(requests{step!=\"login\"}) == 2500", nil, nil, Pass, 2500},
		{"pattern is anchored", "count(requests{step=~\"lo\"}) >= 0", nil, nil, Invalid, inf},
		{"pattern", "count(requests{step=~\"lo.*\"}) == 2500", nil, nil, Pass, 2500},
		{"not a pattern", "count(requests{step!~\"lo.*|x\"}) == 2500", nil, nil, Pass, 2500},
		{"alternatives are anchored together", "count(requests{step=~\"a|add\"}) == 2500", nil, nil, Pass, 2500},

		// During.
		{"warm-up is left out", "max(response_time) < 100ms", nil, every(0, 5, slow), Pass, 0.01},
		{"warm-up by name", "max(response_time) < 100ms", []opt{during("warm")}, every(0, 5, slow), Fail, 0.4},
		{"one phase", "max(response_time) < 100ms", []opt{during("tail")}, every(5, 25, slow), Pass, 0.01},
		{"count of one phase", "count(requests) == 1000", []opt{during("tail")}, nil, Pass, 1000},
		{"rate of one phase", "rate(requests) == 200/s", []opt{during("tail")}, nil, Pass, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, check(t, c.check, c.opts...), c.seconds, c.want, c.observed)
		})
	}
}

func TestWindows(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name     string
		check    string
		opts     []opt
		seconds  map[int64]*sec
		want     Result
		observed float64
	}{
		{"all hold", "p99(response_time) < 100ms", []opt{window(s5)}, nil, Pass, 0.01},
		{"one of five does not", "p99(response_time) < 100ms", []opt{window(s5)}, every(11, 12, slow), Fail, 0.4},
		{"one of five may", "p99(response_time) < 100ms", []opt{window(s5), share(0.8)}, every(11, 12, slow), Pass, 0.4},
		{"two of five may not", "p99(response_time) < 100ms", []opt{window(s5), share(0.8)}, every(13, 17, slow), Fail, 0.4},
		{"windows lie on the seconds of T0", "p99(response_time) < 100ms", []opt{window(10 * time.Second), share(0.5)}, every(19, 21, slow), Fail, 0.4},
		{"lasts long enough", "p99(response_time) < 100ms", []opt{window(time.Second), lasting(3 * time.Second)}, every(11, 14, slow), Fail, 0.4},
		{"does not last", "p99(response_time) < 100ms", []opt{window(time.Second), lasting(3 * time.Second)}, every(11, 13, slow), Pass, 0.4},
		{"interrupted", "p99(response_time) < 100ms", []opt{window(time.Second), lasting(3 * time.Second)}, map[int64]*sec{11: slow(11), 12: slow(12), 14: slow(14), 15: slow(15)}, Pass, 0.4},
		{"a rate over windows of which the first and the last are cut", "rate(requests) >= 200/s", []opt{window(4 * time.Second)}, nil, Pass, 200},
		{"a rate too low in one window", "rate(requests) >= 200/s", []opt{window(s5)}, every(11, 12, func(i int64) *sec { return at0(i).arrivals(100).ok("add", 100, 10) }), Fail, 180},
		{"a count beyond its limit in a cut window", "count(requests{outcome=\"failed\"}) < 10", []opt{window(10 * time.Second), during("tail")}, every(26, 27, broken), Fail, 50},
		{"a count in cut windows only", "count(requests) < 100000", []opt{window(10 * time.Second), during("tail")}, nil, Invalid, inf},
		{"an empty window among many", "p99(response_time{step=\"add\"}) < 100ms", []opt{window(time.Second)}, every(11, 12, func(i int64) *sec { return at0(i).arrivals(100).ok("login", 100, 10) }), Pass, 0.01},
		{"too many empty windows", "p99(response_time{step=\"add\"}) < 100ms", []opt{window(time.Second)}, every(11, 13, func(i int64) *sec { return at0(i).arrivals(100).ok("login", 100, 10) }), Invalid, 0.01},
		{"empty windows do not hide a breach", "p99(response_time{step=\"add\"}) < 100ms", []opt{window(time.Second)}, func() map[int64]*sec {
			m := every(11, 20, func(i int64) *sec { return at0(i).arrivals(100).ok("login", 100, 10) })
			m[22] = slow(22)
			return m
		}(), Fail, 0.4},
		{"nothing due is no empty window", "p99(response_time) < 100ms", []opt{window(time.Second)}, every(11, 17, at0), Pass, 0.01},
		{"nothing ended, oldest beyond the limit", "p99(response_time) < 1s", []opt{window(time.Second), share(0.9)}, every(11, 12, stalled(2*time.Second)), Pass, 2},
		{"nothing ended, no share to lose", "p99(response_time) < 1s", []opt{window(time.Second)}, every(11, 12, stalled(2*time.Second)), Fail, 2},
		{"nothing ended, oldest within the limit", "p99(response_time) < 3s", []opt{window(time.Second)}, every(11, 12, stalled(2*time.Second)), Pass, 0.01},
		{"nothing ended at all, old", "p99(response_time) < 1s", []opt{window(s5)}, every(5, 30, stalled(9*time.Second)), Fail, 9},
		{"nothing ended at all, young", "p99(response_time) < 10s", []opt{window(s5)}, every(5, 30, stalled(9*time.Second)), Invalid, inf},
		{"nothing ended, without windows, old", "p99(response_time) < 1s", nil, every(5, 30, stalled(9*time.Second)), Fail, 9},
		{"nothing ended, without windows, young", "p99(response_time) < 10s", nil, every(5, 30, stalled(9*time.Second)), Invalid, inf},
		{"nothing ended and a lower limit", "p99(response_time) > 1s", nil, every(5, 30, stalled(9*time.Second)), Invalid, inf},
		{"errors in one window", "error_ratio(requests) < 20%", []opt{window(s5)}, every(10, 15, broken), Fail, 0.25},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, check(t, c.check, c.opts...), c.seconds, c.want, c.observed)
		})
	}
}

func TestHeldBackArrivalsAreTheTargets(t *testing.T) {
	inf := math.Inf(1)
	all := every(5, 30, full(95, 5))
	for _, c := range []struct {
		name     string
		check    string
		opts     []opt
		seconds  map[int64]*sec
		want     Result
		observed float64
	}{
		{"p99 with 5 %", "p99(response_time) < 10s", nil, all, Fail, inf},
		{"p99 with 5 % in windows", "p99(response_time) < 10s", []opt{window(s5)}, all, Fail, inf},
		{"p99 with 5 % in one window", "p99(response_time) < 10s", []opt{window(s5)}, every(10, 15, full(95, 5)), Fail, inf},
		{"service time as well", "p99(service_time) < 10s", nil, every(5, 30, func(i int64) *sec {
			return full(95, 5)(i).add(metric.ServiceTime, at0(i).labels("add", "outcome", "ok"), 95, time.Millisecond)
		}), Fail, inf},
		{"p95 with exactly 5 %", "p95(response_time) < 20ms", nil, all, Pass, 0.01},
		{"p95 with a little more", "p95(response_time) < 20ms", nil, every(5, 30, full(94, 6)), Fail, inf},
		{"one step of several", "p95(response_time{step=\"add\"}) < 20ms", nil, every(5, 30, full(94, 6)), Fail, inf},
		{"mean", "mean(response_time) < 10s", nil, every(7, 8, full(99, 1)), Fail, inf},
		{"maximum", "max(response_time) < 10s", nil, every(7, 8, full(99, 1)), Fail, inf},
		{"deviation", "stddev(response_time) < 10s", nil, every(7, 8, full(99, 1)), Fail, inf},
		{"trend", "trend(response_time) < 10s/s", nil, every(7, 8, full(99, 1)), Fail, inf},
		{"minimum is that of the others", "min(response_time) < 20ms", nil, all, Pass, 0.01},
		{"all held back", "p50(response_time) < 10s", nil, every(5, 30, full(0, 100)), Fail, inf},
		{"all held back in windows", "p50(response_time) < 10s", []opt{window(s5)}, every(5, 30, full(0, 100)), Fail, inf},
		{"the sum of nothing, although others were held back", `sum(response_time{outcome="ok"}) > 5ms`, []opt{window(s5)}, every(5, 10, func(i int64) *sec {
			return at0(i).arrivals(1).failed("login", 1, 10).withheld(metric.CauseMaxInFlight, 5)
		}), Fail, 0},
		{"all held back is no proof of slowness", "p50(response_time) > 10ms", nil, every(5, 30, full(0, 100)), Invalid, inf},
		{"a lower limit does not pass because of them", "p99(response_time) > 20ms", nil, all, Fail, 0.01},
		{"nor does an inequality", "p99(response_time) != 10ms", []opt{func(c *scenario.Criterion) { c.Check.Limit = 0.01 }}, every(5, 30, func(i int64) *sec {
			return at0(i).arrivals(95).withheld(metric.CauseMaxInFlight, 5).ok("add", 95, 10)
		}), Fail, 0.01},
		{"a quotient does not pass because of them", "p50(response_time) / p99(response_time) < 50%", nil, all, Fail, 1},
		{"few enough requests only because they were held back", "count(requests) < 4900", nil, all, Fail, 5000},
		{"an upper rate only because they were held back", "rate(requests) < 195/s", []opt{window(s5)}, all, Fail, 200},
		{"a lower rate counts what was sent", "rate(requests) > 190/s", []opt{window(s5)}, all, Fail, 190},
		{"they count as errors", "error_ratio(requests) < 1%", nil, all, Fail, 0.05},
		{"they count as errors where that does not matter", "error_ratio(requests) < 6%", nil, all, Pass, 0.05},
		{"an error ratio does not pass because of them", "error_ratio(requests) > 1%", nil, all, Fail, 0},
		{"iterations that count as errors", "error_ratio(iterations) < 1%", nil, every(5, 30, func(i int64) *sec {
			return full(95, 5)(i).add(metric.Iterations, at0(i).labels("", "outcome", "ok").Without("step"), 95, time.Second)
		}), Fail, 0.05},
		{"failures", "count(requests{outcome=\"failed\"}) < 100", nil, all, Fail, 250},
		{"failures, few enough", "count(requests{outcome=\"failed\"}) < 300", nil, all, Pass, 250},
		{"failures of one kind", "rate(requests{status=\"503\"}) < 5/s", nil, all, Fail, 10},
		{"successes are those that were", "count(requests{outcome=\"ok\"}) > 4800", nil, all, Fail, 4750},
		{"a window of nothing else", "error_ratio(requests) < 50%", []opt{window(s5), share(0.9)}, every(10, 15, full(0, 100)), Fail, 1},
		{"in flight at the cap", "max(in_flight) < 60", nil, every(5, 6, func(i int64) *sec { return full(50, 50)(i).inFlight(50, 0) }), Fail, 100},
		{"in flight at the cap, in windows", "mean(in_flight) < 60", []opt{window(s5)}, every(5, 30, func(i int64) *sec { return full(50, 50)(i).inFlight(50, 0) }), Fail, 100},
		{"in flight, at least", "min(in_flight) > 60", nil, every(5, 30, func(i int64) *sec { return full(50, 50)(i).inFlight(50, 0) }), Fail, 50},
		{"in flight, few enough", "max(in_flight) < 101", nil, every(5, 6, func(i int64) *sec { return full(50, 50)(i).inFlight(50, 0) }), Pass, 100},
		{"held back in warm-up", "p99(response_time) < 20ms", nil, every(0, 5, full(50, 50)), Pass, 0.01},
		{"other causes are not the target's", "p99(response_time) < 20ms", nil, every(5, 30, func(i int64) *sec {
			return quiet(i).withheld(metric.CauseCapShare, 5).withheld(metric.CauseLate, 5)
		}), Pass, 0.01},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, check(t, c.check, c.opts...), c.seconds, c.want, c.observed)
		})
	}
}

// expect judges one criterion, which must have one row.
func expect(t *testing.T, c scenario.Criterion, change map[int64]*sec, want Result, observed float64) {
	t.Helper()
	out := judged(newPlan(c), seconds(change)).Final(whole)
	if len(out.Criteria) != 1 {
		t.Fatalf("rows %+v", out.Criteria)
	}
	row := out.Criteria[0]
	got := "none"
	if row.Observed != nil {
		got = fmt.Sprintf("%.6g", *row.Observed)
	}
	if row.Result != want {
		t.Fatalf("%s, want %s (observed %s, %s)", row.Result, want, got, row.Reason)
	}
	switch {
	case math.IsInf(observed, 0) != (row.Observed == nil):
		t.Errorf("observed %s, want %v", got, observed)
	case row.Observed != nil && math.Abs(*row.Observed-observed) > 0.006*math.Abs(observed)+1e-12:
		t.Errorf("observed %s, want %v", got, observed)
	}
	// What was breached is listed whatever came of it; a breach without one is a lie.
	if want == Fail && len(row.Violations) == 0 {
		t.Errorf("%s with violations %v", want, row.Violations)
	}
	if want == Invalid && row.Reason == "" {
		t.Error("INVALID without a reason")
	}
	if len(out.Violations) != len(row.Violations) {
		t.Errorf("%d violations listed, %d named", len(out.Violations), len(row.Violations))
	}
}
