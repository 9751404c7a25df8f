package judge

import (
	"strings"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/search"
)

// proofOf folds quiet seconds of the steady phase, each changed, into a window of ten of them.
func proofOf(t *testing.T, plan *scenario.Plan, change func(*sec)) Proof {
	t.Helper()
	w := NewWindow(plan, "steady", 10, 20)
	w.SetSchedule(run.History{})
	for i := int64(5); i < 25; i++ {
		s := quiet(i)
		if change != nil {
			change(s)
		}
		if s.Index >= 0 {
			w.Observe(s.Second)
		}
	}
	return w.Proof(Expected{Rate: 100, Arrivals: 1000})
}

func unfit(h metric.Health, cause string, indices ...int64) func(*sec) {
	return func(s *sec) {
		for _, i := range indices {
			if s.Index == i {
				s.Health, s.Causes = h, []string{cause}
			}
		}
	}
}

// TestWindow: what a probe shows is said by its measured seconds alone, and only when they were measured.
func TestWindow(t *testing.T) {
	slow := func(s *sec) {
		if s.Index == 12 {
			s.ok("add", 50, 900)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*sec)
		want   search.Outcome
		reason string
	}{
		{"as it should be", nil, search.Held, ""},
		{"slow", slow, search.Broken, "does not hold"},
		{"slow before and after it", func(s *sec) {
			if s.Index < 10 || s.Index >= 20 {
				s.ok("add", 500, 900)
			}
		}, search.Held, ""},
		{"a degraded second", unfit(metric.HealthDegraded, "cpu", 15), search.Limited, "in 1 of 10 seconds the generators were at their limit or near it: cpu in 1"},
		{"an invalid second", unfit(metric.HealthInvalid, "schedule_lag", 15), search.Limited, "schedule_lag in 1"},
		{"an invalid second before it", unfit(metric.HealthInvalid, "schedule_lag", 9), search.Held, ""},
		{"slow and degraded", func(s *sec) {
			slow(s)
			unfit(metric.HealthDegraded, "cpu", 12)(s)
		}, search.Limited, "cpu"},
		{"without a lease", unfit(metric.HealthInvalid, "no_lease", 15), search.Disturbed, "had no lease"},
		{"a second is missing", func(s *sec) {
			if s.Index == 15 {
				s.Index = -1
			}
		}, search.Disturbed, "1 of 10 seconds are missing"},
		{"paused", func(s *sec) {
			if s.Index == 15 {
				s.Paused = time.Second / 2
			}
		}, search.Disturbed, "paused in 1"},
		{"half of the fleet", func(s *sec) {
			if s.Index == 15 {
				*s = *at0(15).arrivals(50).ok("login", 50, 10).ok("add", 50, 10)
			}
		}, search.Disturbed, "950 arrivals were due and 1000 should have been"},
		{"nothing to judge by", func(s *sec) { *s = *at0(s.Index).arrivals(100).ok("login", 100, 10) }, search.Disturbed, "cannot be judged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := proofOf(t, newPlan(check(t, `p99(response_time{step="add"}) < 100ms`), check(t, "max(response_time) < 1ms", severity("warning")), check(t, "max(response_time) < 1ms", during("tail"))), tt.change)
			if p.Outcome != tt.want || !strings.Contains(p.Reason, tt.reason) || (p.Criterion != "") != (tt.want == search.Broken) {
				t.Errorf("%s %q: %s; want %s: %s", p.Outcome, p.Criterion, p.Reason, tt.want, tt.reason)
			}
			if p.Rate != 100 || p.Seconds != 10 || len(p.Criteria) != 1 {
				t.Errorf("proof %+v", p)
			}
		})
	}
	if p := proofOf(t, newPlan(check(t, "max(response_time) < 1s")), nil); p.Planned != 1000 || p.Sent != 1000 || p.Requests != 2000 || p.Response.Count() != 2000 || p.Valid != 10 {
		t.Errorf("numbers %+v", p)
	}
}

// TestOnlyTheResultOfASearchCounts: of the time of a search the seconds of the result decide, and all others of the run
// as ever.
func TestOnlyTheResultOfASearchCounts(t *testing.T) {
	found := &Searched{Phase: "steady", Windows: [][2]int64{{10, 14}}, Result: search.Result{Kind: search.Found, Low: 100, High: 110, Criterion: "fast"}}
	verdictOf := func(s *Searched, slow ...int64) run.Verdict {
		j := New(newPlan(check(t, `p99(response_time{step="add"}) < 100ms`)))
		j.SetSearch(s)
		j.SetSchedule(history, 0)
		for i := range int64(30) {
			sec := quiet(i)
			for _, n := range slow {
				if n == i {
					sec.ok("add", 500, 900)
					sec.Health, sec.Causes = metric.HealthValid, nil
				}
			}
			j.Observe(sec.Second)
		}
		return j.Final(Input{Completeness: 1, Search: s}).Verdict
	}
	if v := verdictOf(found, 5, 9, 14, 24); v.Result != run.Pass || v.Reasons[0].Code != run.CodeCapacity {
		t.Errorf("slow in other probes: %+v", v)
	}
	if v := verdictOf(found, 12); v.Result != run.Fail {
		t.Errorf("slow in a probe of the result: %+v", v)
	}
	if v := verdictOf(found, 27); v.Result != run.Fail {
		t.Errorf("slow in another phase: %+v", v)
	}
	for kind, want := range map[search.Kind]run.Result{
		search.GeneratorLimit: run.Invalid, search.Unmeasured: run.Invalid, search.Unfinished: run.Invalid, search.TooLow: run.Fail, search.AtLeast: run.Pass,
	} {
		s := *found
		s.Result.Kind = kind
		if v := verdictOf(&s); v.Result != want {
			t.Errorf("%s: %+v, want %s", kind, v, want)
		}
	}
}
