package judge

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
)

func TestBreaches(t *testing.T) {
	plan := newPlan(
		check(t, "p99(response_time) < 100ms", window(time.Second), lasting(3*time.Second), onBreach("abort")),
		check(t, "error_ratio(requests) < 20%", window(s5), onBreach("alert")),
		check(t, "max(response_time) < 1ms", onBreach("alert")),
	)
	j := New(plan)
	j.SetSchedule(history, 0)
	type told struct {
		at       int64
		onBreach string
		from, to time.Duration
	}
	var got []told
	var abort Breach
	ss := seconds(every(11, 17, slow))
	ss[21] = broken(21).Second
	for _, s := range ss {
		j.Observe(s)
		for _, b := range j.Breaches() {
			got = append(got, told{s.Index, b.OnBreach, b.From, b.To})
			abort = b
		}
	}
	want := []told{{13, "abort", 11 * time.Second, 14 * time.Second}}
	if !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	out := j.Final(whole)
	if id := abort.ViolationID("r1"); len(out.Violations) == 0 || out.Violations[0].ID != id {
		t.Errorf("the breach is %s, the violations %+v", id, out.Violations)
	}
	if abort.ViolationID("r2") == out.Violations[0].ID || abort.Message == "" {
		t.Error("violations of two runs have one id")
	}
	if m := abort.Message; !regexp.MustCompile(`observed [0-9.]+ m?s from 11s to 14s$`).MatchString(m) {
		t.Errorf("message %q lacks the observed time with its unit", m)
	}
	v := out.Violations[0]
	if v.From != 11*time.Second || v.To != 17*time.Second || v.Requests != 1200 || v.Failed != 0 || v.Worst == nil || *v.Worst < 0.39 || *v.Worst > 0.41 {
		t.Errorf("violation %+v", v)
	}
}

// TestBreachIsKnownWithItsWindow: nobody knows of a breach before the window is over that tells it.
func TestBreachIsKnownWithItsWindow(t *testing.T) {
	for _, c := range []struct {
		name  string
		opts  []opt
		known time.Duration
	}{
		{"window", []opt{window(s5)}, 15 * time.Second},
		{"for", []opt{window(s5), lasting(10 * time.Second)}, 20 * time.Second},
		{"for, rounded up to windows", []opt{window(2 * time.Second), lasting(3 * time.Second)}, 14 * time.Second},
		{"judged once", nil, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := judged(newPlan(check(t, "p99(response_time) < 100ms", c.opts...)), seconds(every(10, 22, slow))).Final(whole)
			if len(out.Violations) != 1 || out.Violations[0].KnownAt != c.known {
				t.Errorf("violations %+v, want one known at %v", out.Violations, c.known)
			}
		})
	}
}

// TestViolationEndsWithTheRun: windows are whole, the last one of a run need not be.
func TestViolationEndsWithTheRun(t *testing.T) {
	const ended = 23400 * time.Millisecond
	late := seconds(every(20, 25, slow))
	for _, c := range []struct {
		name            string
		opts            []opt
		seconds         []metric.Second
		from, to, known time.Duration
	}{
		{"windows", []opt{window(10 * time.Second)}, late[:25], 20 * time.Second, ended, ended},
		{"judged once", nil, late[:25], s5, ended, ended},
		{"nothing reported of what is left of the window", []opt{window(10 * time.Second)}, late[:22], 20 * time.Second, 22 * time.Second, 22 * time.Second},
		{"known before", []opt{window(2 * time.Second)}, late[:25], 20 * time.Second, ended, 22 * time.Second},
		{"of what was in flight when the load ended", []opt{window(time.Second)}, seconds(map[int64]*sec{24: slow(24)})[:25], 24 * time.Second, 25 * time.Second, 25 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := whole
			in.Stop = &run.Stop{Kind: run.StopOperator, At: ended}
			j := New(newPlan(check(t, "p99(response_time) < 100ms", c.opts...)))
			j.SetSchedule(nil, ended)
			for _, s := range c.seconds {
				j.Observe(s)
			}
			out := j.Final(in)
			if len(out.Violations) != 1 {
				t.Fatalf("violations %+v, want one", out.Violations)
			}
			if v := out.Violations[0]; v.From != c.from || v.To != c.to || v.KnownAt != c.known {
				t.Errorf("from %v to %v, known at %v; want %v, %v and %v", v.From, v.To, v.KnownAt, c.from, c.to, c.known)
			}
		})
	}
}

func TestViolationAtTheEnd(t *testing.T) {
	plan := newPlan(check(t, "error_ratio(requests{step=\"add\"}) < 1%", window(20*time.Second)))
	out := judged(plan, seconds(every(25, 30, broken))).Final(whole)
	v := out.Violations[0]
	if v.From != 20*time.Second || v.To != 30*time.Second || v.Requests != 1000 || v.Failed != 250 {
		t.Errorf("violation %+v", v)
	}
	if v.Series != `error_ratio(requests{step="add"})` || v.ID == "" || v.Severity != "critical" || v.Unit != "ratio" {
		t.Errorf("violation %+v", v)
	}
}

// TestOneBreachPerStreak: two streaks are two violations, and standing rows do not disturb them.
func TestOneBreachPerStreak(t *testing.T) {
	plan := newPlan(check(t, "p99(response_time) < 100ms", window(time.Second), onBreach("alert"), share(0.5)))
	j := New(plan)
	j.SetSchedule(history, 0)
	n := 0
	change := every(7, 10, slow)
	change[15] = slow(15)
	for _, s := range seconds(change) {
		j.Observe(s)
		n += len(j.Breaches())
		_ = j.Standing()
	}
	out := j.Final(whole)
	if n != 2 || len(out.Violations) != 2 || out.Violations[0].ID == out.Violations[1].ID {
		t.Errorf("%d breaches, violations %+v", n, out.Violations)
	}
	if row := out.Criteria[0]; row.Result != Pass || *row.Met != 0.84 || len(row.Violations) != 2 {
		t.Errorf("row %+v, share %v", row, *row.Met)
	}
	again := j.Final(whole)
	if len(again.Violations) != 2 || j.Breaches() != nil {
		t.Error("a second final judgement differs")
	}
}
