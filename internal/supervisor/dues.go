package supervisor

import (
	"maps"
	"slices"

	"proofload/internal/result/report"
)

// dues counts arrivals by the run-time second in which they were due.
type dues map[int64]int64

func (d dues) add(o dues) {
	for second, n := range o {
		d[second] += n
	}
}

func (d dues) total() int64 {
	var n int64
	for _, here := range d {
		n += here
	}
	return n
}

// only returns n of the arrivals: those that were due first, and should there be more than were due, the
// rest in the last of the seconds; end is that when there is none.
func (d dues) only(n, end int64) dues {
	out := dues{}
	for _, second := range slices.Sorted(maps.Keys(d)) {
		end = second
		if here := min(d[second], n); here > 0 {
			out[second] = here
			n -= here
		}
	}
	if n > 0 {
		out[end] += n
	}
	return out
}

// missingOf is the arrivals of one phase that are in no batch.
func missingOf(unknown, lost dues) report.Missing {
	m := report.Missing{Absent: report.Absent{Unknown: unknown.total(), WorkerLost: lost.total()}, Seconds: map[int64]report.Absent{}}
	for second, n := range unknown {
		m.Seconds[second] = report.Absent{Unknown: n}
	}
	for second, n := range lost {
		here := m.Seconds[second]
		here.WorkerLost += n
		m.Seconds[second] = here
	}
	return m
}
