package judge

import (
	"math"
	"strings"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// TestOtherMetrics: counters, measures and what has no phase.
func TestOtherMetrics(t *testing.T) {
	inf := math.Inf(1)
	bytes := every(5, 30, func(i int64) *sec { return quiet(i).bytes(1000 + 10*i) })
	again := every(5, 30, func(i int64) *sec { return quiet(i).retried(3) })
	unwell := every(5, 30, func(i int64) *sec {
		return quiet(i).retried(3).add(metric.ResponseTime, at0(i).labels("add", "outcome", "failed", "error", "no_source"), 2, time.Second)
	})
	orders := every(5, 30, func(i int64) *sec { return quiet(i).add("orders", at0(i).labels("add"), 4, 3*time.Second) })
	cpu := every(0, 30, func(i int64) *sec {
		return quiet(i).add("cpu", metric.NewLabels("worker", "a"), 1, time.Duration(i)*10*time.Millisecond)
	})
	for _, c := range []struct {
		name     string
		check    string
		opts     []opt
		seconds  map[int64]*sec
		want     Result
		observed float64
	}{
		{"counter: count", "count(bytes_in) > 0", nil, bytes, Pass, 29250},
		{"counter: sum", "sum(bytes_in) < 30kB", nil, bytes, Pass, 29250},
		{"counter: rate", "rate(bytes_in) > 1kB/s", nil, bytes, Pass, 1170},
		{"counter: mean per second", "mean(bytes_in) <= 1170B", nil, bytes, Pass, 1170},
		{"counter: largest second", "max(bytes_in) <= 1290B", nil, bytes, Pass, 1290},
		{"counter: trend", "trend(bytes_in) < 11B/s", nil, bytes, Pass, 10},
		{"counter: windows", "rate(bytes_in) > 1kB/s", []opt{window(s5)}, bytes, Pass, 1070},
		{"counter that counts only elsewhere", "sum(bytes_in{step=\"login\"}) < 30kB", nil, bytes, Invalid, inf},
		{"counter: errors of it", "error_ratio(requests) < 1%", []opt{func(c *scenario.Criterion) { c.Check.Left.Metric = metric.BytesIn }}, bytes, Invalid, inf},
		{"retried requests: count", "count(retried) < 76", nil, again, Pass, 75},
		{"retried requests: rate", "rate(retried) < 1/s", nil, again, Fail, 3},
		{"retried requests of a step", "count(retried{step=\"add\"}) == 75", nil, again, Pass, 75},
		{"retried requests of a step without any", "count(retried{step=\"login\"}) < 1", nil, again, Pass, 0},
		{"retried requests in a window without any", "rate(retried) < 1/s", []opt{window(s5), share(0.1)}, nil, Pass, 0},
		{"retried requests: share", "count(retried) / count(requests) < 2%", nil, again, Pass, 0.015},
		{"nothing was retried", "count(retried) < 1", nil, nil, Pass, 0},
		{"nothing was redirected", "count(redirects) < 1", nil, again, Pass, 0},
		{"redirected, but no such step", "count(redirects{step=\"pay\"}) < 1", nil, again, Invalid, inf},
		{"retried although the generator failed", "count(retried) == 75", nil, unwell, Pass, 75},
		{"measure: sum", "sum(orders) == 300", nil, orders, Pass, 300},
		{"measure: count", "count(orders) == 100", nil, orders, Pass, 100},
		{"measure: mean", "mean(orders) == 3", nil, orders, Pass, 3},
		{"measure per request", "sum(orders) / count(requests) < 7%", nil, orders, Pass, 0.06},
		{"requests are counted, not added up", "count(requests) == 5000", []opt{func(c *scenario.Criterion) { c.Check.Left.Stat = scenario.StatSum }}, nil, Pass, 5000},
		{"requests held back are no latency of a sum", "count(requests) > 1", []opt{func(c *scenario.Criterion) { c.Check.Left.Stat = scenario.StatSum }}, every(5, 30, full(95, 5)), Pass, 4750},
		{"without a phase: the seconds of the phases", "max(cpu) < 30%", nil, cpu, Pass, 0.29},
		{"without a phase: those of one phase", "max(cpu) < 25%", []opt{during("steady")}, cpu, Pass, 0.24},
		{"without a phase: not those of warm-up", "min(cpu) >= 5%", nil, cpu, Pass, 0.05},
		{"trend of a histogram", "trend(cpu) < 2%/s", nil, cpu, Pass, 0.01},
		{"trend weighs values, not seconds", "trend(response_time) > -1ms/s", nil, every(5, 6, func(i int64) *sec { return at0(i).arrivals(1).ok("login", 1, 10000) }), Pass, -0.0005425},
		{"counter beyond ten billion in a second", "max(bytes_in) < 30GB", nil, every(5, 30, func(i int64) *sec { return quiet(i).bytes(25e9) }), Pass, 25e9},
		{"in flight, mean over the seconds", "mean(in_flight) < 5", nil, every(5, 30, func(i int64) *sec { return quiet(i).inFlight(i-5, 0) }), Fail, 12},
		{"in flight of a flow that does not run", "max(in_flight{flow=\"sell\"}) < 5", nil, nil, Invalid, inf},
		{"in flight per request", "max(in_flight) / count(requests) < 1", nil, every(9, 10, func(i int64) *sec { return quiet(i).inFlight(50, 0) }), Pass, 0.01},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, check(t, c.check, c.opts...), c.seconds, c.want, c.observed)
		})
	}
}

