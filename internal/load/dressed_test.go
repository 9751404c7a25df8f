package load

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// portal is a server with sessions: whoever comes without one is given one and sent on. It counts what it sees.
type portal struct {
	*httptest.Server
	mu       sync.Mutex
	requests int64
	followed int64
	sessions map[string]int  // requests by session
	traces   map[string]bool // ids seen
}

func newPortal(t *testing.T) *portal {
	p := &portal{sessions: map[string]int{}, traces: map[string]bool{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.requests++
		if parent := strings.Split(r.Header.Get("Traceparent"), "-"); len(parent) == 4 {
			p.traces[parent[1]] = true
		}
		if r.URL.Path == "/home" {
			p.followed++
		}
		if c, err := r.Cookie("sid"); err == nil {
			p.sessions[c.Value]++
			return
		}
		sid := fmt.Sprint(len(p.sessions))
		p.sessions[sid] = 0
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: sid, Path: "/"})
		http.Redirect(w, r, "/home", http.StatusFound)
	}))
	t.Cleanup(p.Close)
	return p
}

// TestDressedLoad: what an independent server counts of requests, redirects and sessions is what the engines say,
// for arrivals and for users, and each slowest request that they name is one that the server has seen.
func TestDressedLoad(t *testing.T) {
	for _, tc := range []struct {
		name     string
		phase    scenario.Phase
		sessions func(sum metric.Second) int
	}{
		{"arrivals", openPhase("p", [3]float64{100, 100, 1.5}), func(sum metric.Second) int {
			return int(sum.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}].Sent) // each begins with an empty jar
		}},
		{"users", usersPhase("p", [3]float64{7, 7, 1.5}), func(metric.Second) int { return 7 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := newPortal(t)
			tc.phase.Pace = 0
			if len(tc.phase.Users) > 0 {
				tc.phase.Pace = 50 * time.Millisecond
			}
			plan := httpPlan(server.URL, 2, tc.phase)
			target := plan.Targets[scenario.DefaultTarget]
			target.Cookies, target.Redirects, target.Trace = true, 2, 0.5
			plan.Targets[scenario.DefaultTarget] = target
			clock := simClock{time.Now().Add(200 * time.Millisecond)}
			sum := metric.NewSecond(0)
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 2 {
				e := prepared(t, Options{Plan: plan, Worker: fmt.Sprint(i), Clock: clock, Logger: hclog.NewNullLogger()})
				e.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: i * scenario.Shards / 2, To: (i + 1) * scenario.Shards / 2}}})
				e.SetLease(never)
				wg.Go(func() {
					if err := e.Run(context.Background()); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					sum.Merge(e.Seal(second(clock.Now())))
				})
			}
			wg.Wait()
			sent, failed := sum.Requests()
			followed := sum.Total(metric.Redirects, nil)
			if sent != server.requests || failed != 0 || followed != server.followed || followed == 0 {
				t.Errorf("%d requests, %d failed, %d by a redirect; the server counted %d and %d", sent, failed, followed, server.requests, server.followed)
			}
			if want := tc.sessions(sum); len(server.sessions) != want {
				t.Errorf("%d sessions, want %d", len(server.sessions), want)
			}
			for sid, n := range server.sessions {
				if n == 0 {
					t.Errorf("session %s was given and never used", sid)
				}
			}
			if len(sum.Slowest) != 2 {
				t.Errorf("slowest requests of %d steps, want 2", len(sum.Slowest))
			}
			for key, x := range sum.Slowest {
				if !server.traces[x.Trace] || x.Response <= 0 || x.Status == 0 || key.Phase != "p" || key.Flow != "f" {
					t.Errorf("%v: %+v is not a request that the server has seen", key, x)
				}
			}
		})
	}
}

// TestMeasuresOfOtherNames: a measure cannot have the name of what the engine counts itself, or both would be added up.
func TestMeasuresOfOtherNames(t *testing.T) {
	for _, name := range []string{
		metric.ResponseTime, metric.Unsent, metric.ServiceTime, metric.ScheduleLag, metric.ArrivalGap, metric.ConnectTime, metric.DNSTime, metric.TLSTime,
		metric.FirstByteTime, metric.Iterations,
		metric.BytesIn, metric.BytesOut, metric.Retried, metric.Redirects,
		metric.FirstMessage, metric.MessageGap, metric.ReplyTime, metric.StreamTime, metric.Messages,
	} {
		text := fmt.Sprintf(`{"version": 1, "name": "n", "target": "http://127.0.0.1:1",
			"flows": {"f": [{"step": "s", "http": {"method": "GET", "path": "/"}, "measure": {%q: "1"}}]},
			"phases": [{"name": "p", "flow": "f", "rate": [{"hold": {"at": "1/s", "for": "1s"}}]}]}`, name)
		_, err := scenario.Load(fstest.MapFS{"s.yaml": {Data: []byte(text)}}, "s.yaml", scenario.Options{})
		if err == nil || !strings.Contains(err.Error(), "the name of a metric that every run has") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
