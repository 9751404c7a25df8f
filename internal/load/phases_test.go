package load

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// TestMix: the flows of a phase share its iterations by weight, the same ones whoever owns the shards, for
// arrivals and for users.
func TestMix(t *testing.T) {
	for name, phase := range map[string]scenario.Phase{
		"arrivals": openPhase("p", [3]float64{400, 400, 10}), "users": usersPhase("p", [3]float64{40, 40, 10}),
	} {
		phase.Mix = []scenario.Weight{{Flow: "f", Weight: 6}, {Flow: "g", Weight: 3}, {Flow: "h", Weight: 1}}
		plan := planOf(phase)
		plan.Flows["g"], plan.Flows["h"] = scenario.Flow{}, scenario.Flow{}
		count := map[string]map[string]int64{} // by owner, by flow
		simulate(t, name, func(t *testing.T) {
			for owner, parts := range map[string][][]schedule.Range{
				"one": {allRanges}, "two": {{{From: 0, To: 5000}}, {{From: 5000, To: scenario.Shards}}},
			} {
				count[owner] = map[string]int64{}
				for _, ranges := range parts {
					r := newRig(t, plan, &iterationsOf(100*time.Millisecond).fakeProgram)
					r.Apply(State{Revision: 1, Ranges: ranges})
					r.run()
					r.wait()
					for key, a := range r.sum.Arrivals {
						count[owner][key.Flow] += a.Sent
					}
				}
			}
			if !maps.Equal(count["one"], count["two"]) {
				t.Errorf("one worker makes %v, two make %v", count["one"], count["two"])
			}
			total := count["one"]["f"] + count["one"]["g"] + count["one"]["h"]
			for flow, share := range map[string]float64{"f": 0.6, "g": 0.3, "h": 0.1} {
				got := float64(count["one"][flow]) / float64(total)
				if bound := 5 * math.Sqrt(share*(1-share)/float64(total)); math.Abs(got-share) > bound {
					t.Errorf("flow %s has %.3f of %d iterations, want %.1f", flow, got, total, share)
				}
			}
		})
	}
}

// TestRampDownCutsNothing: a user that the load no longer has ends what it is doing, also after the end of the
// phase, and begins nothing new.
func TestRampDownCutsNothing(t *testing.T) {
	simulate(t, "ramp down", func(t *testing.T) {
		var cut atomic.Int64
		var last atomic.Int64
		var r *rig
		p := &fakeProgram{RunFn: func(ctx context.Context, j *job) bool {
			last.Store(max(last.Load(), int64(j.started)))
			time.Sleep(3 * time.Second)
			if ctx.Err() != nil {
				cut.Add(1)
			}
			return ctx.Err() == nil
		}}
		r = newRig(t, planOf(usersPhase("p", [3]float64{10, 10, 4}, [3]float64{10, 0, 4})), p)
		r.run()
		got := r.wait()
		if cut.Load() != 0 || got.Failed != 0 || got.Sent < 20 {
			t.Errorf("%d iterations were cut, %d of %d failed", cut.Load(), got.Failed, got.Sent)
		}
		if time.Duration(last.Load()) >= 8*time.Second {
			t.Errorf("an iteration began at %v, after the last user had gone", time.Duration(last.Load()))
		}
		if now := r.clock.Now(); now < 9*time.Second || now > 11*time.Second+time.Millisecond {
			t.Errorf("the last iteration ended at %v", now)
		}
	})
}