// TestLines: what lies exactly on a line.
func TestLines(t *testing.T) {
	inf := math.Inf(1)
	onlyLogin := func(i int64) *sec { return at0(i).arrivals(100).ok("login", 100, 10) }
	bad := func(i int64) *sec { return quiet(i).health(metric.HealthInvalid) }
	for _, c := range []struct {
		name     string
		check    string
		opts     []opt
		seconds  map[int64]*sec
		want     Result
		observed float64
	}{
		{"19 of 20 seconds are valid", "p99(response_time) < 1s", []opt{during("steady")}, every(7, 8, bad), Pass, 0.01},
		{"1 of 20 windows is empty", "p99(response_time{step=\"add\"}) < 1s", []opt{during("steady"), window(time.Second)}, every(7, 8, onlyLogin), Pass, 0.01},
		{"2 of 20 windows are empty", "p99(response_time{step=\"add\"}) < 1s", []opt{during("steady"), window(time.Second)}, every(7, 9, onlyLogin), Invalid, 0.01},
		{"windows by age are no samples", "p99(response_time) < 1s", []opt{during("steady"), window(time.Second), share(0.5)}, every(7, 9, stalled(2*time.Second)), Invalid, 2},
		{"windows of held-back arrivals are no samples", "p99(response_time) < 1s", []opt{during("steady"), window(time.Second), share(0.5)}, every(7, 9, full(0, 9)), Invalid, inf},
		{"nothing in flight and an age", "p99(response_time) < 1s", []opt{window(time.Second)}, every(7, 8, func(i int64) *sec { return at0(i).arrivals(1).inFlight(0, 2*time.Second) }), Pass, 0.01},
		{"for as long as one window", "p99(response_time) < 100ms", []opt{window(s5), lasting(s5)}, every(11, 12, slow), Fail, 0.4},
		{"for not quite two windows is for two", "p99(response_time) < 100ms", []opt{window(s5), lasting(6 * time.Second)}, every(11, 12, slow), Pass, 0.4},
		{"equal to the limit", "max(response_time) < 10ms", nil, nil, Fail, 0.01},
		{"equal to the limit is at most", "max(response_time) <= 10ms", nil, nil, Pass, 0.01},
		{"equal to the limit is at least", "max(response_time) >= 10ms", nil, nil, Pass, 0.01},
		{"equal to the limit is not above", "max(response_time) > 10ms", nil, nil, Fail, 0.01},
		{"not equal, below", "count(requests) != 5001", nil, nil, Pass, 5000},
		{"not equal, above", "count(requests) != 4999", nil, nil, Pass, 5000},
		{"not equal, equal", "count(requests) != 5000", nil, nil, Fail, 5000},
		{"worst of unequal windows", "max(response_time) == 400ms", []opt{window(s5)}, every(10, 15, slow), Fail, 0.01},
		{"worst of windows that come near", "mean(response_time) != 900ms", []opt{window(s5)}, every(10, 15, slow), Pass, 0.4},
		{"worst of a lower limit", "max(response_time) > 100ms", []opt{window(s5)}, every(10, 30, slow), Fail, 0.01},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, check(t, c.check, c.opts...), c.seconds, c.want, c.observed)
		})
	}
}

// TestStreakEndsWhereNothingIsScheduled: two breaches with a phase of other things between them did not last.
func TestStreakEndsWhereNothingIsScheduled(t *testing.T) {
	c := check(t, "max(response_time) < 100ms", window(time.Second), lasting(2*time.Second), during("warm", "tail"))
	out := judged(newPlan(c), seconds(map[int64]*sec{4: slow(4), 25: slow(25)})).Final(whole)
	if got := out.Criteria[0]; got.Result != Pass || len(out.Violations) != 0 {
		t.Errorf("%+v", got)
	}
	c = check(t, "max(response_time) < 100ms", window(time.Second), lasting(2*time.Second))
	gap := func(i int64) *sec { return slow(i).health(metric.HealthInvalid) }
	out = judged(newPlan(c), seconds(map[int64]*sec{10: slow(10), 11: gap(11), 12: slow(12)})).Final(whole)
	if got := out.Criteria[0]; got.Result != Fail || out.Violations[0].To-out.Violations[0].From != 3*time.Second {
		t.Errorf("a second that does not count ends a streak: %+v", got)
	}
}

