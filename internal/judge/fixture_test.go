package judge

import (
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

func TestShardsAreTheSameEverywhere(t *testing.T) {
	if run.Positions != scenario.Shards {
		t.Errorf("run has %d positions, scenario %d shards", run.Positions, scenario.Shards)
	}
}

// newPlan has a warm-up of 5 s, then steady for 20 s, then tail, which starts when steady is over.
func newPlan(criteria ...scenario.Criterion) *scenario.Plan {
	mix := []scenario.Weight{{Flow: "buy", Weight: 1}}
	return &scenario.Plan{
		Flows: map[string]scenario.Flow{"buy": {Steps: []scenario.Step{{Name: "login"}, {Think: &scenario.Distribution{}}, {Name: "add"}}}},
		Phases: []scenario.Phase{
			{Name: "warm", Mix: mix, Warmup: true, Length: 5 * time.Second},
			{Name: "steady", Mix: mix, At: 5 * time.Second, Length: 20 * time.Second},
			{Name: "tail", Mix: mix, After: "steady", Length: 5 * time.Second},
		},
		Criteria: criteria,
		Validity: scenario.Validity{ScheduleLagP99: 5 * time.Millisecond, Sent: 0.995, Completeness: 0.999},
	}
}

// check parses a criterion as the scenario's author writes it.
func check(t testing.TB, src string, opts ...func(*scenario.Criterion)) scenario.Criterion {
	t.Helper()
	parsed, err := scenario.ParseCheck(src, scenario.WithMetrics(map[string]string{"orders": "", "cpu": "ratio"}))
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	c := scenario.Criterion{Name: src, Source: src, Check: parsed, Met: 1, Severity: "critical", OnBreach: "none"}
	for _, o := range opts {
		o(&c)
	}
	return c
}

func window(d time.Duration) func(*scenario.Criterion) {
	return func(c *scenario.Criterion) { c.Window = d }
}

func lasting(d time.Duration) func(*scenario.Criterion) {
	return func(c *scenario.Criterion) { c.For = d }
}

func share(v float64) func(*scenario.Criterion) { return func(c *scenario.Criterion) { c.Met = v } }

func during(phases ...string) func(*scenario.Criterion) {
	return func(c *scenario.Criterion) { c.During = phases }
}

func by(labels ...string) func(*scenario.Criterion) {
	return func(c *scenario.Criterion) { c.By = labels }
}

func severity(s string) func(*scenario.Criterion) {
	return func(c *scenario.Criterion) { c.Severity = s }
}

func onBreach(s string) func(*scenario.Criterion) {
	return func(c *scenario.Criterion) { c.OnBreach = s }
}

// sec builds a second.
type sec struct{ metric.Second }

func at0(index int64) *sec { return &sec{metric.NewSecond(index)} }

func phaseAt(index int64) string {
	switch {
	case index < 5:
		return "warm"
	case index < 25:
		return "steady"
	}
	return "tail"
}

// quiet is a second of the plan in which 100 arrivals are sent, and end in 10 ms.
func quiet(index int64) *sec { return at0(index).arrivals(100).ok("login", 100, 10).ok("add", 100, 10) }

func (s *sec) labels(step string, more ...string) metric.Labels {
	pairs := append([]string{"phase", phaseAt(s.Index), "flow", "buy", "step", step}, more...)
	if phaseAt(s.Index) == "warm" {
		pairs = append(pairs, "warmup", "true")
	}
	return metric.NewLabels(pairs...)
}

func (s *sec) add(name string, l metric.Labels, n uint64, d time.Duration) *sec {
	if n > 0 {
		h := hist.New()
		h.RecordN(d, n)
		s.Add(metric.Key{Metric: name, Labels: l}, metric.Value{Hist: h})
	}
	return s
}

// bytes adds to a counter.
func (s *sec) bytes(n int64) *sec {
	s.Add(metric.Key{Metric: metric.BytesIn, Labels: s.labels("add")}, metric.Value{Count: n})
	return s
}

// retried counts requests that were repetitions.
func (s *sec) retried(n int64) *sec {
	s.Add(metric.Key{Metric: metric.Retried, Labels: s.labels("add")}, metric.Value{Count: n})
	return s
}

// ok and failed add requests of some milliseconds.
func (s *sec) ok(step string, n uint64, ms float64) *sec {
	return s.add(metric.ResponseTime, s.labels(step, "outcome", "ok", "status", "200"), n, time.Duration(ms*1e6))
}

func (s *sec) failed(step string, n uint64, ms float64) *sec {
	return s.add(metric.ResponseTime, s.labels(step, "outcome", "failed", "status", "503", "error", "status"), n, time.Duration(ms*1e6))
}

func (s *sec) row() *metric.Arrivals {
	key := metric.ArrivalKey{Phase: phaseAt(s.Index), Flow: "buy"}
	if s.Arrivals[key] == nil {
		s.Arrivals[key] = &metric.Arrivals{NotSent: map[metric.Cause]int64{}}
	}
	return s.Arrivals[key]
}

// arrivals plans and sends n.
func (s *sec) arrivals(n int64) *sec {
	s.row().Planned += n
	s.row().Sent += n
	return s
}

// withheld plans n and sends none of them.
func (s *sec) withheld(cause metric.Cause, n int64) *sec {
	s.row().Planned += n
	s.row().NotSent[cause] += n
	return s
}

func (s *sec) inFlight(n int64, oldest time.Duration) *sec {
	return s.awaiting("login", n, oldest)
}

// awaiting has n arrivals in flight, and the answer to a step awaited for so long.
func (s *sec) awaiting(step string, n int64, oldest time.Duration) *sec {
	s.row().InFlight, s.row().Oldest = n, map[string]time.Duration{step: oldest}
	return s
}

func (s *sec) health(h metric.Health, causes ...string) *sec {
	s.Health, s.Causes = h, causes
	return s
}

func (s *sec) paused(d time.Duration) *sec {
	s.Paused = d
	return s
}

// history starts tail at 25 s of run time.
var history = run.History{{ID: "t", Kind: run.ChangePhaseStart, At: 25 * time.Second, Phase: "tail"}}

// seconds makes the seconds of the plan's 30 s; change replaces some of them, nil leaves one out.
func seconds(change map[int64]*sec) []metric.Second {
	var out []metric.Second
	for i := range int64(30) {
		s, changed := change[i]
		if !changed {
			s = quiet(i)
		}
		if s != nil {
			out = append(out, s.Second)
		}
	}
	return out
}

// judged folds seconds and returns the judge.
func judged(plan *scenario.Plan, ss []metric.Second) *Judge {
	j := New(plan)
	j.SetSchedule(history, 0)
	for _, s := range ss {
		j.Observe(s)
	}
	return j
}

// whole is the input of a run of which nothing is missing.
var whole = Input{Run: "r1", Completeness: 1}

// every makes a change for a range of seconds.
func every(from, to int64, f func(i int64) *sec) map[int64]*sec {
	m := map[int64]*sec{}
	for i := from; i < to; i++ {
		m[i] = f(i)
	}
	return m
}
