package cluster

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// target is a server that knows nothing of the product. Each arrival asks for a path that is its
// number, and the target notes when each number came.
type target struct {
	*httptest.Server
	first chan struct{} // closed by the first arrival
	clock *metronome

	mu      sync.Mutex
	came    map[int][]time.Time
	strange int // requests for other paths
}

func startTarget(t *testing.T) *target {
	t.Helper()
	g := &target{first: make(chan struct{}), clock: startMetronome(t), came: map[int][]time.Time{}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.note(r.URL.Path, time.Now())
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *target) note(path string, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, err := strconv.Atoi(strings.TrimPrefix(path, "/"))
	if err != nil {
		g.strange++
		return
	}
	if len(g.came) == 0 {
		close(g.first)
	}
	g.came[n] = append(g.came[n], at)
}

// count is what the target saw of a plan of uniform arrivals.
type count struct {
	received int64
	missing  []int         // numbers that never came
	doubled  []int         // numbers that came more than once
	strange  int           // requests that are no arrival of the plan
	latest   time.Duration // the most that an arrival was behind its instant
	stall    time.Duration // the most that this process was behind: what is the machine's fault
	late     int           // arrivals that were behind by more than noticeable
	worst    float64       // the least share of a second's planned arrivals that came in time
	worstAt  int           // that second
}

const (
	// inTime is how far behind its instant an arrival may come and count as sent in its second. All of the
	// cluster shares the cores of one machine, which may have other things to do for a second or two; load
	// that stopped for as long as a leader is replaced would be behind by more.
	inTime = 2500 * time.Millisecond
	// noticeable is what a user would call late; it is reported and not judged.
	noticeable = 50 * time.Millisecond
)

// due is the instant of an arrival in the run.
func due(n, rate int) time.Duration { return time.Duration(n) * time.Second / time.Duration(rate) }

// count compares what came with a plan of so many arrivals at a constant rate. The start of the plan is
// taken from the arrivals themselves: none comes before its instant, and some come at it.
func (g *target) count(planned, rate int) count {
	g.mu.Lock()
	defer g.mu.Unlock()
	var t0 time.Time
	c := count{strange: g.strange, stall: g.clock.worst(), worst: 1}
	for n, times := range g.came {
		c.received += int64(len(times))
		if n < 0 || n >= planned {
			c.strange += len(times)
			continue
		}
		if start := times[0].Add(-due(n, rate)); t0.IsZero() || start.Before(t0) {
			t0 = start
		}
	}
	punctual := make([]int, (planned+rate-1)/rate)
	for n := range planned {
		times := g.came[n]
		if len(times) == 0 {
			c.missing = append(c.missing, n)
			continue
		}
		if len(times) > 1 {
			c.doubled = append(c.doubled, n)
		}
		behind := times[0].Sub(t0) - due(n, rate)
		c.latest = max(c.latest, behind)
		if behind > noticeable {
			c.late++
		}
		if behind <= inTime {
			punctual[n/rate]++
		}
	}
	for second, n := range punctual {
		if share := float64(n) / float64(min(rate, planned-second*rate)); share < c.worst {
			c.worst, c.worstAt = share, second
		}
	}
	return c
}
