package supervisor

import (
	"slices"
	"time"

	"proofload/internal/metric"
)

// excuse takes back what a worker says of a second in which it had no lease, if all that it owned was others'
// by then. A worker that is cut off cannot know that, and calls every second INVALID until it hears of it; they
// were whole without it.
func (r *runner) excuse(b *metric.Batch) {
	i := slices.Index(b.Second.Causes, string(metric.CauseNoLease))
	if i < 0 {
		return
	}
	from := time.Duration(b.Second.Index) * time.Second
	if !slices.ContainsFunc(r.losses, func(l loss) bool {
		return sourceOf(l.member) == b.Source && l.until > 0 && l.until <= from
	}) {
		return
	}
	b.Second.Causes = slices.Delete(b.Second.Causes, i, i+1)
	if len(b.Second.Causes) == 0 {
		b.Second.Health = metric.HealthValid // else another cause may have made it what it is
	}
}
