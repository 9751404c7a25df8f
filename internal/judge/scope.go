package judge

import (
	"maps"
	"slices"
	"strings"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// scope is the part of the plan that a criterion, or a row of it, looks at: rows of arrivals, and
// with them phases.
type scope struct {
	rows   map[metric.ArrivalKey]int64 // how many requests an arrival stands for here
	places map[place]bool
	phases []string
	warmup bool // warm-up phases were asked for by name
}

// place is one spot in the plan. Step is empty for a flow whose steps do not matter.
type place struct{ phase, flow, step string }

func (p place) get(label string) string {
	switch label {
	case "phase":
		return p.phase
	case "flow":
		return p.flow
	}
	return p.step
}

// places returns the spots of the plan in the phases that during names; without any, in all that are
// not warm-up.
func places(plan *scenario.Plan, during []string) []place {
	var out []place
	for _, p := range plan.Phases {
		if len(during) > 0 && !slices.Contains(during, p.Name) || len(during) == 0 && p.Warmup {
			continue
		}
		for _, w := range p.Mix {
			for _, s := range plan.Flows[w.Flow].Steps {
				if s.Name != "" {
					out = append(out, place{p.Name, w.Flow, s.Name})
				}
			}
			if len(plan.Flows[w.Flow].Steps) == 0 {
				out = append(out, place{phase: p.Name, flow: w.Flow})
			}
		}
	}
	return out
}

// within keeps the spots at which the matchers of place labels hold.
func within(spots []place, ms []matcher) []place {
	return slices.DeleteFunc(sampled(spots, ms), func(p place) bool {
		for _, m := range ms {
			if slices.Contains(placeLabels, m.label) && !m.match(p.get(m.label)) {
				return true
			}
		}
		return false
	})
}

// sampled returns the spots; where a matcher names the samples that a step's program prints, as in step="client.login",
// the spot of the step is theirs: samples are wherever it is, and are not what is awaited while it runs.
func sampled(spots []place, ms []matcher) []place {
	out := slices.Clone(spots)
	for _, m := range ms {
		step, _, ok := strings.Cut(m.value, ".")
		if m.label != "step" || m.op != "=" || !ok {
			continue
		}
		for i := range out {
			if out[i].step == step {
				out[i].step = m.value
			}
		}
	}
	return out
}

// at keeps the spots that carry the place labels of a row.
func at(spots []place, l metric.Labels) []place {
	return slices.DeleteFunc(slices.Clone(spots), func(p place) bool {
		for name, value := range l.All() {
			if slices.Contains(placeLabels, name) && p.get(name) != value {
				return true
			}
		}
		return false
	})
}

func newScope(spots []place, named bool) scope {
	s := scope{rows: map[metric.ArrivalKey]int64{}, places: map[place]bool{}, warmup: named}
	phases := map[string]bool{}
	for _, p := range spots {
		s.rows[metric.ArrivalKey{Phase: p.phase, Flow: p.flow}]++
		s.places[p] = true
		phases[p.phase] = true
	}
	s.phases = slices.Sorted(maps.Keys(phases))
	return s
}

// holds tells whether a series belongs to the scope. One without a phase does while active is true.
func (p scope) holds(l metric.Labels, active bool) bool {
	phase := l.Get("phase")
	if phase == "" {
		return active && (p.warmup || l.Get("warmup") == "")
	}
	_, ok := slices.BinarySearch(p.phases, phase)
	return ok
}