// TestRetriesAreCounted: each attempt is a request, as an independent server counts it, and the repeated ones are
// counted apart; the iteration counts once, by how it ended.
func TestRetriesAreCounted(t *testing.T) {
	var total, repeated atomic.Int64
	var mu sync.Mutex
	tries := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		total.Add(1)
		mu.Lock()
		defer mu.Unlock()
		id := r.URL.Path
		if tries[id]++; tries[id] > 1 {
			repeated.Add(1)
		}
		if tries[id] <= len(id)%3 { // none, one or two failures
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	plan := httpPlan(server.URL, 1, openPhase("p", [3]float64{100, 100, 1}))
	step := &plan.Flows["f"].Steps[0]
	step.HTTP.Path, step.Retry = "/${data.ids.id}", &scenario.Retry{Times: 1, Backoff: time.Millisecond}
	var rows strings.Builder
	rows.WriteString("id\n")
	for i := range 100 {
		fmt.Fprintf(&rows, "%0*d\n", 3+i%3, i)
	}
	plan.Data = map[string]scenario.Dataset{"ids": {CSV: "ids.csv", Digest: "d", Rows: 100, Order: "unique", Per: "iteration", OnEnd: "stop"}}
	s := execute(t, plan, func(o *Options) { o.Files = func(string) ([]byte, error) { return []byte(rows.String()), nil } })
	sent, failed := s.Requests()
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	if sent != total.Load() || s.Total(metric.Retried, nil) != repeated.Load() || repeated.Load() == 0 {
		t.Errorf("%d requests, %d retried; the server counted %d and %d", sent, s.Total(metric.Retried, nil), total.Load(), repeated.Load())
	}
	if a.Sent+a.Withheld() != 100 || a.Failed == 0 || a.Succeeded == 0 || failed <= a.Failed {
		t.Errorf("arrivals %+v, %d failed requests", *a, failed)
	}
}

// TestSetupIsForAll: what setup has saved on one worker, every worker puts into its requests.
func TestSetupIsForAll(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path]++
		_, _ = w.Write([]byte(`{"sku": "s-7"}`))
	}))
	t.Cleanup(server.Close)
	plan := httpPlan(server.URL, 1, openPhase("p", [3]float64{50, 50, 1}))
	plan.Flows["f"].Steps[0].HTTP.Path = "/buy/${setup.sku}"
	plan.Setup = []scenario.Step{{
		Name: "seed", Target: scenario.DefaultTarget, Timeout: time.Second, HTTP: &scenario.HTTP{Method: "POST", Path: "/seed"},
		Save: []scenario.Expression{{Name: "sku", Source: "json.sku"}},
	}}
	clock := simClock{time.Now().Add(300 * time.Millisecond)}
	var engines []*Engine
	for i := range 3 {
		e := prepared(t, Options{Plan: plan, Worker: fmt.Sprint(i), Clock: clock, Logger: hclog.NewNullLogger()})
		e.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: i * scenario.Shards / 3, To: (i + 1) * scenario.Shards / 3}}})
		e.SetLease(never)
		engines = append(engines, e)
	}
	saved, requests, err := engines[1].Setup(t.Context())
	if err != nil || requests != 1 {
		t.Fatal(requests, err)
	}
	var wg sync.WaitGroup
	var sent atomic.Int64
	for _, e := range engines {
		e.SetSetup(saved)
		wg.Go(func() {
			if err := e.Run(context.Background()); err != nil {
				t.Error(err)
			}
			s := e.Seal(second(clock.Now()))
			n, failed := s.Requests()
			if sent.Add(n); n == 0 || failed != 0 {
				t.Errorf("%d requests, %d failed", n, failed)
			}
		})
	}
	wg.Wait()
	if want := map[string]int{"/seed": 1, "/buy/s-7": int(sent.Load())}; !maps.Equal(seen, want) {
		t.Errorf("the server was sent %v, want %v", seen, want)
	}
}

// TestWarmupIsMarked: whatever a phase that warms up has measured says so, and nothing else does.
func TestWarmupIsMarked(t *testing.T) {
	server := newCountingServer(t)
	warm, steady := openPhase("warm", [3]float64{50, 50, 0.5}), openPhase("steady", [3]float64{50, 50, 0.5})
	warm.Warmup = true
	plan := httpPlan(server.URL, 1, warm, steady)
	plan.Flows["f"].Steps[0].Measure = []scenario.Measure{{Name: "size", Source: "size"}}
	s := execute(t, plan)
	seen := map[string]bool{}
	for key := range s.Series {
		phase := key.Labels.Get("phase")
		if phase == "" {
			continue // of the machine
		}
		seen[phase] = true
		if marked := key.Labels.Get("warmup") == "true"; marked != (phase == "warm") {
			t.Errorf("%v: marked %v", key, marked)
		}
	}
	if !seen["warm"] || !seen["steady"] {
		t.Errorf("phases that measured something: %v", seen)
	}
}
