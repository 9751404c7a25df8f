package supervisor

import (
	"testing"

	"proofload/internal/run"
)

const graph = `
version: 1
name: graph
seed: 7
target: http://127.0.0.1:9
flows:
  buy:
    - step: get
      http: {method: GET, path: /}
      timeout: 1s
phases:
  - name: warmup
    flow: buy
    record: warmup
    rate:
      - hold: {at: 100/s, for: 3s}
  - name: steady
    after: warmup
    flow: buy
    rate:
      - hold: {at: 50/s, for: 4s}
  - name: beside
    with: steady
    flow: buy
    rate:
      - hold: {at: 10/s, for: 2s}
  - name: fixed
    at: 1s
    flow: buy
    rate:
      - hold: {at: 20/s, for: 1s}
  - name: last
    after: steady
    flow: buy
    rate:
      - hold: {at: 10/s, for: 1s}
coordinator_loss: {grace: 2s}
`

// TestPhaseGraph: a phase starts after another has ended, together with one, or at its instant, and each has all its
// arrivals, also when a leader is followed by another in the middle.
func TestPhaseGraph(t *testing.T) {
	for _, takeOver := range []bool{false, true} {
		bubble(t, graph, func(r *rig) {
			r.fleet.join("a", 10)
			r.fleet.join("b", 11)
			r.create("r1", 0)
			if takeOver {
				r.load("r1", 4e9)
				r.succeed(2, 0)
			}
			rec, d := r.ended2("r1")
			if rec.State != run.Completed {
				t.Fatalf("%s: %+v", rec.State, rec.Stop)
			}
			at := map[string][2]float64{}
			for _, p := range d.Phases {
				at[p.Name] = [2]float64{p.FromS, p.ToS}
			}
			if at["warmup"][0] != 0 || at["fixed"][0] != 1 || at["steady"][0] < 3 || at["steady"][0] > 6 || at["beside"][0] != at["steady"][0] || at["last"][0] < at["steady"][0]+4 {
				t.Errorf("take-over %v: phases at %v", takeOver, at)
			}
			planned := map[string]int64{}
			for _, p := range d.Phases {
				planned[p.Name] = p.Load.Planned
			}
			for name, n := range map[string]int64{"warmup": 300, "steady": 200, "beside": 20, "fixed": 20, "last": 10} {
				if planned[name] != n {
					t.Errorf("take-over %v: phase %s has %d arrivals, want %d", takeOver, name, planned[name], n)
				}
			}
		})
	}
}
