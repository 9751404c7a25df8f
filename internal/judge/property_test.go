package judge

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/scenario"
)

var sameOutcome = cmp.Options{cmpopts.IgnoreUnexported(Criterion{}, Violation{}), cmpopts.EquateEmpty()}

// drawCriterion makes a criterion of every kind.
func drawCriterion(t *rapid.T, tb testing.TB) scenario.Criterion {
	stat := rapid.SampledFrom([]string{"mean", "max", "min", "stddev", "sum", "p50", "p95", "p99", "count", "rate", "error_ratio"}).Draw(t, "stat")
	limit := map[string]string{"count": "3000", "rate": "120/s", "error_ratio": "3%"}[stat]
	if limit == "" {
		limit = fmt.Sprintf("%dms", rapid.IntRange(5, 500).Draw(t, "limit"))
	}
	op := rapid.SampledFrom([]string{"<", "<=", ">", ">=", "!="}).Draw(t, "op")
	match := rapid.SampledFrom([]string{"", `{step="add"}`, `{outcome="ok"}`, `{status="503"}`}).Draw(t, "match")
	opts := []opt{
		window(rapid.SampledFrom([]time.Duration{0, time.Second, s5}).Draw(t, "window")),
		during(rapid.SampledFrom([][]string{nil, {"steady"}, {"tail", "warm"}}).Draw(t, "during")...),
		by(rapid.SampledFrom([][]string{nil, {"step"}, {"status"}, {"phase", "outcome"}}).Draw(t, "by")...),
		share(rapid.SampledFrom([]float64{1, 0.9}).Draw(t, "met")), onBreach("alert"),
	}
	c := check(tb, stat+"(response_time"+match+") "+op+" "+limit, opts...)
	if c.Window > 0 {
		c.For = c.Window * time.Duration(rapid.IntRange(0, 3).Draw(t, "for"))
	}
	return c
}

// drawSecond makes a second in which all sorts of things may happen.
func drawSecond(t *rapid.T, i int64) *sec {
	s := at0(i)
	if rapid.IntRange(0, 9).Draw(t, "silent") > 0 {
		ms := rapid.SliceOfN(rapid.Float64Range(1, 600), 4, 4).Draw(t, "ms")
		n := rapid.SliceOfN(rapid.Uint64Range(0, 80), 4, 4).Draw(t, "n")
		s.arrivals(int64(n[0]+n[1])).ok("login", n[0], ms[0]).failed("login", n[1], ms[1]).ok("add", n[2], ms[2]).failed("add", n[3], ms[3])
	}
	s.inFlight(rapid.Int64Range(0, 50).Draw(t, "in flight"), time.Duration(rapid.Int64Range(0, 2e9).Draw(t, "oldest")))
	if rapid.IntRange(0, 19).Draw(t, "pause") == 0 {
		s.paused(time.Second)
	}
	if rapid.IntRange(0, 39).Draw(t, "health") == 0 {
		s.health(metric.HealthInvalid, "cpu")
	}
	return s
}

// split divides a second among workers, each with its own label where it may carry one.
func split(t *rapid.T, s metric.Second) []metric.Second {
	parts := make([]metric.Second, 3)
	for i := range parts {
		parts[i] = metric.NewSecond(s.Index)
		parts[i].Paused = s.Paused
	}
	unwell := &parts[rapid.IntRange(0, 2).Draw(t, "unwell")]
	unwell.Health, unwell.Causes = s.Health, s.Causes
	keys := make([]metric.Key, 0, len(s.Series))
	for key := range s.Series {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].Labels.Compare(keys[j].Labels) < 0 })
	for _, key := range keys {
		h := s.Series[key].Hist
		first := uint64(rapid.Int64Range(0, int64(h.Count())).Draw(t, "first"))
		for i, n := range []uint64{first, h.Count() - first} {
			if n > 0 {
				part := hist.New()
				part.RecordN(h.Max(), n) // drawn seconds have one value in a series
				labelled := metric.Key{Metric: key.Metric, Labels: key.Labels.With("worker", fmt.Sprint("w", i))}
				parts[i].Add(labelled, metric.Value{Hist: part})
			}
		}
	}
	for key, a := range s.Arrivals {
		b := *a
		b.InFlight = 0
		parts[0].Arrivals[key] = &b
		parts[1].Arrivals[key] = &metric.Arrivals{InFlight: a.InFlight}
	}
	return parts
}

// TestPartsMergedInAnyOrderAreTheWhole: labels that a criterion does not name, and the order in which
// workers were merged, change nothing.
func TestPartsMergedInAnyOrderAreTheWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := newPlan(drawCriterion(rt, t), drawCriterion(rt, t))
		a, b := New(plan), New(plan)
		a.SetSchedule(history, 0)
		b.SetSchedule(history, 0)
		for i := range int64(30) {
			s := drawSecond(rt, i).Second
			a.Observe(s)
			merged := metric.NewSecond(i)
			for _, part := range rapid.Permutation(split(rt, s)).Draw(rt, "order") {
				merged.Merge(part)
			}
			b.Observe(merged)
		}
		if d := cmp.Diff(a.Final(whole), b.Final(whole), sameOutcome); d != "" {
			rt.Fatal(d)
		}
	})
}

