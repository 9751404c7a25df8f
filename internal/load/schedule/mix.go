package schedule

import "proofload/internal/scenario"

// Mix chooses among a phase's flows by weight.
type Mix struct{ bounds []float64 }

// NewMix prepares the choice among mix, whose weights are positive.
func NewMix(mix []scenario.Weight) Mix {
	bounds := make([]float64, len(mix))
	total := 0.0
	for i, w := range mix {
		total += w.Weight
		bounds[i] = total
	}
	return Mix{bounds}
}

// Pick returns the index of the flow that u, uniform over [0, 1), falls on.
func (m Mix) Pick(u float64) int {
	last := len(m.bounds) - 1
	x := float64(u * m.bounds[last])
	for i, b := range m.bounds[:last] {
		if x < b {
			return i
		}
	}
	return last
}
