package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// never again do arrivals come so densely, and always do they.
const (
	neverDense  = 1e12
	alwaysDense = 1
)

// paced runs a plan to its end, with the pacer sending arrivals itself from a rate on, and returns all that was
// counted and how many runners the pacer had of its own.
func paced(t *testing.T, plan *scenario.Plan, dense float64, change ...func(*Engine)) (s metric.Second, own int) {
	t.Helper()
	clock := simClock{time.Now()}
	e := prepared(t, Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger(), Drain: 20 * time.Millisecond})
	if dense == alwaysDense && e.express.collector == nil {
		t.Skip("this system has no epoll to collect answers with")
	}
	e.pace.dense = dense
	for _, f := range change {
		f(e)
	}
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	if err := e.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := e.express.collector.Waiting(); n != 0 {
		t.Errorf("%d answers are still awaited after the end", n)
	}
	return e.Seal(second(clock.Now())), len(e.express.spare)
}

// TestExpressCountsTheSame: whatever the target does, the same is counted of it, under the same names, whoever sends.
func TestExpressCountsTheSame(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handle  http.HandlerFunc
		timeout time.Duration
	}{
		{"answers", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, 0},
		{"answers at length", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 200_000)) }, 0},
		{"fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 0},
		{"closes each connection", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, 0},
		{"resets", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0},
		{"answers slowly", func(http.ResponseWriter, *http.Request) { time.Sleep(30 * time.Millisecond) }, 0},
		{"answers in parts", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond)
			_, _ = io.WriteString(w, "late")
		}, 0},
		{"does not answer in time", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, time.Second}, // in which the server has all of them, also on a busy machine
	} {
		t.Run(tt.name, func(t *testing.T) {
			var served atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served.Add(1); tt.handle(w, r) }))
			defer server.Close()
			plan := httpPlan(server.URL, 1, openPhase("p", [3]float64{300, 300, 0.6}))
			plan.Phases[0].Late = time.Minute // a machine without a free core is no error of this test
			if tt.timeout > 0 {
				plan.Flows["f"].Steps[0].Timeout = tt.timeout
			}
			var series [2][]string
			for i, dense := range []float64{neverDense, alwaysDense} {
				served.Store(0)
				s, own := paced(t, plan, dense)
				a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
				sent, _ := s.Requests()
				if a.Planned != 180 || a.Sent != 180 || a.Succeeded+a.Failed != 180 || sent != 180 || served.Load() != 180 {
					t.Errorf("dense %v: %+v, %d requests, the server had %d", dense, *a, sent, served.Load())
				}
				if (own > 0) != (dense == alwaysDense) && tt.name == "answers" {
					t.Errorf("dense %v: %d runners of the pacer's own", dense, own)
				}
				for key := range s.Series {
					if key.Metric != metric.ConnectTime {
						series[i] = append(series[i], fmt.Sprint(key))
					}
				}
				slices.Sort(series[i])
			}
			if !slices.Equal(series[0], series[1]) {
				t.Errorf("series differ:\n%v\n%v", series[0], series[1])
			}
		})
	}
}

// TestExpressDatesByArrival: an answer's time does not depend on when the pacer comes to take it in. Here it stands still
// for long meanwhile.
func TestExpressDatesByArrival(t *testing.T) {
	const stall = 2 * time.Second
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }))
	defer server.Close()
	plan := httpPlan(server.URL, 1, openPhase("p", [3]float64{300, 300, 0.5}))
	waits := 0
	s, own := paced(t, plan, alwaysDense, func(e *Engine) {
		e.waiter = waiterFunc{e.waiter, func() {
			if waits++; e.express.on && waits > 100 && e.express.collector.Waiting() > 0 {
				waits = -1 << 30
				time.Sleep(stall)
			}
		}}
	})
	if own == 0 || waits > 0 {
		t.Fatal("the pacer has sent nothing itself, or did not stand still")
	}
	service := s.Select(metric.ServiceTime, func(metric.Labels) bool { return true })
	if service.Count() == 0 || service.Max() > stall/2 || service.Min() < 20*time.Millisecond {
		t.Errorf("%d service times from %v to %v", service.Count(), service.Min(), service.Max())
	}
}

// waiterFunc calls a function after each wait.
type waiterFunc struct {
	Waiter
	after func()
}

func (w waiterFunc) Wait(d time.Duration) { w.Waiter.Wait(d); w.after() }

// TestExpressLeavesPermits: what waits for its collection never takes more than half of what may be in flight.
func TestExpressLeavesPermits(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(50 * time.Millisecond) }))
	defer server.Close()
	plan := httpPlan(server.URL, 1, openPhase("p", [3]float64{200, 200, 0.6}))
	plan.Phases[0].Late, plan.Phases[0].MaxInFlight = time.Minute, 8
	var most int64
	s, own := paced(t, plan, alwaysDense, func(e *Engine) {
		e.waiter = waiterFunc{e.waiter, func() { most = max(most, e.phases[0].express) }}
	})
	if own == 0 || most > 4 {
		t.Errorf("%d at once were sent by the pacer itself, of 8 that may be in flight", most)
	}
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	if a.Planned != 120 || a.Sent+a.NotSent[metric.CauseNoPermit] != 120 || a.NotSent[metric.CauseNoPermit] == 0 {
		t.Errorf("arrivals %+v", *a)
	}
}

// TestExpressIsCut: a run that is stopped does not wait for answers that do not come, and counts them as cut.
func TestExpressIsCut(t *testing.T) {
	release := make(chan struct{})
	first := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		first <- struct{}{}
		if len(first) < 40 {
			return
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	plan := httpPlan(server.URL, 1, openPhase("p", [3]float64{300, 300, 60}))
	clock := simClock{time.Now()}
	e := prepared(t, Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger(), Drain: 50 * time.Millisecond})
	if e.express.collector == nil {
		t.Skip("this system has no epoll to collect answers with")
	}
	e.pace.dense = alwaysDense
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	ctx, cancel := context.WithCancel(t.Context())
	e.waiter = waiterFunc{e.waiter, func() {
		if e.phases[0].express > 0 && e.express.collector.Waiting() >= 5 { // of the pacer's own, and of those that opened connections
			cancel()
		}
	}}
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	s := e.Seal(second(clock.Now()))
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	got := errorsOf(s)
	if a.Failed < 5 || a.Succeeded+a.Failed != a.Sent || got["cancelled"] != uint64(a.Failed) {
		t.Errorf("arrivals %+v, errors %v", *a, got)
	}
}
