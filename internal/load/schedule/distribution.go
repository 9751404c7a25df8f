package schedule

import (
	"math"
	"math/rand/v2"
	"time"

	"proofload/internal/scenario"
)

// longest bounds a drawn duration, so that a far tail cannot stall a run for ever.
const longest = 24 * time.Hour

// Duration draws from a distribution. The same draw gives the same duration.
func (d Draw) Duration(dist scenario.Distribution) time.Duration {
	switch dist.Kind {
	case "uniform":
		return dist.Min + time.Duration(d.Float64(0)*float64(dist.Max-dist.Min))
	case "exponential":
		return bounded(d.Exponential(0) * float64(dist.Mean))
	case "normal":
		return bounded(float64(dist.Mean) + d.normal()*float64(dist.Stddev))
	case "lognormal":
		return bounded(float64(dist.Median) * math.Exp(dist.Sigma*d.normal()))
	}
	return dist.Value
}

// normal returns a number of the standard normal distribution.
func (d Draw) normal() float64 { return rand.New(d.Source()).NormFloat64() }

func bounded(ns float64) time.Duration {
	return time.Duration(min(max(ns, 0), float64(longest)))
}
