package schedule

import (
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario"
)

// Executed returns the curve of an open phase that starts at the given plan time, as a timeline has it executed: with
// the factors in force, the probes of a search, and an end before its time.
func Executed(p *scenario.Phase, t run.Timeline, start time.Duration) *Curve {
	return NewCurve(p.Rate, nil).Executed(p, t, start)
}

// Executed returns the curve of the same phase as a timeline has it executed; it takes less time than a new one.
func (c *Curve) Executed(p *scenario.Phase, t run.Timeline, start time.Duration) *Curve {
	factors := Factors(t, start)
	if p.Searched {
		factors = probed(p, t, start, factors)
	}
	out := c.Under(factors)
	if end := t.PhaseLength(p.Name, start, p.Length); end < p.Length {
		out.end(end)
	}
	return out
}

// probed returns the factors of a phase that a search conducts: those of its probes times the scale of the run. The
// plan has the highest rate of the search; outside of the probes nothing is due.
func probed(p *scenario.Phase, t run.Timeline, start time.Duration, scales []Factor) []Factor {
	own := []Factor{{}}
	for _, c := range t.Probes(p.Name) {
		at := c.Plan - start
		for len(own) > 0 && own[len(own)-1].At >= at { // what was to end the probe before comes later
			own = own[:len(own)-1]
		}
		own = append(own, Factor{At: at, Value: c.Rate / p.Rate[0].From})
		if c.Rate > 0 {
			own = append(own, Factor{At: at + c.For})
		}
	}
	return product(own, scales)
}

// product multiplies two histories of factors, both in order. Before its first entry the second is 1.
func product(own, scales []Factor) []Factor {
	var out []Factor
	scale, value := 1.0, 0.0
	for len(own) > 0 || len(scales) > 0 {
		var at time.Duration
		if len(scales) > 0 && (len(own) == 0 || scales[0].At < own[0].At) {
			at, scale, scales = scales[0].At, scales[0].Value, scales[1:]
		} else {
			at, value, own = own[0].At, own[0].Value, own[1:]
		}
		out = append(out, Factor{At: at, Value: scale * value})
	}
	return out
}

// end cuts the curve at an instant of phase time.
func (c *Curve) end(at time.Duration) {
	for i := range c.pieces {
		p := &c.pieces[i]
		if p.to <= at {
			continue
		}
		if p.from >= at {
			c.pieces = c.pieces[:i]
			return
		}
		p.after, p.to = p.integral(at), at
	}
}
