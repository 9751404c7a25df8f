//go:build soak && linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/wire"
)

// lightLoad is what one second of a light worker holds: its requests are drawn, not sent. Every worker seals
// the same few patterns in turn, so that making them costs the machine nothing while something is measured.
type lightLoad struct {
	patterns []metric.Second
	totals   wire.Totals // of one second; all patterns have the same
}

// The share of series that are no requests: two of the schedule, and four of the machine.
const (
	scheduleSeries = 2
	machineSeries  = 4
)

// newLightLoad draws seconds with so many series and requests.
func newLightLoad(series, requests int) *lightLoad {
	steps := (series - scheduleSeries - machineSeries) / 2
	each := requests / steps
	l := &lightLoad{totals: wire.Totals{Planned: int64(each), Sent: int64(each), Succeeded: int64(each), Requests: int64(each * steps)}}
	rnd := rand.New(rand.NewPCG(7, uint64(series)))
	for range 16 {
		s := metric.NewSecond(0)
		s.Health = metric.HealthValid
		s.Arrivals[metric.ArrivalKey{Phase: "hold", Flow: "f"}] = &metric.Arrivals{
			Planned: l.totals.Planned, Sent: l.totals.Sent, Succeeded: l.totals.Succeeded, InFlight: 3,
		}
		s.Peaks = map[string]int64{"hold": 5}
		draw := func(name string, labels metric.Labels, n int, median time.Duration) {
			h := hist.New()
			for range n { // a body of answers with a tail of slow ones
				h.Record(time.Duration(float64(median) * (0.5 + rnd.ExpFloat64())))
			}
			s.Add(metric.Key{Metric: name, Labels: labels}, metric.Value{Hist: h})
		}
		for i := range steps {
			labels := metric.NewLabels("phase", "hold", "flow", "f", "step", fmt.Sprintf("step-%d", i+1), "outcome", "ok", "status", "200")
			draw(metric.ResponseTime, labels, each, 20*time.Millisecond)
			draw(metric.ServiceTime, labels, each, 19*time.Millisecond)
		}
		draw(metric.ScheduleLag, metric.NewLabels("phase", "hold"), each, 50*time.Microsecond)
		draw(metric.ArrivalGap, metric.NewLabels("phase", "hold"), each, time.Second)
		l.patterns = append(l.patterns, s)
	}
	return l
}

// second is what a worker has to tell of one second.
func (l *lightLoad) second(worker string, index int64) metric.Second {
	s := l.patterns[rand.IntN(len(l.patterns))]
	s.Index = index
	series := make(map[metric.Key]metric.Value, len(s.Series)+machineSeries)
	for key, value := range s.Series {
		series[key] = value
	}
	s.Series, s.Infos = series, map[string]metric.Info{}
	for i := range machineSeries {
		name, h := fmt.Sprintf("machine_%d", i+1), hist.New()
		if h.RecordValue(rand.Float64()) == nil {
			s.Series[metric.Key{Metric: name, Labels: metric.NewLabels("worker", worker)}] = metric.Value{Hist: h}
		}
		s.Infos[name] = metric.Info{Category: "system", Unit: "1"}
	}
	return s
}
