package supervisor

import (
	"maps"

	"proofload/internal/metric"
	"proofload/internal/wire"
)

// add counts the arrivals and the requests of a second or of a part of it; the arrivals for which there
// was no permit are left out, for whose they are is known when the second is whole. The lock is held, or
// nobody else has the view yet.
func (v *view) add(s metric.Second) {
	for key, a := range s.Arrivals {
		told := *a
		told.NotSent = maps.Clone(a.NotSent)
		delete(told.NotSent, metric.CauseNoPermit)
		v.count(key, told)
	}
	v.requests(s)
}

// restore adds what earlier terms counted, as it was read again.
func (v *view) restore(earlier *view) {
	v.mu.Lock()
	defer v.mu.Unlock()
	merge(&v.totals, earlier.totals)
	for name, c := range earlier.phases {
		if mine := v.phases[name]; mine != nil {
			merge(mine, *c)
		}
	}
	v.fresh = true
}

func merge(into *wire.Counts, c wire.Counts) {
	into.Planned += c.Planned
	into.Sent += c.Sent
	into.Succeeded += c.Succeeded
	into.Failed += c.Failed
	into.Requests += c.Requests
	into.Errors += c.Errors
	into.Unsent += c.Unsent
	for cause, n := range c.NotSent {
		into.NotSent[cause] += n
	}
}
