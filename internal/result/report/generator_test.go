package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// generatorPlan has a warm-up and a phase that counts.
func generatorPlan() *scenario.Plan {
	phase := func(name string, warmup bool, at time.Duration) scenario.Phase {
		return scenario.Phase{
			Name: name, Warmup: warmup, At: at, Length: 20 * time.Second, Mix: []scenario.Weight{{Flow: "f", Weight: 1}},
			Rate: []scenario.Segment{{From: 10, To: 10, For: 20 * time.Second, Through: 200}},
		}
	}
	return &scenario.Plan{
		Format: scenario.PlanFormat, Name: "g", Flows: map[string]scenario.Flow{"f": {Steps: []scenario.Step{{Name: "s"}}}},
		Phases:   []scenario.Phase{phase("warm", true, 0), phase("p", false, 20*time.Second)},
		Validity: scenario.Validity{ScheduleLagP99: 5 * time.Millisecond, Sent: 0.995, Completeness: 0.999},
	}
}

// generatorRun builds the report of 40 s, each second as change leaves it.
func generatorRun(t *testing.T, missing map[string]Missing, change func(s *metric.Second)) *Document {
	t.Helper()
	plan := generatorPlan()
	j, fold := judge.New(plan), NewFold()
	j.SetSchedule(nil, 0)
	for i := range int64(40) {
		s := metric.NewSecond(i)
		phase, warmup, lag := "p", "", 19870*time.Microsecond
		if i < 20 {
			phase, warmup, lag = "warm", "true", 70*time.Millisecond
		}
		labels := metric.NewLabels("phase", phase, "warmup", warmup)
		for range 10 {
			observe(&s, metric.ScheduleLag, labels, lag)
			observe(&s, metric.ResponseTime, labels.With("flow", "f").With("step", "s").With("outcome", "ok"), time.Millisecond)
		}
		s.Arrivals[metric.ArrivalKey{Phase: phase, Flow: "f"}] = &metric.Arrivals{Planned: 10, Sent: 10, Succeeded: 10}
		s.Health = metric.HealthValid
		if change != nil {
			change(&s)
		}
		j.Observe(s)
		if err := fold.Add(&s); err != nil {
			t.Fatal(err)
		}
	}
	t0 := sampleStart
	stop := run.Stop{Kind: run.StopCompleted, At: 40 * time.Second}
	in := Input{
		Run: run.Run{ID: "r", Name: "g", State: run.Stopping, T0: &t0, Stop: &stop}, State: run.Completed, Plan: plan, Fold: fold, Missing: missing,
		Outcome: j.Final(judge.Input{Run: "r", Stop: &stop, Completeness: 1}),
	}
	d, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// findingOf is the evidence of the first finding of a kind, and its advice.
func findingOf(d *Document, kind string) (evidence, advice string) {
	for _, f := range d.Findings {
		if f.Kind == kind {
			var lines []string
			for _, e := range f.Evidence {
				lines = append(lines, e.Message)
			}
			return strings.Join(lines, "\n"), f.Recommendation
		}
	}
	return "", ""
}

// TestGeneratorHasOneBasis: the reasons of the verdict, the answer about the generator and the finding tell the
// same schedule lag, and the same number of seconds for each cause.
func TestGeneratorHasOneBasis(t *testing.T) {
	d := generatorRun(t, nil, func(s *metric.Second) {
		switch {
		case s.Index < 28:
			s.Health, s.Causes = metric.HealthInvalid, []string{"cpu"}
		case s.Index < 33:
			s.Health, s.Causes = metric.HealthDegraded, []string{"cpu"}
		}
	})
	var reasons []string
	for _, r := range d.Verdict.Reasons {
		reasons = append(reasons, r.Message)
	}
	c := generatorCheck(d)
	line := c.Text + ", " + c.Detail
	evidence, _ := findingOf(d, "generator")
	lag := d.Integrity.Generator.ScheduleLag
	p99 := lag.of(lag.P99)
	if all := strings.Join(reasons, "\n"); !strings.Contains(all, "schedule lag is "+p99) || !strings.Contains(all, "only 12 of 20 seconds are valid") || !strings.Contains(all, "cpu (8 s)") {
		t.Errorf("lag %s, reasons %q", p99, reasons)
	}
	if want := fmt.Sprintf("the limit in 8 of 20 seconds, schedule lag p99 %s, both without warm-up", p99); line != want {
		t.Errorf("generator %q, want %q", line, want)
	}
	if !strings.Contains(evidence, "schedule lag is "+p99) || !strings.Contains(evidence, "cpu: the limit in 8 seconds, near it in 5") {
		t.Errorf("finding %q", evidence)
	}
	near := generatorRun(t, nil, func(s *metric.Second) {
		if s.Index == 30 {
			s.Health, s.Causes = metric.HealthDegraded, []string{"cpu"}
		}
	})
	near.Load.NotSent = map[string]int64{}
	if got := generatorAdvice(near, false); !strings.Contains(got, "came near its limit") || strings.Contains(got, "was the limit") {
		t.Errorf("near the limit it says %q", got)
	}
}

// TestMissingIsInTheTimeline: what is in no batch is in the seconds in which it was due, which are not valid;
// the timeline adds up with the totals.
func TestMissingIsInTheTimeline(t *testing.T) {
	missing := map[string]Missing{
		"warm": {Absent: Absent{Unknown: 1}, Seconds: map[int64]Absent{19: {Unknown: 1}}},
		"p":    {Absent: Absent{WorkerLost: 30, Unknown: 12}, Seconds: map[int64]Absent{24: {Unknown: 7}, 25: {WorkerLost: 5, Unknown: 5}, 26: {WorkerLost: 25}, 27: {}}},
	}
	d := generatorRun(t, missing, nil)
	var planned, sent, not, unknown int64
	var invalid []float64
	for _, p := range d.Timeline.Points {
		planned, sent, not, unknown = planned+p.Planned, sent+p.Sent, not+p.NotSent, unknown+p.Unknown
		if p.Validity == Invalid {
			invalid = append(invalid, p.AtS)
		}
	}
	if l := d.Load; planned != l.Planned || sent != l.Sent || not != l.NotSentTotal() || unknown != l.Unknown || unknown != 13 || not != 30 {
		t.Errorf("timeline %d planned, %d sent, %d not sent, %d unknown; totals %+v", planned, sent, not, unknown, l)
	}
	if want := []float64{19, 24, 25, 26}; !slices.Equal(invalid, want) {
		t.Errorf("seconds %v are not valid, want %v", invalid, want)
	}
	if c := generatorCheck(d); c.Text != "the limit in 3 of 20 seconds, in 3 for lost workers" {
		t.Errorf("generator %q", c.Text)
	}
	if g := d.Integrity.Generator; g.Causes["worker_lost"] != (Strain{Invalid: 3}) {
		t.Errorf("causes %v", g.Causes)
	}
}

// TestGeneratorAdvice: what helps depends on what was seen, and a generator that has not sent something was
// not "never the limit".
func TestGeneratorAdvice(t *testing.T) {
	slept := generatorRun(t, map[string]Missing{"p": {Absent: Absent{WorkerLost: 5}, Seconds: map[int64]Absent{30: {WorkerLost: 5}}}}, func(s *metric.Second) {
		if s.Index == 30 {
			s.Health, s.Causes = metric.HealthInvalid, []string{"no_lease"}
		}
	})
	if got := generatorAdvice(slept, false); strings.Contains(got, "grace") || !strings.Contains(got, "Workers were lost") {
		t.Errorf("of a worker that slept it says %q", got)
	}
	const lease, lost, cpu = "coordinator_loss.grace", "Workers were lost", "more CPU"
	for _, tt := range []struct {
		name   string
		cause  metric.Cause
		advice []string
		not    []string
	}{
		{"no coordinator", metric.CauseNoLease, []string{lease}, []string{lost}},
		{"a worker was lost", metric.CauseWorkerLost, []string{lost}, []string{lease}},
		{"too slow", metric.CauseLate, []string{cpu}, []string{lease, lost}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := generatorRun(t, nil, func(s *metric.Second) {
				if s.Index == 30 {
					a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
					a.Planned, a.NotSent = a.Planned+5, map[metric.Cause]int64{tt.cause: 5}
				}
			})
			if c := generatorCheck(d); c.Text != "not able to send 5 arrivals" {
				t.Errorf("generator %q", c.Text)
			}
			got := generatorAdvice(d, false)
			for _, part := range tt.advice {
				if !strings.Contains(got, part) {
					t.Errorf("advice %q lacks %q", got, part)
				}
			}
			for _, part := range append(tt.not, cpu) {
				if strings.Contains(got, part) && !slices.Contains(tt.advice, part) {
					t.Errorf("advice %q has %q", got, part)
				}
			}
		})
	}
}
