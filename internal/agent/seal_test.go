package agent

import (
	"testing"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load"
	"proofload/internal/metric"
)

// machineOf is a machine with fixed measurements.
type machineOf []Measurement

func (machineOf) Load() load.HostLoad      { return load.HostLoad{} }
func (m machineOf) Measure() []Measurement { return m }

// TestMemoryOfALargeMachine: what a large machine measures is in the second, like that of a small one.
func TestMemoryOfALargeMachine(t *testing.T) {
	const used = 700 << 30
	w := &work{log: hclog.NewNullLogger(), agent: &Agent{opts: Options{Name: "w", Host: machineOf{
		{Name: "host_memory_used", Category: "system", Unit: "By", Value: used}, {Name: "host_cpu", Category: "system", Unit: "ratio", Value: 0.5},
	}}}}
	s := metric.NewSecond(0)
	w.machine(&s)
	for name, want := range map[string]float64{"host_memory_used": used, "host_cpu": 0.5} {
		if h := s.Select(name, nil); h.Count() != 1 || h.MaxValue() != want || s.Infos[name].Category != "system" {
			t.Errorf("%s: %d values, %v, want %v", name, h.Count(), h.MaxValue(), want)
		}
	}
}
