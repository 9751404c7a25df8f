package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

func TestBuildSample(t *testing.T) {
	s := newSample(t)
	d := s.build(t)
	var sent, failed int64
	for i := range s.fold.points {
		sent += s.fold.points[i].requests
		failed += s.fold.points[i].errors
	}
	tests := []struct {
		name      string
		got, want any
	}{
		{"requests", d.Requests.Sent, sent},
		{"failed", d.Requests.Failed, failed},
		{"setup and teardown stand apart", d.Requests.Setup + d.Requests.Teardown, int64(2)},
		{"the first row is the total", len(d.Series[0].Labels), 0},
		{"rows", len(d.Series), 1 + 3*3},
		{"rows follow the flow, not the alphabet", d.Series[1].Labels, map[string]string{"phase": "warmup", "flow": "buy", "step": "login"}},
		{"warm-up is marked", d.Series[1].Warmup, true},
		{"arrivals of shards that nobody owned are planned", d.Load.NotSent["worker_lost"], int64(12)},
		{"none unknown", d.Load.Unknown, int64(0)},
		{"every second has a point", len(d.Timeline.Points), sampleLength},
		{"pauses are not under load", d.Run.ElapsedS, 190.0},
		{"paused", d.Run.PausedS, 10.0},
		{"phase from", d.Phases[1].FromS, 30.0},
		{"phase to, in run time", d.Phases[1].ToS, 200.0},
		{"offered is per second under load", *d.Phases[1].OfferedPerS, float64(d.Phases[1].Load.Planned) / 160},
		{"a completed run has no stop reason", d.Run.StopReason, (*string)(nil)},
		{"state is the final one", d.Run.State, "COMPLETED"},
		{"stopped by nobody", d.Verdict.StoppedBy, (*string)(nil)},
		{"the mean of the paused seconds is not there", d.Timeline.Points[samplePauseAt].ResponseTime.P50S, (*float64)(nil)},
		{"validity", d.Timeline.Points[179].Validity, "INVALID"},
		{"findings", kindsOf(d.Findings), []string{"generator", "saturation", "errors"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if !slices.IsSortedFunc(d.Events, func(a, b Event) int { return cmpFloat(a.AtS, b.AtS) }) {
		t.Error("events are not in order")
	}
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func kindsOf(findings []Finding) []string {
	var kinds []string
	for _, f := range findings {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// TestStopped covers what a run that was stopped shows, and what a fault in the samples does.
func TestStopped(t *testing.T) {
	in := newSample(t).in
	in.Run.Stop = &run.Stop{Kind: run.StopOperator, Reason: "wrong target", At: 100 * time.Second}
	in.Outcome.Verdict = run.Verdict{Result: run.Aborted, ExitCode: run.ExitStopped, StoppedBy: "operator"}
	d, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if d.Run.StopReason == nil || *d.Run.StopReason != "wrong target" {
		t.Errorf("stop_reason = %v", d.Run.StopReason)
	}
	if d.Verdict.StoppedBy == nil || *d.Verdict.StoppedBy != "operator" {
		t.Errorf("stopped_by = %v", d.Verdict.StoppedBy)
	}
	if got := headline(d); got != "The run was stopped before its end by an operator." {
		t.Errorf("headline = %q", got)
	}
	if d.Phases[1].ToS != 100 {
		t.Errorf("steady ended at %v, want 100", d.Phases[1].ToS)
	}
	if !slices.ContainsFunc(d.Events, func(e Event) bool { return e.Kind == "stop" && strings.Contains(e.Detail, "wrong target") }) {
		t.Errorf("no stop among the events %v", d.Events)
	}
}

// TestBreachStandsWhereItWasKnown: an event is when something happened, and a breach happens to those who
// watch when its window is over.
func TestBreachStandsWhereItWasKnown(t *testing.T) {
	d := newSample(t).build(t)
	var at []float64
	for _, e := range d.Events {
		if e.Kind == "breach" {
			at = append(at, e.AtS)
		}
	}
	if want := []float64{100, 190}; !slices.Equal(at, want) {
		t.Errorf("breaches at %v, want %v", at, want)
	}
}

// TestLostOutcomes covers arrivals whose sending was committed and whose end was not, and the reverse.
func TestLostOutcomes(t *testing.T) {
	tests := []struct {
		name     string
		arrivals metric.Arrivals
		missing  Missing
		want     Load
		finding  bool
	}{
		{"whole", metric.Arrivals{Planned: 5, Sent: 5, Succeeded: 4, Failed: 1}, Missing{}, Load{Planned: 5, Sent: 5, Succeeded: 4, Failed: 1}, false},
		{"end lost", metric.Arrivals{Planned: 5, Sent: 5, Succeeded: 3}, Missing{}, Load{Planned: 5, Sent: 3, Succeeded: 3, Unknown: 2}, true},
		{"all lost", metric.Arrivals{}, Missing{Absent: Absent{Unknown: 7}}, Load{Planned: 7, Unknown: 7}, true},
		{"plan lost", metric.Arrivals{Planned: 2, Sent: 2, Succeeded: 5}, Missing{}, Load{Planned: 5, Sent: 5, Succeeded: 5}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sec := metric.NewSecond(0)
			sec.Arrivals[metric.ArrivalKey{Phase: "steady", Flow: "buy"}] = &tt.arrivals
			in := (&sample{fold: NewFold()}).input()
			in.Missing = map[string]Missing{"steady": tt.missing}
			if err := in.Fold.Add(&sec); err != nil {
				t.Fatal(err)
			}
			d, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			got := Load{Planned: d.Load.Planned, Sent: d.Load.Sent, Unknown: d.Load.Unknown, Succeeded: d.Load.Succeeded, Failed: d.Load.Failed}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("load (-want +got):\n%s", diff)
			}
			if got := slices.Contains(kindsOf(d.Findings), "integrity"); got != tt.finding {
				t.Errorf("integrity finding = %v, want %v", got, tt.finding)
			}
		})
	}
}

// TestCheck proves that each identity is enforced.
func TestCheck(t *testing.T) {
	tests := map[string]func(d *Document){
		"planned":             func(d *Document) { d.Load.Planned++ },
		"sent":                func(d *Document) { d.Load.Succeeded++ },
		"not sent":            func(d *Document) { d.Load.NotSent["late"]++ },
		"phase":               func(d *Document) { d.Phases[0].Load.Unknown++ },
		"requests":            func(d *Document) { d.Requests.Sent++ },
		"requests of a phase": func(d *Document) { d.Phases[1].Requests.Failed++ },
		"total row":           func(d *Document) { d.Series[0].Requests++ },
		"total errors":        func(d *Document) { d.Series[0].Errors++ },
		"a row twice":         func(d *Document) { d.Series = append(d.Series, d.Series[1]) },
		"warm-up counted":     func(d *Document) { d.Series[1].Warmup = false },
		"distribution":        func(d *Document) { d.Series[2].ResponseTime.Count++ },
		"kinds":               func(d *Document) { d.Series[2].ErrorsByKind["status"]++ },
		"timeline":            func(d *Document) { d.Timeline.Points[50].Requests++ },
		"no total":            func(d *Document) { d.Series = nil },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			d := newSample(t).build(t)
			damage(d)
			if d.Check() == nil {
				t.Error("Check() = nil, want an error")
			}
		})
	}
}

// TestFoldProperties proves, for arbitrary seconds, that every Document satisfies Check, and that
// neither the order of the seconds nor the parts in which they come change it.
func TestFoldProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.Custom(drawSecond), 1, 12).Draw(t, "parts")
		whole := map[int64]*metric.Second{}
		for _, p := range parts {
			if whole[p.Index] == nil {
				fresh := metric.NewSecond(p.Index)
				whole[p.Index] = &fresh
			}
			whole[p.Index].Merge(*p)
		}
		var seconds []*metric.Second
		for _, s := range whole {
			seconds = append(seconds, s)
		}
		want := buildOf(t, parts)
		if diff := cmp.Diff(want, buildOf(t, rapid.Permutation(parts).Draw(t, "order")), approximately); diff != "" {
			t.Errorf("the order matters (-want +got):\n%s", diff)
		}
		got := buildOf(t, seconds)
		want.Findings, got.Findings = nil, nil // seconds named by a cause are counted per part
		if diff := cmp.Diff(want, got, approximately); diff != "" {
			t.Errorf("the parts matter (-want +got):\n%s", diff)
		}
	})
}

