package supervisor

import (
	"testing"

	"proofload/internal/run"
)

// TestWorkersAreToldApart: criteria by worker, or of one worker, have its requests, under whatever name these are counted.
func TestWorkersAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		check, by string
		rows      map[string]float64 // observed, by worker
	}{
		{"count(requests) > 0", "by: [worker]", map[string]float64{"a": 500, "b": 500}},
		{`count(requests{worker="b"}) == 500`, "severity: critical", map[string]float64{"": 500}},
		{`error_ratio(requests{worker="a"}) < 1%`, "severity: critical", map[string]float64{"": 0}},
		{`count(requests{outcome="ok"}) / count(requests{worker="a"}) == 2`, "severity: critical", map[string]float64{"": 2}},
		{`max(in_flight) < 1000`, "severity: critical", map[string]float64{"": 0}},
	} {
		t.Run(tt.check, func(t *testing.T) {
			bubble(t, shop+"criteria:\n  - check: "+tt.check+"\n    "+tt.by+"\n", func(r *rig) {
				r.fleet.join("a", 10)
				r.fleet.join("b", 11)
				r.create("r1", 0)
				rec, d := r.ended2("r1")
				got := map[string]float64{}
				for _, c := range d.Criteria {
					if c.Observed != nil {
						got[c.Labels["worker"]] = *c.Observed
					}
				}
				if len(got) != len(tt.rows) || len(d.Criteria) != len(tt.rows) || rec.Verdict.Result != run.Pass {
					t.Fatalf("%s, criteria %+v", rec.Verdict.Result, d.Criteria)
				}
				for worker, want := range tt.rows {
					if got[worker] != want {
						t.Errorf("%q: %v, want %v", worker, got[worker], want)
					}
				}
			})
		})
	}
}
