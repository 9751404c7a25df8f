package load

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// countingServer counts the requests that reach it, by path; every seventh of a path fails.
type countingServer struct {
	*httptest.Server
	total, failed atomic.Int64
}

func newCountingServer(t testing.TB) *countingServer {
	s := &countingServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if s.total.Add(1)%7 == 0 {
			s.failed.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok"))
	}))
	t.Cleanup(s.Close)
	return s
}

// httpPlan is a plan whose flow has the given number of steps against url.
func httpPlan(url string, steps int, phases ...scenario.Phase) *scenario.Plan {
	plan := planOf(phases...)
	plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: {URL: url}}
	plan.AllowTargets = []string{"127.0.0.1"}
	var flow scenario.Flow
	for i := range steps {
		flow.Steps = append(flow.Steps, scenario.Step{
			Name: fmt.Sprintf("step-%d", i), Target: scenario.DefaultTarget, Timeout: 10 * time.Second,
			HTTP: &scenario.HTTP{Method: http.MethodGet, Path: fmt.Sprintf("/%d", i)}, ImplyStatus: true,
		})
	}
	plan.Flows["f"] = flow
	return plan
}

// TestCountingServer: what an independent server counted is what the engines say was sent, and what
// they planned is what the schedule says, with shards, pauses and scale changing in the middle.
func TestCountingServer(t *testing.T) {
	for _, kind := range []string{"uniform", schedule.Poisson} {
		for _, steps := range []int{1, 3} {
			for _, engines := range []int{1, 3} {
				t.Run(fmt.Sprintf("%s, %d steps, %d engines", kind, steps, engines), func(t *testing.T) {
					t.Parallel()
					checkCounts(t, kind, steps, engines)
				})
			}
		}
	}
}

func checkCounts(t *testing.T, kind string, steps, engines int) {
	server := newCountingServer(t)
	p := openPhase("p", [3]float64{50, 200, 1}, [3]float64{200, 200, 1.5})
	p.Arrivals = kind
	plan := httpPlan(server.URL, steps, p, usersPhase("u", [3]float64{0, 4, 1}, [3]float64{4, 4, 1}))
	plan.Phases[1].Pace = 50 * time.Millisecond
	history := run.History{
		{Kind: run.ChangeScale, At: 700 * time.Millisecond, Factor: 1.5},
		{Kind: run.ChangePause, At: 1200 * time.Millisecond},
		{Kind: run.ChangeResume, At: 1700 * time.Millisecond},
		{Kind: run.ChangeScale, At: 2200 * time.Millisecond, Factor: 0.8},
	}
	clock := simClock{time.Now().Add(200 * time.Millisecond)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	sum := metric.NewSecond(0)
	const moveAt = 1900 * time.Millisecond
	for i := range engines {
		e := prepared(t, Options{Plan: plan, Worker: fmt.Sprint(i), Clock: clock, Logger: hclog.NewNullLogger()})
		from, to := i*scenario.Shards/engines, (i+1)*scenario.Shards/engines
		e.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: from, To: to}}})
		e.SetLease(never)
		next := State{Revision: 2, History: history, Ranges: []schedule.Range{{From: from, To: to}}}
		if engines > 1 && i == 0 { // gives the second half of its ring to the next
			mid := (from + to) / 2
			next.Ranges = []schedule.Range{{From: from, To: mid}, {From: mid, To: to, Until: moveAt}}
		}
		if i == 1 {
			next.Ranges = append(next.Ranges, schedule.Range{From: from / 2, To: from, Since: moveAt})
		}
		wg.Go(func() {
			time.Sleep(200 * time.Millisecond) // the changes come while the load runs
			e.Apply(next)
		})
		wg.Go(func() {
			if err := e.Run(context.Background()); err != nil {
				t.Error(err)
			}
			s := e.Seal(second(clock.Now()))
			mu.Lock()
			defer mu.Unlock()
			sum.Merge(s)
		})
	}
	wg.Wait()
	stream := schedule.NewStream(plan.Seed, &plan.Phases[0])
	stream.Set(schedule.NewCurve(p.Rate, schedule.Factors(run.NewTimeline(history), 0)), allRanges)
	var planned int64
	for _, ok := stream.Next(); ok; _, ok = stream.Next() {
		planned++
	}
	checkSum(t, sum, planned, server)
}

// checkSum compares a merged second with the schedule and with the server.
func checkSum(t *testing.T, sum metric.Second, planned int64, server *countingServer) {
	t.Helper()
	open := sum.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	if open.Planned != planned {
		t.Errorf("planned %d, the schedule says %d", open.Planned, planned)
	}
	for key, a := range sum.Arrivals {
		var not int64
		for _, n := range a.NotSent {
			not += n
		}
		if a.Planned != a.Sent+not || a.Sent != a.Succeeded+a.Failed || a.InFlight != 0 {
			t.Errorf("%v does not add up: %+v", key, *a)
		}
	}
	sent, failed := sum.Requests()
	if sent != server.total.Load() || failed != server.failed.Load() {
		t.Errorf("sent %d requests of which %d failed, the server counted %d and %d", sent, failed, server.total.Load(), server.failed.Load())
	}
	if n := sum.Select(metric.ServiceTime, func(metric.Labels) bool { return true }).Count(); int64(n) != sent {
		t.Errorf("%d samples of service time for %d requests", n, sent)
	}
}

// prepared returns an engine that is ready to run, and closes it at the end of the test.
func prepared(t testing.TB, opts Options) *Engine {
	t.Helper()
	e, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := e.Prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	return e
}