// approximately bears that sums of floats in another order differ in the last digits; only trends
// are such sums.
var approximately = cmp.Comparer(func(a, b float64) bool {
	return a == b || (a-b) < 1e-9*max(1, a, -a) && (b-a) < 1e-9*max(1, a, -a)
})

func buildOf(t *rapid.T, seconds []*metric.Second) *Document {
	f := NewFold()
	for _, s := range seconds {
		if err := f.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	t0 := sampleStart
	d, err := Build(Input{
		Run:  run.Run{ID: "r", T0: &t0, CreatedAt: sampleStart, State: run.Stopping},
		Plan: &scenario.Plan{Phases: []scenario.Phase{{Name: "a", Warmup: true, Length: 5 * time.Second}, {Name: "b", Length: 9 * time.Second}}},
		Fold: f, State: run.Completed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// drawSecond draws what one worker might seal.
func drawSecond(t *rapid.T) *metric.Second {
	s := metric.NewSecond(rapid.Int64Range(0, 6).Draw(t, "index"))
	s.Health = metric.Health(rapid.IntRange(1, 3).Draw(t, "health"))
	for range rapid.IntRange(0, 6).Draw(t, "series") {
		phase := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "phase")
		labels := metric.NewLabels("phase", phase, "step", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "step"), "outcome", "ok")
		if phase == "a" {
			labels = labels.With("warmup", "true")
		}
		if kind := rapid.SampledFrom([]string{"", "status", "timeout", "?"}).Draw(t, "kind"); kind != "" {
			labels = labels.With("outcome", "failed").With("error", strings.Trim(kind, "?"))
		}
		h := hist.New()
		h.RecordN(time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "time")), rapid.Uint64Range(1, 1000).Draw(t, "n"))
		s.Add(metric.Key{Metric: metric.ResponseTime, Labels: labels}, metric.Value{Hist: h})
		s.Add(metric.Key{Metric: metric.ServiceTime, Labels: labels}, metric.Value{Hist: h})
		s.Add(metric.Key{Metric: "orders", Labels: labels}, metric.Value{Hist: h})
	}
	for _, phase := range []string{"a", "b"} {
		n := rapid.Int64Range(0, 50)
		a := &metric.Arrivals{Succeeded: n.Draw(t, "ok"), Failed: n.Draw(t, "failed")}
		a.Sent, a.NotSent = n.Draw(t, "sent"), map[metric.Cause]int64{metric.CauseLate: n.Draw(t, "late")}
		a.Planned = a.Sent + a.NotSent[metric.CauseLate]
		s.Arrivals[metric.ArrivalKey{Phase: phase, Flow: "f"}] = a
	}
	return &s
}

