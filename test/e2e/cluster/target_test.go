package cluster

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"proofload/test/e2e/cluster/counter"
)

// target is a server that knows nothing of the product and notes when each arrival came.
type target struct {
	URL   string
	under string // path below which arrivals come
	first <-chan struct{}
	clock *metronome
	look  func(func(counter.Seen))
	// broken says that the target answers everything with 500 from now on; only that of startTarget does.
	broken atomic.Bool
}

// startTarget starts a target in this process.
func startTarget(t *testing.T) *target {
	t.Helper()
	arrivals := counter.New()
	g := &target{first: arrivals.First(), clock: startMetronome(t), look: arrivals.Look}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.broken.Load() {
			arrivals.Note(r.URL.Path, time.Now())
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		arrivals.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.URL = server.URL
	return g
}

// host returns the host of the target's address.
func (g *target) host() string {
	u, err := url.Parse(g.URL)
	if err != nil {
		return err.Error() // which no scenario takes
	}
	return u.Hostname()
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
	// lastSecond is how far the most punctual of the last arrivals that came was behind the plan.
	lastSecond time.Duration
}

const (
	// inTime is how far behind its instant an arrival may come and count as sent in its second. All of the
	// cluster shares the cores of one machine, which may have other things to do: for as long as the metronome
	// was kept from running between the instant and the arrival, it may come later.
	inTime = 250 * time.Millisecond
	// noticeable is what a user would call late; it is reported and not judged.
	noticeable = 50 * time.Millisecond
)

// due is the instant of an arrival in the run.
func due(n, rate int) time.Duration { return time.Duration(n) * time.Second / time.Duration(rate) }

// count compares what came with a plan of so many arrivals at a constant rate. The start of the plan is
// taken from the arrivals themselves: none comes before its instant, and some come at it.
func (g *target) count(planned, rate int) (c count) {
	g.look(func(seen counter.Seen) { c = compare(seen, planned, rate, g.clock) })
	return c
}

// start returns the instant of the plan's start, as the arrivals tell it.
func (g *target) start(p plan) (t0 time.Time) {
	g.look(func(seen counter.Seen) { t0 = startOf(seen, p.rows(), p.rate) })
	return t0
}

// startOf returns the earliest instant at which the plan can have begun for no arrival to have come early.
func startOf(seen counter.Seen, planned, rate int) (t0 time.Time) {
	for n, times := range seen.Came {
		if n < 0 || n >= planned {
			continue
		}
		if start := times[0].Add(-due(n, rate)); t0.IsZero() || start.Before(t0) {
			t0 = start
		}
	}
	return t0
}

func compare(seen counter.Seen, planned, rate int, clock *metronome) count {
	t0 := startOf(seen, planned, rate)
	c := count{strange: seen.Strange, worst: 1, stall: clock.worst()}
	for n, times := range seen.Came {
		c.received += int64(len(times))
		if n < 0 || n >= planned {
			c.strange += len(times)
		}
	}
	c.lastSecond = lastBehind(seen, t0, planned, rate)
	punctual := make([]int, (planned+rate-1)/rate)
	for n := range planned {
		times := seen.Came[n]
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
		if behind <= inTime || behind <= inTime+clock.stalled(t0.Add(due(n, rate)), times[0]) {
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

// lastBehind returns how far the most punctual arrival of the last second of arrivals was behind the plan.
func lastBehind(seen counter.Seen, t0 time.Time, planned, rate int) time.Duration {
	least, came := time.Duration(0), 0
	for n := planned - 1; n >= 0 && came < rate; n-- {
		if times := seen.Came[n]; len(times) > 0 {
			if behind := times[0].Sub(t0) - due(n, rate); came == 0 || behind < least {
				least = behind
			}
			came++
		}
	}
	return least
}
