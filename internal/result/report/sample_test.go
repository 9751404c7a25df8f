package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// sample is a run with everything in it that a report can show: a warm-up, a hold that stalls for
// two seconds and saturates the in-flight cap, closed-model users beside it, a pause, a scale
// change, errors of several kinds, a generator that was degraded and then the limit, a lost worker,
// a change of leader, breaches, and measures of every category.
type sample struct {
	random *rand.Rand
	fold   *Fold
	judge  *judge.Judge
	in     Input
}

var (
	sampleStart = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	sampleSteps = []struct {
		name   string
		median time.Duration
	}{{"login", 18 * time.Millisecond}, {"add", 34 * time.Millisecond}, {"pay", 61 * time.Millisecond}}
)

const (
	sampleLength  = 200 // seconds of run time, of which 10 are a pause
	sampleStall   = 96  // second at which the target stalls
	samplePauseAt = 140
)

func newSample(t testing.TB) *sample {
	t.Helper()
	s, err := sampleFold()
	if err != nil {
		t.Fatal(err)
	}
	s = &sample{fold: s.fold, judge: s.judge}
	s.in = s.input()
	return s
}

// sampleFold is made once; nothing that a test does changes it.
var sampleFold = sync.OnceValues(func() (*sample, error) {
	s := &sample{random: rand.New(rand.NewPCG(7, 42)), fold: NewFold(), judge: judge.New(samplePlan())}
	s.judge.SetSchedule(s.input().Run.History, 0)
	for i := range int64(sampleLength) {
		sec := s.second(i)
		s.judge.Observe(*sec)
		if err := s.fold.Add(sec); err != nil {
			return nil, err
		}
	}
	return s, nil
})