// TestLiveAndFinalAgree: what was told live is in the final judgement, known since it was told, and the
// same seconds give the same outcome.
func TestLiveAndFinalAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := newPlan(drawCriterion(rt, t))
		live := New(plan)
		live.SetSchedule(history, 0)
		var told []string
		known := map[string]time.Duration{}
		var ss []metric.Second
		for i := range int64(30) {
			s := drawSecond(rt, i).Second
			ss = append(ss, s)
			live.Observe(s)
			_ = live.Standing()
			for _, b := range live.Breaches() {
				told = append(told, b.ViolationID("r1"))
				known[b.ViolationID("r1")] = time.Duration(i+1) * time.Second
			}
		}
		final, again := judged(plan, ss).Final(whole), live.Final(whole)
		if d := cmp.Diff(final, again, sameOutcome); d != "" {
			rt.Fatal(d)
		}
		var ids []string
		for _, v := range final.Violations {
			ids = append(ids, v.ID)
			if at, ok := known[v.ID]; ok && v.KnownAt != at {
				rt.Fatalf("violation from %v was told at %v, and is known at %v", v.From, at, v.KnownAt)
			}
			if v.KnownAt <= v.From || v.KnownAt > v.To {
				rt.Fatalf("violation from %v to %v is known at %v", v.From, v.To, v.KnownAt)
			}
		}
		for _, b := range live.Breaches() { // of the last windows
			told = append(told, b.ViolationID("r1"))
		}
		slices.Sort(told)
		slices.Sort(ids)
		if plan.Criteria[0].Window > 0 && !slices.Equal(told, ids) {
			rt.Fatalf("told %v, found %v", told, ids)
		}
	})
}

// TestHeldBackArrivalsNeverHelp: no criterion passes because the in-flight cap held arrivals back.
func TestHeldBackArrivalsNeverHelp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := newPlan(drawCriterion(rt, t))
		a, b := New(plan), New(plan)
		a.SetSchedule(history, 0)
		b.SetSchedule(history, 0)
		for i := range int64(30) {
			s := drawSecond(rt, i)
			a.Observe(s.Second)
			b.Observe(s.withheld(metric.CauseMaxInFlight, rapid.Int64Range(0, 20).Draw(rt, "held")).Second)
		}
		without, with := a.Final(whole), b.Final(whole)
		held := results(with)
		for _, row := range without.Criteria {
			if row.Result != Pass && held[metric.LabelsOf(row.Labels).String()] == Pass {
				rt.Fatalf("%s %v passes because of arrivals held back:\n%+v\n%+v", row.Name, row.Labels, row, with.Criteria)
			}
		}
		if without.Verdict.ExitCode != 0 && with.Verdict.ExitCode == 0 {
			rt.Fatalf("the run passes because of arrivals held back: %+v, %+v", without.Verdict, with.Criteria)
		}
	})
}

// TestNothingPassesWithoutSamples: whatever the criterion, an empty run proves nothing.
func TestNothingPassesWithoutSamples(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		j := New(newPlan(drawCriterion(rt, t)))
		for i := range int64(30) {
			j.Observe(at0(i).arrivals(rapid.Int64Range(0, 5).Draw(rt, "sent")).Second)
		}
		out := j.Final(whole)
		if out.Criteria[0].Result != Invalid || out.Verdict.ExitCode != 5 {
			rt.Fatalf("%+v", out)
		}
	})
}

// TestStatisticsAreExact compares with the raw values.
func TestStatisticsAreExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ms := rapid.SliceOfN(rapid.Int64Range(1, 100_000), 1, 60).Draw(rt, "ms")
		s := at0(5)
		var raw []float64
		var sum float64
		for _, v := range ms {
			s.ok("add", 1, float64(v))
			raw = append(raw, float64(v)/1e3)
			sum += float64(v) / 1e3
		}
		slices.Sort(raw)
		mean := sum / float64(len(raw))
		var dev float64
		for _, v := range raw {
			dev += (v - mean) * (v - mean)
		}
		want := map[string]float64{
			"mean": mean, "sum": sum, "min": raw[0], "max": raw[len(raw)-1], "stddev": math.Sqrt(dev / float64(len(raw))),
			"count": float64(len(raw)), "p50": raw[(len(raw)+1)/2-1], "p90": raw[(len(raw)*9+9)/10-1],
		}
		for stat, value := range want {
			c := check(t, stat+"(response_time) >= "+map[bool]string{true: "0", false: "0s"}[stat == "count"])
			j := New(newPlan(c))
			j.Observe(s.Second)
			got := j.Standing()[0].Observed
			j.criteria[0].seconds = secondCount{} // only the value is looked at
			if got == nil || math.Abs(*got-value) > 0.006*value+1e-9 {
				rt.Fatalf("%s is %v, want %v", stat, got, value)
			}
		}
	})
}

// TestQuantileWithHeldBack compares with raw values of which some are infinite.
func TestQuantileWithHeldBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(rt, "n")
		held := rapid.IntRange(0, 100).Draw(rt, "held")
		q := rapid.SampledFrom([]float64{0.5, 0.9, 0.95, 0.99, 0.999}).Draw(rt, "q")
		h := hist.New()
		for i := range n {
			h.Record(time.Duration(i+1) * 20 * time.Millisecond)
		}
		got := quantile(h, q, uint64(held))
		rank := int(hist.Rank(q, uint64(n+held)))
		if rank > n {
			if !math.IsInf(got.hi, 1) {
				rt.Fatalf("%v, want above every limit", got.hi)
			}
			return
		}
		if want := float64(rank) * 0.02; math.Abs(got.hi-want) > 0.006*want {
			rt.Fatalf("rank %d is %v, want %v", rank, got.hi, want)
		}
	})
}
