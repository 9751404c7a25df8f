package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// flows are what an iteration does, and the keys under which the server counts its steps.
var flows = map[string][]string{
	"one":   {"GET /a"},
	"three": {"GET /a", "POST /b", "PUT /c"},
}

// scenario writes a run of about two seconds: plannedPerRun arrivals as the schedule says, and
// beside them a few users, before and after them one request each.
func scenario(target, arrivals, flow, extra string) string {
	var steps strings.Builder
	for i, key := range flows[flow] {
		method, path, _ := strings.Cut(key, " ")
		fmt.Fprintf(&steps, "    - step: s%d\n      http: {method: %s, path: %s}\n", i+1, method, path)
	}
	return fmt.Sprintf(`version: 1
name: counting
seed: 7
target: %s
allow_targets: [127.0.0.1]
setup:
  - step: prepare
    http: {method: POST, path: /setup}
teardown:
  - step: tidy
    http: {method: POST, path: /teardown}
flows:
  f:
%s  u:
    - step: look
      http: {method: GET, path: /users}
    - think: 20ms
phases:
  - name: open
    flow: f
    arrivals: %s
%s    rate:
      - ramp: {from: 30/s, to: 90/s, for: 1s}
      - hold: {at: 90/s, for: 1s}
  - name: closed
    with: open
    flow: u
    users:
      - hold: {at: 2, for: 2s}
criteria:
  - name: something was measured
    check: count(requests) > 0
`, target, steps.String(), arrivals, extra)
}

// uniformPlanned is the integral of the schedule: 60 arrivals of the ramp and 90 of the hold.
const uniformPlanned = 150

// balance checks that arrivals and requests add up in one part of a report.
func balance(t *testing.T, what string, l loadRow, r requestRow) {
	t.Helper()
	notSent := int64(0)
	for _, n := range l.NotSent {
		notSent += n
	}
	if l.Planned != l.Sent+notSent+l.Unknown {
		t.Errorf("%s: planned %d, but sent %d + not sent %v + unknown %d", what, l.Planned, l.Sent, l.NotSent, l.Unknown)
	}
	if l.Sent != l.Succeeded+l.Failed {
		t.Errorf("%s: arrivals sent %d, but succeeded %d + failed %d", what, l.Sent, l.Succeeded, l.Failed)
	}
	if r.Sent != r.Succeeded+r.Failed {
		t.Errorf("%s: requests sent %d, but succeeded %d + failed %d", what, r.Sent, r.Succeeded, r.Failed)
	}
}

// agree checks a report against what the server counted, to the unit.
func agree(t *testing.T, d document, c *counter, flow string) {
	t.Helper()
	if d.Run.State != "COMPLETED" || d.Load.Unknown != 0 || d.Integrity.Completeness != 1 || len(d.Integrity.Gaps) > 0 {
		t.Errorf("run %s (%v) with %d unknown, completeness %v, gaps %s", d.Run.State, d.Run.Reason, d.Load.Unknown, d.Integrity.Completeness, d.Integrity.Gaps)
	}
	balance(t, "run", d.Load, d.Requests)
	for _, p := range d.Phases {
		balance(t, "phase "+p.Name, p.Load, p.Requests)
	}
	steps := map[string]string{"look": "GET /users"}
	for i, key := range flows[flow] {
		steps[fmt.Sprintf("s%d", i+1)] = key
	}
	keys := slices.Collect(maps.Values(steps))
	received, good := c.sums(keys)
	if d.Requests.Sent != received || d.Requests.Succeeded != good {
		t.Errorf("report says %d sent and %d succeeded, the server counted %d and %d", d.Requests.Sent, d.Requests.Succeeded, received, good)
	}
	for i, row := range d.Series {
		if i == 0 {
			if row.Requests != received || row.Errors != received-good {
				t.Errorf("total: %d requests and %d errors, the server counted %d and %d", row.Requests, row.Errors, received, received-good)
			}
			continue
		}
		key := steps[row.Labels["step"]]
		got, ok := c.sums([]string{key})
		if row.Requests != got || row.Errors != got-ok {
			t.Errorf("step %s: %d requests and %d errors, the server counted %d and %d of %s", row.Labels["step"], row.Requests, row.Errors, got, got-ok, key)
		}
	}
	if len(d.Series) != 1+len(steps) {
		t.Errorf("%d series, want the total and %d steps", len(d.Series), len(steps))
	}
	before, _ := c.sums([]string{"POST /setup"})
	after, _ := c.sums([]string{"POST /teardown"})
	if before != 1 || after != 1 || d.Requests.Setup != 1 || d.Requests.Teardown != 1 {
		t.Errorf("setup and teardown: report says %d and %d, the server counted %d and %d", d.Requests.Setup, d.Requests.Teardown, before, after)
	}
	if all, _ := c.sums(slices.Collect(maps.Keys(c.received))); all != received+2 {
		t.Errorf("the server counted %d requests, %d of which belong to the scenario", all, received+2)
	}
}

