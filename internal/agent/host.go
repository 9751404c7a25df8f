package agent

import (
	"proofload/internal/load"
	"proofload/internal/metric"
	"proofload/internal/metric/hist"
)

// Measurement is one number about this machine.
type Measurement struct {
	Name     string // of the metric
	Category string // system or agent
	Unit     string
	Value    float64
}

// Host measures the machine. Its methods are called once per second, from one goroutine each.
type Host interface {
	load.Host
	// Measure returns the machine's measurements since the previous call.
	Measure() []Measurement
}

// measured makes a series value of one measurement.
func measured(v float64) (metric.Value, error) {
	h := hist.New()
	if err := h.RecordValue(v); err != nil {
		return metric.Value{}, err
	}
	return metric.Value{Hist: h}, nil
}
