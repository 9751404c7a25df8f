package supervisor

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// TestFirstDivisionIsExact: whatever the cap and the capacities, the first parts add up to it.
func TestFirstDivisionIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var shares []share
		for i := range rapid.IntRange(1, 12).Draw(rt, "workers") {
			shares = append(shares, share{
				member:   run.Member{Worker: strconv.Itoa(i), Incarnation: 1},
				capacity: rapid.Float64Range(0.01, 100).Draw(rt, "capacity"),
			})
		}
		limit := rapid.Int64Range(1, 100_000).Draw(rt, "limit")
		m := run.ShardMap{Revision: 1, Owners: divide(shares)}
		if m.Covered() != run.Positions || m.Validate() != nil {
			rt.Fatalf("%d positions, %v", m.Covered(), m.Validate())
		}
		var sum int64
		for _, n := range permits(m, limit) {
			sum += n
		}
		if sum != limit {
			rt.Fatalf("parts of %d add up to %d", limit, sum)
		}
	})
}

// TestRedivide: at no time can the workers believe to have more than the cap together, however late
// they learn what they have lost; and once all have learnt, all of the cap is given out.
func TestRedivide(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Int64Range(1, 1000).Draw(rt, "limit")
		n := rapid.IntRange(2, 5).Draw(rt, "workers")
		all, told := make([]allotment, n), make([]int64, n)
		for i := range all {
			all[i].weight = rapid.Float64Range(1, 100).Draw(rt, "weight")
		}
		step := func(late bool) {
			for i := range all {
				if !late {
					break // all is quiet at the end
				}
				all[i].used = rapid.Int64Range(0, min(limit, all[i].held)).Draw(rt, "used")
			}
			told = redivide(limit, all)
			var sum int64
			for i := range all {
				if all[i].held = max(all[i].held, told[i]); !late || rapid.Bool().Draw(rt, "learns") {
					all[i].held = told[i]
				}
				sum += all[i].held
				if told[i] < 0 {
					rt.Fatalf("told %v", told)
				}
			}
			if sum > limit {
				rt.Fatalf("the workers hold %d of %d: %+v", sum, limit, all)
			}
		}
		for range 10 {
			step(true)
		}
		step(false)
		step(false)
		var sum int64
		for _, v := range told {
			sum += v
		}
		if sum != limit {
			rt.Fatalf("%d of %d given out: %v", sum, limit, told)
		}
	})
}

// TestUnusedPermitsMove: a worker that is at its part gets what another does not use.
func TestUnusedPermitsMove(t *testing.T) {
	text := strings.Replace(shop, "    rate:", "    max_in_flight: 11\n    rate:", 1)
	bubble(t, text, func(r *rig) {
		a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
		busy := func(onA, onB int64) {
			for w, n := range map[*robot]int64{a: onA, b: onB} {
				w.mu.Lock()
				w.busy = n
				w.mu.Unlock()
			}
		}
		busy(6, 0)
		r.create("r1", 0)
		r.load("r1", 500*time.Millisecond)
		if x, y := a.state().Permits["hold"], b.state().Permits["hold"]; x+y != 11 || x < 5 || x > 6 {
			t.Errorf("first parts of 11: %d and %d", x, y)
		}
		r.load("r1", 4500*time.Millisecond)
		x, y := a.state(), b.state()
		if x.Permits["hold"] < 8 || x.Permits["hold"]+y.Permits["hold"] != 11 {
			t.Errorf("one is busy with 6, the other idle: %v, %v", x.Permits, y.Permits)
		}
		busy(0, 0)
		r.ended2("r1")
	})
}

// TestRefusalsAreChargedOverTheFleet: whether arrivals without a permit are the target's or the
// generator's depends on what the whole fleet had in flight in that second, and what is shown live and
// what is reported agree about it.
func TestRefusalsAreChargedOverTheFleet(t *testing.T) {
	text := strings.Replace(shop, "    rate:", "    max_in_flight: 11\n    rate:", 1)
	for _, tt := range []struct {
		name    string
		onA     int64
		cause   metric.Cause
		verdict run.Result
	}{
		{"all were full", 6, metric.CauseMaxInFlight, run.Pass},
		{"one had permits left", 3, metric.CauseCapShare, run.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, text, func(r *rig) {
				a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
				b.mu.Lock()
				b.refuses = 3
				b.mu.Unlock()
				for w, n := range map[*robot]int64{a: tt.onA, b: 5} {
					w.mu.Lock()
					w.peak = n
					w.mu.Unlock()
				}
				r.create("r1", 0)
				r.load("r1", 9*time.Second)
				live, err := r.manager.Live("r1")
				if err != nil {
					t.Fatal(err)
				}
				for cause, n := range live.Progress.Load.NotSent {
					if (n > 0) != (cause == string(tt.cause)) {
						t.Errorf("live: %d %s", n, cause)
					}
				}
				rec, d := r.ended2("r1")
				if d.Load.NotSent[string(tt.cause)] != 30 || d.Load.NotSentTotal() != 30 {
					t.Errorf("not sent %v, want 30 for %s", d.Load.NotSent, tt.cause)
				}
				if rec.Verdict.Result != tt.verdict {
					t.Errorf("verdict %+v", rec.Verdict)
				}
			})
		})
	}
}

// TestRefusalsAbortOnAFullDisk: arrivals that a stalled target held back breach an aborting criterion
// also while nothing can be committed.
func TestRefusalsAbortOnAFullDisk(t *testing.T) {
	text := strings.Replace(shop, "    rate:", "    max_in_flight: 11\n    rate:", 1) + `criteria:
  - name: answered
    check: error_ratio(requests) < 5%
    window: 2s
    on_breach: abort
`
	text = strings.Replace(text, "for: 10s}", "for: 60s}", 1)
	bubble(t, text, func(r *rig) {
		a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
		for w, n := range map[*robot]int64{a: 6, b: 5} {
			w.mu.Lock()
			w.refuses, w.peak = 25, n
			w.mu.Unlock()
		}
		r.create("r1", 0)
		r.until("r1", run.Running)
		r.disk.fill(true)
		for a.state().Goal != wire.GoalStop {
			time.Sleep(50 * time.Millisecond)
			if v, err := r.manager.Live("r1"); err != nil || v.Progress != nil && v.Progress.RunTime > 10*time.Second {
				t.Fatalf("the load goes on: %v", err)
			}
		}
		r.disk.fill(false)
		if rec, _ := r.ended2("r1"); rec.Verdict.Result != run.Aborted {
			t.Errorf("verdict %+v", rec.Verdict)
		}
	})
}
