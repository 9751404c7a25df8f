package load

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load/feed"
	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// TestUsersRows: no two iterations of users have the same row, also of users beyond those of the plan.
func TestUsersRows(t *testing.T) {
	rows := map[int64]bool{}
	c := newClosedLoad(&phase{plan: &scenario.Phase{Users: segments([3]float64{0, 7, 1}), Mix: []scenario.Weight{{Flow: "f", Weight: 1}}}, flows: []*flowRow{{}}, mix: schedule.NewMix([]scenario.Weight{{Flow: "f", Weight: 1}})})
	for u := range int64(14) {
		for n := range int64(20) {
			row := c.job(u, n, 0, 0).row
			if u >= 7 {
				if row >= 0 {
					t.Fatalf("user %d is beyond the plan and has row %d", u, row)
				}
				continue
			}
			if rows[row] {
				t.Fatalf("row %d is dealt to two iterations", row)
			}
			rows[row] = true
		}
	}
	if len(rows) != 140 || !rows[0] || !rows[139] {
		t.Error("rows are left out")
	}
}

// dealer stands in for the flows, with a real data set.
type dealer struct {
	fakeProgram
	mu   sync.Mutex
	seen map[int64]int
}

func newDealer(t *testing.T, plan *scenario.Plan) *dealer {
	t.Helper()
	rows := strings.Repeat("x\n", int(plan.Data["acc"].Rows))
	set, err := feed.New("acc", plan.Data["acc"], []byte("name\n"+rows), plan.Seed)
	if err != nil {
		t.Fatal(err)
	}
	d := &dealer{seen: map[int64]int{}}
	d.AdmitFn = func(j *job) bool {
		row, err := set.Row(feed.Identity{Arrival: j.row, User: j.user, Deals: j.phase.plan.Deals})
		if errors.Is(err, feed.ErrExhausted) {
			return false
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.seen[row]++; d.seen[row] > 1 {
			t.Errorf("row %d is dealt again, to user %d, iteration %d of phase %s", row, j.user, j.n, j.phase.plan.Name)
		}
		return true
	}
	return d
}

// noFiles is for an engine whose program does not read any.
func noFiles(o *Options) {
	o.Files = func(string) ([]byte, error) { return nil, errors.New("there are no files") }
}

const dealt = `
version: 1
name: dealt
target: http://127.0.0.1:9
data:
  acc: {csv: acc.csv, order: unique, per: iteration}
flows:
  f:
    - step: s
      http: {method: GET, path: '/${data.acc.name}'}
phases:
`

// dealtPlan is the plan of phases that all read a unique data set of so many rows.
func dealtPlan(t *testing.T, rows int, phases string) *scenario.Plan {
	t.Helper()
	plan, err := loadDealt(rows, phases, schedule.Rows)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func loadDealt(rows int, phases string, need func(uint64, *scenario.Phase) int64) (*scenario.Plan, error) {
	tree := fstest.MapFS{"s.yaml": {Data: []byte(dealt + phases)}, "acc.csv": {Data: []byte("name\n" + strings.Repeat("x\n", rows))}}
	return scenario.Load(tree, "s.yaml", scenario.Options{Rows: need})
}

// TestUniqueRows: no row is dealt twice, over phases, above the scale of the plan, and when users move
// to another worker.
func TestUniqueRows(t *testing.T) {
	simulate(t, "phases", func(t *testing.T) {
		plan := dealtPlan(t, 20+30+25, `
  - {name: warm, flow: f, record: warmup, rate: [{hold: {at: 10/s, for: 2s}}]}
  - {name: load, flow: f, at: 3s, rate: [{hold: {at: 10/s, for: 3s}}]}
  - {name: users, flow: f, at: 1s, users: [{hold: {at: 5, for: 5s}}]}
`)
		d := newDealer(t, plan)
		d.RunFn = iterationsOf(100 * time.Millisecond).RunFn
		r := newRig(t, plan, &d.fakeProgram, noFiles)
		r.run()
		want(t, r.wait(), 75+5, 75, map[metric.Cause]int64{metric.CauseData: 5})
		if len(d.seen) != 75 {
			t.Errorf("%d rows of 75 were dealt", len(d.seen))
		}
	})
	simulate(t, "scaled", func(t *testing.T) {
		plan := dealtPlan(t, 40+200, `
  - {name: load, flow: f, rate: [{hold: {at: 10/s, for: 4s}}]}
  - {name: users, flow: f, users: [{hold: {at: 5, for: 4s}}]}
`)
		d := newDealer(t, plan)
		d.RunFn = iterationsOf(100 * time.Millisecond).RunFn
		r := newRig(t, plan, &d.fakeProgram, noFiles)
		r.Apply(State{Revision: 1, Ranges: allRanges, History: run.History{{Kind: run.ChangeScale, At: time.Second, Factor: 3}}})
		r.run()
		if a := r.wait(); a.NotSent[metric.CauseData] != 10+1 {
			t.Errorf("%v, want that 10 users and one arrival more than planned get no row", a.NotSent)
		}
	})
	t.Run("moved", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const half = scenario.Shards / 2
			plan := dealtPlan(t, 100_000, `
  - {name: users, flow: f, users: [{hold: {at: 40, for: 10s}}]}
`)
			d := newDealer(t, plan)
			d.RunFn = iterationsOf(100 * time.Millisecond).RunFn
			left, right := newRig(t, plan, &d.fakeProgram, noFiles), newRig(t, plan, &d.fakeProgram, noFiles)
			left.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: 0, To: half}}})
			right.Apply(State{Revision: 1, Ranges: []schedule.Range{{From: half, To: scenario.Shards}}})
			left.run()
			right.run()
			for i, at := range []time.Duration{2 * time.Second, 4 * time.Second, 6 * time.Second} {
				time.Sleep(at - time.Second - left.clock.Now())
				mine, others := left, right
				if i%2 == 1 {
					mine, others = right, left
				}
				mine.Apply(State{Revision: uint64(i + 2), Ranges: []schedule.Range{{From: 0, To: scenario.Shards, Since: at}}})
				others.Apply(State{Revision: uint64(i + 2)})
			}
			left.wait()
			right.wait()
		})
	})
}