func (s *sample) build(t testing.TB) *Document {
	t.Helper()
	d, err := Build(s.in)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// second makes what the workers measured in one second of run time.
func (s *sample) second(i int64) *metric.Second {
	sec := metric.NewSecond(i)
	switch {
	case i >= samplePauseAt && i < samplePauseAt+10:
		sec.Paused = time.Second
		return &sec
	case i < 30:
		s.phase(&sec, "warmup", 13*i+10)
	default:
		gaps := hist.New() // evenly around 1, so that their variation is 0.02
		gaps.Record(980 * time.Millisecond)
		gaps.Record(1020 * time.Millisecond)
		sec.Add(metric.Key{Metric: metric.ArrivalGap, Labels: metric.NewLabels("phase", "steady")}, metric.Value{Hist: gaps})
		rate := int64(400)
		if i >= 150 {
			rate = 600
		}
		s.phase(&sec, "steady", rate)
		s.phase(&sec, "shoppers", min(40, 2*(i-30)))
	}
	switch {
	case i >= 170 && i < 178:
		sec.Health, sec.Causes = metric.HealthDegraded, []string{"worker cpu"}
	case i >= 178 && i < 182:
		sec.Health, sec.Causes = metric.HealthInvalid, []string{"schedule lag", "worker cpu"}
	}
	s.measures(&sec)
	if i >= 30 && i%16 == 0 { // a sampled request, slow while the target stalls
		took := time.Duration(60+i%7) * time.Millisecond
		x := metric.Exemplar{At: time.Duration(i)*time.Second + 400*time.Millisecond, Response: took, Service: took - time.Millisecond, Status: 200, Trace: fmt.Sprintf("%032x", 0x4bf92f3577b34da6+i)}
		if i == sampleStall {
			x.Response, x.Status, x.Error = 1800*time.Millisecond, 0, "timeout"
		}
		sec.Slowest = map[metric.StepKey]metric.Exemplar{{Phase: "steady", Flow: "buy", Step: "pay"}: x}
	}
	return &sec
}

// phase makes n arrivals of three steps each.
func (s *sample) phase(sec *metric.Second, name string, n int64) {
	warmup := ""
	if name == "warmup" {
		warmup = "true"
	}
	stalled := sec.Index >= sampleStall && sec.Index < sampleStall+2
	a := &metric.Arrivals{Planned: n, Sent: n, NotSent: map[metric.Cause]int64{}, InFlight: n/8 + s.random.Int64N(9)}
	if name == "steady" && stalled {
		a.NotSent[metric.CauseMaxInFlight], a.InFlight = n/4, 5000
		a.Sent -= n / 4
	}
	if name == "steady" && sec.Index >= 178 && sec.Index < 182 {
		a.NotSent[metric.CauseLate] = 7
		a.Sent -= 7
	}
	for range a.Sent {
		ok := true
		for k, step := range sampleSteps {
			if !ok {
				break
			}
			ok = s.request(sec, metric.NewLabels("phase", name, "flow", flowOf(name), "step", step.name, "warmup", warmup), k)
		}
		if ok {
			a.Succeeded++
		} else {
			a.Failed++
		}
		lag := time.Duration(s.random.Int64N(900)) * time.Microsecond
		observe(sec, metric.ScheduleLag, metric.NewLabels("phase", name, "warmup", warmup), lag)
	}
	sec.Arrivals[metric.ArrivalKey{Phase: name, Flow: flowOf(name)}] = a
}

func flowOf(phase string) string {
	if phase == "shoppers" {
		return "browse"
	}
	return "buy"
}

// request records one request and tells whether it succeeded.
func (s *sample) request(sec *metric.Second, labels metric.Labels, step int) bool {
	service := time.Duration(float64(sampleSteps[step].median) * math.Exp(0.4*s.random.NormFloat64())).Round(time.Microsecond)
	response := service + time.Duration(s.random.Int64N(300))*time.Microsecond
	if sec.Index >= sampleStall && sec.Index < sampleStall+2 {
		response += time.Duration(s.random.Int64N(2000)) * time.Millisecond
		if s.random.IntN(400) == 0 {
			service += 2 * time.Second
		}
	}
	labels = labels.With("outcome", "ok").With("status", "200")
	chance := s.random.IntN(10000)
	if sec.Index > 110 && sec.Index < 124 {
		chance /= 12
	}
	switch {
	case chance < 6:
		labels = labels.With("outcome", "failed").With("status", "503").With("error", "check")
	case chance < 8:
		labels = labels.With("outcome", "failed").With("status", "").With("error", "timeout")
	case chance == 8 && step == 2:
		labels = labels.With("outcome", "failed").With("error", "check")
	}
	observe(sec, metric.ResponseTime, labels, response)
	observe(sec, metric.ServiceTime, labels, min(service, response))
	return labels.Get("outcome") == "ok"
}

func (s *sample) measures(sec *metric.Second) {
	business := metric.NewLabels("flow", "buy", "step", "pay")
	for name, unit := range map[string]string{"orders": "", "revenue": "EUR"} {
		sec.Infos[name] = metric.Info{Category: "business", Unit: unit}
	}
	for range 40 {
		gauge(sec, "orders", business, 1)
		gauge(sec, "revenue", business, float64(500+s.random.Int64N(12000))/100)
	}
	sec.Infos["host_cpu"] = metric.Info{Category: "system", Unit: "ratio"}
	sec.Infos["host_memory"] = metric.Info{Category: "system", Unit: "By"}
	for _, worker := range []string{"w1", "w2"} {
		gauge(sec, "host_cpu", metric.NewLabels("worker", worker), 0.35+float64(s.random.Int64N(200))/1000)
		gauge(sec, "host_memory", metric.NewLabels("worker", worker), float64((900+sec.Index)<<20))
	}
	bytesIn := metric.Key{Metric: metric.BytesIn, Labels: metric.NewLabels("phase", "steady", "step", "pay")}
	sec.Add(bytesIn, metric.Value{Count: 480_000 + s.random.Int64N(20_000)})
}

func observe(sec *metric.Second, name string, labels metric.Labels, d time.Duration) {
	key := metric.Key{Metric: name, Labels: labels}
	if sec.Series[key].Hist == nil {
		sec.Series[key] = metric.Value{Hist: hist.New()}
	}
	sec.Series[key].Hist.Record(d)
}

func gauge(sec *metric.Second, name string, labels metric.Labels, v float64) {
	key := metric.Key{Metric: name, Labels: labels}
	if sec.Series[key].Hist == nil {
		sec.Series[key] = metric.Value{Hist: hist.New()}
	}
	if err := sec.Series[key].Hist.RecordValue(v); err != nil {
		panic(err)
	}
}

func (s *sample) input() Input {
	var generator judge.Generator
	if s.judge != nil {
		generator = s.judge.Final(judge.Input{}).Generator
	}
	t0 := sampleStart.Add(2300 * time.Millisecond)
	skew := 740 * time.Microsecond
	return Input{
		Versions: Versions{Proofload: "v0.1.0", Go: "go1.26.8", Etcd: "3.7.3"},
		Run: run.Run{
			ID: "01KKNZ7Q4M8T3W5Y6Z7A8B9C0D", Name: "checkout-peak", Environment: "staging", State: run.Stopping, Factor: 1.5,
			Labels: map[string]string{"build": "8c41f02"}, Scenario: "4f1c9a2be07d35c8861f0b2d9c4e7a15306b8d7f21ce94a05b6e83d2f7a1c094",
			CreatedAt: sampleStart, T0: &t0,
			History: run.History{
				{ID: "p1", Kind: run.ChangePhaseStart, At: 30 * time.Second, Phase: "steady"},
				{ID: "a", Kind: run.ChangePause, At: samplePauseAt * time.Second, Reason: "deployment of the cart service"},
				{ID: "b", Kind: run.ChangeResume, At: 150 * time.Second},
				{ID: "c", Kind: run.ChangeScale, At: 150 * time.Second, Factor: 1.5},
			},
			Setup: run.Task{State: run.TaskDone, Requests: 1}, Teardown: run.Task{State: run.TaskDone, Requests: 1},
			Stop: &run.Stop{Kind: run.StopCompleted, At: sampleLength * time.Second},
		},
		State:   run.Completed,
		EndedAt: t0.Add(sampleLength*time.Second + 1200*time.Millisecond),
		Outcome: judge.Outcome{Verdict: run.Verdict{Result: run.Fail, ExitCode: run.ExitFail, Reasons: []run.Reason{
			{Code: run.CodeBreached, Message: "pay is fast: p99 was above 250 ms while the target stalled"},
		}}, Criteria: sampleCriteria(), Violations: sampleViolations(), Generator: generator},
		Plan: samplePlan(), Fold: s.fold, StartSkew: &skew,
		Integrity: sampleIntegrity(),
		Missing:   map[string]Missing{"steady": {Absent: Absent{WorkerLost: 12}, Seconds: map[int64]Absent{183: {WorkerLost: 9}, 184: {WorkerLost: 3}}}},
		Events:    []Event{{AtS: 101.6, Kind: "notification", Detail: "breach of \"pay is fast\" sent to the webhook"}},
	}
}

func samplePlan() *scenario.Plan {
	flow := func(names ...string) scenario.Flow {
		var f scenario.Flow
		for _, name := range names {
			f.Steps = append(f.Steps, scenario.Step{Name: name})
		}
		return f
	}
	return &scenario.Plan{
		Format: scenario.PlanFormat, Name: "checkout-peak", Seed: 42,
		Flows: map[string]scenario.Flow{"buy": flow("login", "add", "pay"), "browse": flow("login", "add", "pay")},
		Phases: []scenario.Phase{
			{Name: "warmup", Mix: []scenario.Weight{{Flow: flowOf("warmup"), Weight: 1}}, Warmup: true, Length: 30 * time.Second},
			{Name: "steady", Mix: []scenario.Weight{{Flow: flowOf("steady"), Weight: 1}}, After: "warmup", Length: 160 * time.Second, Arrivals: "uniform", Rate: []scenario.Segment{{From: 400, To: 500, For: 160 * time.Second}}},
			{Name: "shoppers", Mix: []scenario.Weight{{Flow: flowOf("shoppers"), Weight: 1}}, With: "steady", Length: 160 * time.Second},
		},
		Validity: scenario.Validity{ScheduleLagP99: 5 * time.Millisecond, WorkerCPU: 0.9, Sent: 0.995, Completeness: 0.999},
	}
}

func sampleIntegrity() Integrity {
	lost, to := 183.4, uint64(186)
	return Integrity{
		Completeness: 0.9997, BatchesCommitted: 391, DuplicatesDiscarded: 3,
		Gaps:          []Gap{{Worker: "w2", Incarnation: 71, FromSeq: 184, ToSeq: &to, FromS: 183, ToS: 186}},
		LeaderChanges: []LeaderChange{{12, "coordinator-a", 0}, {19, "coordinator-b", 63.2}},
		Workers: []Worker{
			{ID: "w1", Labels: map[string]string{"zone": "eu-1"}, Capacity: 1, Samples: 121_400},
			{ID: "w2", Labels: map[string]string{"zone": "eu-2"}, Capacity: 1, Samples: 98_114, LostS: &lost},
		},
	}
}

func sampleCriteria() []judge.Criterion {
	value := func(v float64) *float64 { return &v }
	return []judge.Criterion{
		{
			Name: "pay is fast", Check: `p99(response_time{step="pay"}) < 250ms`, During: []string{"steady"}, Severity: "critical",
			Observed: value(0.412), Limit: 0.25, Unit: "s", Met: value(0.94), Result: judge.Fail, Violations: []string{"v1", "v2"},
		},
		{
			Name: "few errors", Check: "error_ratio(requests) < 1%", Severity: "critical",
			Observed: value(0.0013), Limit: 0.01, Unit: "ratio", Result: judge.Pass,
		},
		{
			Name: "bearable", Check: "p95(response_time) < 1s", Severity: "warning", Labels: map[string]string{"step": "add"},
			Observed: value(0.081), Limit: 1, Unit: "s", Met: value(1), Result: judge.Pass,
		},
		{
			Name: "search is fast", Check: `p95(response_time{step="search"}) < 100ms`, Severity: "info",
			Limit: 0.1, Unit: "s", Result: judge.Invalid, Reason: "no samples: no request had step=search",
		},
		{
			Name: "bearable while the database is slow", Check: "p99(response_time) < 1s", Severity: "warning",
			During: []string{"fault:slow-db"}, Limit: 1, Unit: "s", Result: judge.Skipped, Reason: "the environment skips faults",
		},
	}
}

func sampleViolations() []judge.Violation {
	worst := []float64{1.94, 0.27}
	return []judge.Violation{
		{
			ID: "v1", Criterion: "pay is fast", Severity: "critical", From: 90 * time.Second, To: 100 * time.Second, KnownAt: 100 * time.Second, Worst: &worst[0], Limit: 0.25, Unit: "s",
			Series: `response_time{step="pay"}`, Requests: 3800, Failed: 4,
		},
		{
			ID: "v2", Criterion: "pay is fast", Severity: "critical", From: 180 * time.Second, To: 190 * time.Second, KnownAt: 190 * time.Second, Worst: &worst[1], Limit: 0.25, Unit: "s",
			Series: `response_time{step="pay"}`, Requests: 5880, Failed: 6,
		},
	}
}

// hostile is text that tries to leave every format that it is put into.
const hostile = "</title><script>alert(1)</script>\"'`|*_[x](http://evil)<img src=x onerror=alert(2)>&amp;\x1b[31m\x00\n@everyone ]]>-->"

// hostileDocument has hostile text in every field that comes from outside.
func hostileDocument(t testing.TB) *Document {
	t.Helper()
	d := newSample(t).build(t)
	n := 0
	evil := func() string { n++; return strconv.Itoa(n) + hostile }
	d.Run.Name, d.Run.ID, d.Run.Environment = evil(), evil(), evil()
	d.Run.Labels = map[string]string{evil(): evil()}
	d.Verdict.Reasons = []Reason{{evil(), evil()}}
	for i := range d.Phases {
		d.Phases[i].Name = evil()
	}
	for i := range d.Series {
		d.Series[i].Labels = map[string]string{"phase": evil(), "flow": evil(), "step": evil()}
	}
	d.Series[0].ErrorsByKind[evil()], d.Series[0].ErrorsByStatus[evil()] = 3, 3
	d.Load.NotSent[evil()] = 1
	for i := range d.Measures {
		d.Measures[i].Name, d.Measures[i].Unit, d.Measures[i].Labels = evil(), evil(), map[string]string{evil(): evil()}
	}
	for i := range d.Events {
		d.Events[i].Kind, d.Events[i].Detail = evil(), evil()
	}
	for i := range d.Criteria {
		c := &d.Criteria[i]
		c.Name, c.Check, c.Unit, c.Reason, c.Labels, c.Severity = evil(), evil(), evil(), evil(), map[string]string{evil(): evil()}, evil()
	}
	for i := range d.Violations {
		d.Violations[i].Criterion, d.Violations[i].Series = evil(), evil()
	}
	for i := range d.Findings {
		d.Findings[i].Kind, d.Findings[i].Evidence = evil(), []Evidence{{evil(), evil()}}
	}
	d.Integrity.Workers[0].ID, d.Integrity.Gaps[0].Worker = evil(), evil()
	d.Integrity.LeaderChanges[0].Coordinator = evil()
	d.Timeline.Points[0].Validity = evil()
	broke := evil()
	d.Search = &Search{Phase: evil(), Result: evil(), Message: evil(), Probes: []Probe{{Outcome: evil(), Reason: evil(), Criterion: &broke, Seconds: 1}}}
	return d
}
