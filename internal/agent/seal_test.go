package agent

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load"
	"proofload/internal/metric"
	"proofload/internal/wire"
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

// TestBurstIsNotMeasured: of the seconds that a worker seals in a burst, because it slept, only the newest has
// measurements of the machine: those of the others would be of microseconds.
func TestBurstIsNotMeasured(t *testing.T) {
	now := int64(time.Hour)
	a := newAgent(t, &now)
	a.opts.Host = machineOf{{Name: "host_cpu", Category: "system", Unit: "ratio", Value: 0.5}}
	w := newWork(t.Context(), a, wire.Assignment{Run: "r", Revision: 1, PlanDigest: "unknown"})
	defer w.close()
	w.clock.tie(now)
	engine := newEngine(t, w)
	var measured []int64
	second, before := int64(0), uint64(0)
	seal := func(at time.Duration) {
		now = int64(time.Hour + at)
		for ; w.clock.Now() >= time.Duration(second+1)*time.Second+sealLag; second++ {
			var err error
			if before, err = w.batch(context.Background(), engine, second, before); err != nil {
				t.Fatal(err)
			}
		}
	}
	seal(time.Second + 35*time.Millisecond)
	seal(2*time.Second + 40*time.Millisecond)
	seal(22*time.Second + 500*time.Millisecond) // it slept
	seal(23*time.Second + 31*time.Millisecond)
	for _, sealed := range a.outbox.Unacked("r", 0, 1, 100) {
		b, err := metric.DecodeBatch(sealed.Data)
		if err != nil {
			t.Fatal(err)
		}
		if b.Second.Select("host_cpu", nil).Count() > 0 {
			measured = append(measured, b.Second.Index)
		}
	}
	if want := []int64{0, 1, 21, 22}; !slices.Equal(measured, want) || second != 23 {
		t.Errorf("%d seconds, measured %v, want 23 and %v", second, measured, want)
	}
}
