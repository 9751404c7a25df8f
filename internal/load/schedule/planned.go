package schedule

import (
	"math"
	"sort"

	"proofload/internal/scenario"
)

// Rows returns how many rows of data the arrivals of an open phase need, one for each Index up to the
// largest.
func Rows(seed uint64, phase *scenario.Phase) int64 {
	if phase.Arrivals != Poisson {
		return phase.PlannedArrivals()
	}
	most := int64(-1)
	newPoisson(seed, phase.Name).each(NewCurve(phase.Rate, nil).Total(), func(l level) {
		most = max(most, Arrival{Shard: l.shard, K: l.k}.Index())
	})
	return most + 1
}

// Planned returns how many arrivals an open phase has in each of its shapes, in their order, when nothing
// changes the plan: of poisson those that the seed draws. It takes some 20 ns for each of those.
func Planned(seed uint64, phase *scenario.Phase) []int64 {
	var ends []float64 // where the integral stands at the ends of the shapes
	scenario.EachShape(phase.Shapes, phase.Rate, func(_ scenario.Shape, of []scenario.Segment) {
		end := 0.0
		if len(ends) > 0 {
			end = ends[len(ends)-1]
		}
		if len(of) > 0 {
			end = of[len(of)-1].Through
		}
		ends = append(ends, end)
	})
	counts := make([]int64, len(ends))
	if len(ends) == 0 {
		return counts
	}
	if phase.Arrivals == Poisson {
		newPoisson(seed, phase.Name).each(ends[len(ends)-1], func(l level) {
			counts[sort.Search(len(ends)-1, func(i int) bool { return ends[i] > l.x })]++
		})
		return counts
	}
	before := int64(0)
	for i, end := range ends {
		through := int64(math.Ceil(end))
		counts[i], before = through-before, through
	}
	return counts
}

// Counts returns Planned for the phases of a plan, but nothing for a poisson phase of more than so many
// arrivals, which takes too long to draw.
func Counts(plan *scenario.Plan, most int64) func(*scenario.Phase) []int64 {
	return func(p *scenario.Phase) []int64 {
		if p.Arrivals == Poisson && p.PlannedArrivals() > most {
			return nil
		}
		return Planned(plan.Seed, p)
	}
}