func TestReasonsNameHeldBackArrivals(t *testing.T) {
	for src, named := range map[string]bool{
		"p99(response_time) < 1s": true, "count(requests) < 10": true, "count(orders) / count(requests) > 5": true,
		"error_ratio(requests) > 1%": true, "count(requests{outcome=\"failed\"}) > 0": true, "max(in_flight) < 5": true,
		"sum(orders) < 1": false,
	} {
		m := every(5, 30, func(i int64) *sec { return full(95, 5)(i).add("orders", at0(i).labels("add"), 4, time.Second) })
		row := judged(newPlan(check(t, src)), seconds(m)).Final(whole).Criteria[0]
		if row.Result != Fail || strings.Contains(row.Reason, "125 arrivals") != named {
			t.Errorf("%s: %s %q", src, row.Result, row.Reason)
		}
	}
}

func TestReasonsTellWhatHasNoSamples(t *testing.T) {
	for src, want := range map[string]string{
		"p99(response_time{outcome=\"failed\"}) < 1s": "there are no samples with these labels",
		"p99(response_time{step=\"pay\"}) < 1s":       "there are no samples",
		"max(cpu) < 100%":                             "there are no samples",
	} {
		if got := judged(newPlan(check(t, src)), seconds(nil)).Final(whole).Criteria[0].Reason; got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}

func TestPausedSecondsAreNotMissed(t *testing.T) {
	plan := newPlan(check(t, "p99(response_time) < 1s", during("warm")))
	j := New(plan)
	j.SetSchedule(run.History{{Kind: run.ChangePause, At: 2500 * time.Millisecond}, {Kind: run.ChangeResume, At: 20 * time.Second}}, 0)
	for i := range int64(30) {
		if i < 3 || i > 19 {
			s := quiet(min(i, 4))
			s.Index = i
			if i == 2 {
				s.paused(500 * time.Millisecond)
			}
			j.Observe(s.Second)
		}
	}
	if got := j.Standing()[0]; got.Result != Pass {
		t.Errorf("%s %s", got.Result, got.Reason)
	}
}

func TestNoBoundIsNoBound(t *testing.T) {
	plan := newPlan()
	plan.Validity = scenario.Validity{}
	lag := every(5, 30, func(i int64) *sec {
		return quiet(i).add(metric.ScheduleLag, metric.NewLabels("phase", phaseAt(i)), 100, time.Second)
	})
	if v := judged(plan, seconds(lag)).Final(whole).Verdict; v.Result != run.Pass {
		t.Errorf("%+v", v)
	}
	plan.Validity.ScheduleLagP99 = time.Millisecond
	if v := judged(plan, seconds(nil)).Final(whole).Verdict; v.Result != run.Pass {
		t.Errorf("no lag measured, and %+v", v)
	}
}

// TestCausesAreNamed: the most frequent first.
func TestCausesAreNamed(t *testing.T) {
	m := every(5, 12, func(i int64) *sec { return quiet(i).health(metric.HealthInvalid, "cpu") })
	m[12], m[13] = quiet(12).health(metric.HealthInvalid, "schedule_lag", "cpu"), nil
	v := judged(newPlan(), seconds(m)).Final(whole).Verdict
	want := "only 16 of 25 seconds are valid; 95 % are needed; causes: cpu (8 s), missing (1 s), schedule_lag (1 s)"
	if len(v.Reasons) != 1 || v.Reasons[0].Message != want {
		t.Errorf("%+v", v.Reasons)
	}
}

// TestLostShareCountsWhatIsInNoSecond: 0.5 % of 2,500 planned arrivals may be lost.
func TestLostShareCountsWhatIsInNoSecond(t *testing.T) {
	for unknown, want := range map[int64]run.Result{12: run.Pass, 13: run.Invalid} {
		in := Input{Completeness: 1, Unknown: unknown}
		if v := judged(newPlan(), seconds(nil)).Final(in).Verdict; v.Result != want {
			t.Errorf("%d unknown: %s %v", unknown, v.Result, v.Reasons)
		}
	}
	in := Input{Completeness: 1, Unknown: 1, WorkerLost: -50}
	if v := judged(newPlan(), seconds(nil)).Final(in).Verdict; v.Result != run.Pass {
		t.Errorf("%+v", v)
	}
}