// open returns the arrivals of the open phase.
func (d document) open() loadRow {
	for _, p := range d.Phases {
		if p.Name == "open" {
			return p.Load
		}
	}
	return loadRow{}
}

// TestCounting shows that a report says exactly what an independent server counted, whatever the
// arrivals, the number of workers, the flow, and what was done to the run while it went on. It also
// shows that neither the number of workers nor a pause changes which arrivals are planned.
func TestCounting(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	planned := make(chan map[string]int64, 1)
	planned <- map[string]int64{}
	t.Run("runs", func(t *testing.T) {
		for _, arrivals := range []string{"uniform", "poisson"} {
			for _, workers := range []int{1, 3} {
				for _, flow := range []string{"one", "three"} {
					t.Run(fmt.Sprintf("%s/%d/%s", arrivals, workers, flow), func(t *testing.T) {
						t.Parallel()
						f := startFleet(t, workers)
						for _, how := range []string{"alone", "paused", "scaled"} {
							d := countRun(t, f, arrivals, flow, how)
							if len(d.Integrity.Workers) != workers {
								t.Errorf("%s: %d workers took part, of %d", how, len(d.Integrity.Workers), workers)
							}
							if how == "scaled" {
								continue // when exactly the scale changed decides how many were planned
							}
							all := <-planned
							n, known := all[arrivals]
							if all[arrivals] = d.open().Planned; known && n != all[arrivals] {
								t.Errorf("%s: %d arrivals planned, %d in another run of the same schedule", how, all[arrivals], n)
							}
							planned <- all
						}
					})
				}
			}
		}
	})
	if n := (<-planned)["uniform"]; n != uniformPlanned {
		t.Errorf("%d uniform arrivals planned, the schedule's integral is %d", n, uniformPlanned)
	}
}

// countRun conducts one run and compares it with the server.
func countRun(t *testing.T, f *fleet, arrivals, flow, how string) document {
	t.Helper()
	c := startCounter(t, true)
	id := f.create(t, scenario(c.URL, arrivals, flow, ""))
	switch how {
	case "paused":
		c.await(t, 20)
		f.pause(t, id)
		f.resume(t, id)
	case "scaled":
		c.await(t, 10)
		f.scale(t, id, 2)
		f.pause(t, id)
		f.scale(t, id, 0.5)
		f.resume(t, id)
		f.scale(t, id, 1.5)
	}
	d := f.report(t, id)
	agree(t, d, c, flow)
	return d
}

// TestCountingCap shows that arrivals which the cap on work in flight holds back are counted by that
// cause, and that what was sent is still what the server counted.
func TestCountingCap(t *testing.T) {
	for _, workers := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) { countCap(t, workers) })
	}
}

func countCap(t *testing.T, workers int) {
	f := startFleet(t, workers)
	c := startCounter(t, false)
	release := make(chan struct{})
	c.hold("/a", release)
	const limit = 3
	id := f.create(t, scenario(c.URL, "uniform", "one", fmt.Sprintf("    max_in_flight: %d\n", limit)))
	// Nothing answers /a, so that no more than three can be under way, on all workers together; later
	// arrivals are held back. The users go on, and their requests tell that time has passed.
	users := int64(0)
	for users < 30 {
		c.await(t, c.now()+1)
		users, _ = c.sums([]string{"GET /users"})
	}
	if held, _ := c.sums([]string{"GET /a"}); held > limit {
		t.Errorf("%d requests are under way, more than the %d of the fleet", held, limit)
	}
	close(release)
	d := f.report(t, id)
	agree(t, d, c, "one")
	if l := d.open(); l.Planned != uniformPlanned || l.NotSent["max_in_flight"]+l.NotSent["cap_share"] == 0 || (workers == 1 && l.NotSent["cap_share"] > 0) {
		t.Errorf("open phase planned %d, of which not sent %v; want %d with some at the cap", l.Planned, l.NotSent, uniformPlanned)
	}
}

// TestCountingStopped shows that a run which is stopped in the middle adds up as well: what it
// would have sent later is not planned, what was under way is counted.
func TestCountingStopped(t *testing.T) {
	f := startFleet(t, 3)
	c := startCounter(t, true)
	id := f.create(t, scenario(c.URL, "poisson", "three", ""))
	c.await(t, 40)
	f.stop(t, id)
	d := f.report(t, id)
	agree(t, d, c, "three")
	if got := d.open().Sent; got == 0 {
		t.Error("nothing was sent before the stop")
	}
}