// TestPoissonRows: where rows must last, the file has one for every number that the seed draws, and
// then all arrivals get one.
func TestPoissonRows(t *testing.T) {
	const phases = `
  - {name: load, flow: f, arrivals: poisson, rate: [{hold: {at: 100/s, for: 3s}}]}
`
	_, err := loadDealt(1000, phases, schedule.Rows)
	var problems scenario.Problems
	if !errors.As(err, &problems) || !strings.Contains(err.Error(), "the file has 1000; poisson arrivals are numbered in steps of 16384") {
		t.Fatalf("1000 rows: %v", err)
	}
	if _, err := loadDealt(1000, phases, nil); err == nil {
		t.Error("rows that nobody can count are enough")
	}
	var need int
	_, after, _ := strings.Cut(err.Error(), "the phases draw ")
	if _, err := fmt.Sscanf(after, "%d of them", &need); err != nil {
		t.Fatal(err)
	}
	if _, err := loadDealt(need-1, phases, schedule.Rows); err == nil {
		t.Error("one row less is enough")
	}
	plan := dealtPlan(t, need, phases)
	server := newCountingServer(t)
	plan.Targets[scenario.DefaultTarget] = scenario.Target{URL: server.URL}
	clock := simClock{time.Now().Add(50 * time.Millisecond)}
	e := prepared(t, Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger(), Files: func(string) ([]byte, error) {
		return []byte("name\n" + strings.Repeat("x\n", need)), nil
	}})
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := e.Seal(10).Arrivals[metric.ArrivalKey{Phase: "load", Flow: "f"}]
	if a.NotSent[metric.CauseData] != 0 || a.Planned < 200 || server.total.Load() != a.Sent {
		t.Errorf("arrivals %+v, the server saw %d", *a, server.total.Load())
	}
}