// TestTimelineInterval proves that a long run gets longer intervals and loses nothing.
func TestTimelineInterval(t *testing.T) {
	f := NewFold()
	const length = 8 * 3600
	for i := range int64(length) {
		s := metric.NewSecond(i)
		gauge(&s, metric.ResponseTime, metric.NewLabels("phase", "p", "outcome", "ok"), float64(i%7+1)/100)
		s.Arrivals[metric.ArrivalKey{Phase: "p"}] = &metric.Arrivals{Planned: 1, Sent: 1, InFlight: i}
		if err := f.Add(&s); err != nil {
			t.Fatal(err)
		}
	}
	line := timelineOf(f.points)
	if len(line.Points) > maxPoints || line.IntervalS != 10 {
		t.Errorf("%d points of %v s, want at most %d of 10 s", len(line.Points), line.IntervalS, maxPoints)
	}
	var requests, planned int64
	for _, p := range line.Points {
		requests += p.Requests
		planned += p.Planned
	}
	if requests != length || planned != length {
		t.Errorf("timeline sums to %d requests and %d planned, want %d", requests, planned, length)
	}
	if p := line.Points[1]; p.InFlight != 19 || *p.ResponseTime.P99S < 0.0695 {
		t.Errorf("point 1 = %+v, want in flight 19 and p99 of 70 ms", p)
	}
}

func TestMeasures(t *testing.T) {
	f := NewFold()
	for i := range int64(60) {
		s := metric.NewSecond(i)
		s.Infos["queue"] = metric.Info{Category: "system", Unit: "{message}"}
		gauge(&s, "queue", metric.NewLabels("host", "a"), float64(3*i+1))
		gauge(&s, "memory", metric.NewLabels("host", "a"), 700<<30)
		gauge(&s, "queue", metric.NewLabels("host", "a", "warmup", "true"), 1e6)
		s.Add(metric.Key{Metric: metric.BytesOut, Labels: metric.NewLabels("phase", fmt.Sprint(i))}, metric.Value{Count: 1024})
		if err := f.Add(&s); err != nil {
			t.Fatal(err)
		}
	}
	list := f.measuresOver(time.Minute)
	if len(list) != 3 {
		t.Fatalf("measures = %+v, want three", list)
	}
	list = slices.DeleteFunc(list, func(m Measure) bool {
		large := m.Name == "memory"
		if large && (*m.Min != 700<<30 || *m.Max != 700<<30 || *m.Mean != 700<<30 || *m.P99 != 700<<30) {
			t.Errorf("memory = %+v, want 700 GiB", m)
		}
		return large
	})
	if m := list[0]; m.Name != "bytes_out" || *m.Sum != 61440 || *m.RatePerS != 1024 || m.Mean != nil {
		t.Errorf("bytes_out = %+v", m)
	}
	if m := list[1]; m.Category != "system" || *m.TrendPerS < 2.999999 || *m.TrendPerS > 3.000001 || *m.Max != 178 || m.Count != 60 {
		t.Errorf("queue = %+v, want a trend of 3 per second and no warm-up", m)
	}
}
