package load

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// execute runs a plan to its end on one engine and returns all that it counted.
func execute(t *testing.T, plan *scenario.Plan, change ...func(*Options)) metric.Second {
	t.Helper()
	clock := simClock{time.Now()}
	opts := Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger()}
	for _, f := range change {
		f(&opts)
	}
	e := prepared(t, opts)
	if len(plan.Setup) > 0 {
		saved, n, err := e.Setup(context.Background())
		if err != nil || n != int64(len(plan.Setup)) {
			t.Fatalf("setup sent %d requests: %v", n, err)
		}
		e.SetSetup(saved)
	}
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	if err := e.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return e.Seal(second(clock.Now()))
}

// errorsOf counts failed requests by kind.
func errorsOf(s metric.Second) map[string]uint64 {
	out := map[string]uint64{}
	for key, v := range s.Series {
		if kind := key.Labels.Get("error"); key.Metric == metric.ResponseTime && kind != "" {
			out[kind] += v.Hist.Count()
		}
	}
	return out
}

func TestMockDataSetupMeasure(t *testing.T) {
	plan := planOf(openPhase("p", [3]float64{100, 100, 0.6}))
	plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: {Mock: "shop"}}
	plan.Mocks = map[string]scenario.Mock{"shop": {Routes: []scenario.Route{
		{Method: http.MethodPost, Path: "/seed", Status: 200, HasJSON: true, JSON: map[string]any{"sku": "s-1"}},
		{Method: http.MethodPost, Path: "/cart/s-1/*", Status: 201, HasJSON: true, JSON: map[string]any{"total": 12.5}},
	}}}
	plan.Data = map[string]scenario.Dataset{"people": {CSV: "people.csv", Digest: "d", Rows: 25, Order: "unique", Per: "iteration", OnEnd: "stop"}}
	plan.Setup = []scenario.Step{{
		Name: "seed", Target: scenario.DefaultTarget, Timeout: time.Second, ImplyStatus: true,
		HTTP: &scenario.HTTP{Method: http.MethodPost, Path: "/seed"}, Save: []scenario.Expression{{Name: "sku", Source: "json.sku"}},
	}}
	plan.Flows["f"] = scenario.Flow{Steps: []scenario.Step{{
		Name: "add", Target: scenario.DefaultTarget, Timeout: 5 * time.Second, Expect: []string{"status == 201"},
		HTTP:    &scenario.HTTP{Method: http.MethodPost, Path: "/cart/${setup.sku}/${data.people.name}"},
		Measure: []scenario.Measure{{Name: "revenue", Source: "json.total", Unit: "EUR"}},
	}}}
	s := execute(t, plan, func(o *Options) {
		o.Files = func(digest string) ([]byte, error) {
			if digest != "d" {
				return nil, errors.New("no such file")
			}
			return slices.Concat([]byte("name\n"), slices.Repeat([]byte("ada\n"), 25)), nil
		}
	})
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	late := a.NotSent[metric.CauseLate] + a.NotSent[metric.CauseNoLease] // a machine without a free core is no error of this test
	if a.Sent+late != 25 || a.NotSent[metric.CauseData] < 1 || a.Failed != 0 {
		t.Errorf("arrivals %+v, want 25 rows used", *a)
	}
	revenue := s.Select("revenue", func(metric.Labels) bool { return true })
	if revenue.Count() != uint64(a.Sent) || revenue.Mean() != 12.5 {
		t.Errorf("%d revenues of %v, want %d of 12.5", revenue.Count(), revenue.Mean(), a.Sent)
	}
	if info := s.Infos["revenue"]; info.Category != "business" || info.Unit != "EUR" {
		t.Errorf("revenue is described as %+v", info)
	}
	if e := errorsOf(s); len(e) != 0 {
		t.Errorf("errors %v", e)
	}
}

func TestTargetRefuses(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	s := execute(t, httpPlan(gone.URL, 3, openPhase("p", [3]float64{100, 100, 0.3})))
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	if a.Sent == 0 || a.Failed != a.Sent {
		t.Errorf("arrivals %+v, want all failed", *a)
	}
	if e := errorsOf(s); e["connect"] != uint64(a.Sent) || len(e) != 1 {
		t.Errorf("errors %v, want %d times connect: the first failed step ends the iteration", e, a.Sent)
	}
	if s.Select(metric.Iterations, func(l metric.Labels) bool { return l.Get("error") == "" }).Count() != uint64(a.Sent) {
		t.Error("iterations are excused although the target refused")
	}
	if slices.Contains(s.Causes, CauseResources) {
		t.Error("the engine blames itself for a target that refuses")
	}
}

// TestTargetStalls: response times show a stall of the target, and what the in-flight cap holds back
// meanwhile is the target's.
func TestTargetStalls(t *testing.T) {
	const stall = 700 * time.Millisecond
	var t0 time.Time
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if since := time.Since(t0); since > 300*time.Millisecond {
			time.Sleep(300*time.Millisecond + stall - since)
		}
	}))
	defer server.Close()
	t0 = time.Now()
	p := openPhase("p", [3]float64{200, 200, 1.5})
	p.MaxInFlight = 20
	s := execute(t, httpPlan(server.URL, 1, p))
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	if a.NotSent[metric.CauseNoPermit] == 0 {
		t.Errorf("not sent %v: what the stall held back is the target's", a.NotSent)
	}
	slow := s.Select(metric.ResponseTime, func(metric.Labels) bool { return true })
	if slow.Max() < stall/2 {
		t.Errorf("slowest response %v although the target stalled for %v", slow.Max(), stall)
	}
}

// TestCutRequests: what is cut at the end is counted as failed, by its own kind.
func TestCutRequests(t *testing.T) {
	hang := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hang)
	phase := openPhase("p", [3]float64{50, 50, 10})
	phase.Late = time.Minute // a machine without a free core is no error of this test
	clock := simClock{time.Now()}
	e := prepared(t, Options{
		Plan: httpPlan(server.URL, 1, phase), Clock: clock,
		Logger: hclog.NewNullLogger(), Drain: 100 * time.Millisecond,
	})
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	s := e.Seal(second(clock.Now()))
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	if a.Sent == 0 || a.Failed != a.Sent || a.InFlight != 0 {
		t.Errorf("arrivals %+v, want all failed and none in flight", *a)
	}
	if n := errorsOf(s); n["cancelled"] != uint64(a.Sent) {
		t.Errorf("errors %v, want %d cancelled", n, a.Sent)
	}
	cut := s.Select(metric.Iterations, func(l metric.Labels) bool { return l.Get("outcome") == "failed" && l.Get("error") == "cancelled" })
	if cut.Count() != uint64(a.Sent) {
		t.Errorf("%d iterations are excused, want %d", cut.Count(), a.Sent)
	}
}

// TestOldestOfEachStep: the age of what is awaited is told by step, and a step that nobody has reached has
// none.
func TestOldestOfEachStep(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/1" {
			<-hang
		}
	}))
	defer server.Close()
	clock := simClock{time.Now()}
	e := prepared(t, Options{Plan: httpPlan(server.URL, 3, openPhase("p", [3]float64{20, 20, 0.9})), Clock: clock, Logger: hclog.NewNullLogger()})
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(time.Second - clock.Now() + 50*time.Millisecond)
	a := e.Seal(0).Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	close(hang)
	wg.Wait()
	if age := a.Oldest["step-1"]; age < 500*time.Millisecond || age > time.Second || a.Oldest["step-2"] != 0 {
		t.Errorf("oldest %v of %d in flight, want nearly a second of step-1 and nothing of step-2", a.Oldest, a.InFlight)
	}
}
