package report

import (
	"math"

	"proofload/internal/scenario/quantity"
)

// scale maps values to pixels from the top of the plot.
type scale struct {
	lo, hi float64
	log    bool
	unit   string
	step   float64 // between the ticks of a linear scale
}

// logFrom is the ratio of the largest to the smallest value from which a scale of durations is
// logarithmic.
const logFrom = 30

// A scale is kept within what anything that Proofload measures can reach, whatever a document says.
const (
	smallest = 1e-9
	largest  = 1e15
)

// scaleFor fits a scale to what curves show. Durations that differ widely get a logarithmic one;
// everything else begins at zero.
func scaleFor(columns []bucket, curves []curve, unit string) scale {
	lo, hi := math.Inf(1), 0.0
	for _, c := range curves {
		for i := range columns {
			if v := c.of(&columns[i]); v != nil {
				hi = max(hi, *v+c.base(&columns[i]))
				if *v > 0 {
					lo = min(lo, *v)
				}
			}
		}
	}
	if !(hi > smallest) {
		hi = 1
	}
	lo, hi = max(lo, smallest), min(hi, largest)
	if unit == "s" && hi/lo > logFrom && !math.IsInf(lo, 1) {
		return scale{lo: floor125(lo), hi: hi * 1.15, log: true, unit: unit}
	}
	step := ceil125(hi / 4)
	return scale{hi: step * math.Ceil(hi/step-1e-9), unit: unit, step: step}
}

// y is the place of v, held within the plot.
func (s scale) y(v float64) float64 {
	share := (v - s.lo) / (s.hi - s.lo)
	if s.log {
		share = math.Log(max(v, s.lo)/s.lo) / math.Log(s.hi/s.lo)
	}
	return plotHeight * (1 - min(max(share, 0), 1))
}

// ticks are the labelled values; zero is where the axis is and needs no label.
func (s scale) ticks() []tick {
	var ticks []tick
	add := func(v float64) {
		ticks = append(ticks, tick{At: decimal(plotTop + s.y(v)), Label: quantity.Value(v, s.unit)})
	}
	if !s.log {
		for i := 1; float64(i)*s.step <= s.hi*(1+1e-9); i++ {
			add(float64(i) * s.step)
		}
		return ticks
	}
	decades := math.Log10(s.hi / s.lo)
	for v := s.lo; v <= s.hi; v = next125(v) {
		if decades < 2 || isDecade(v) || v == s.lo {
			add(v)
		}
	}
	return ticks
}

// ceil125 returns the smallest 1, 2 or 5 times a power of ten that is not below v.
func ceil125(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*base >= v*(1-1e-9) {
			return m * base
		}
	}
	return 10 * base
}

// floor125 returns the largest that is not above v.
func floor125(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*base <= v*(1+1e-9) {
			return m * base
		}
	}
	return base
}

// next125 returns the one after v, which is one.
func next125(v float64) float64 { return ceil125(v * 1.5) }

func isDecade(v float64) bool {
	exponent := math.Log10(v)
	return math.Abs(exponent-math.Round(exponent)) < 1e-6
}
