package supervisor

import (
	"math"
	"slices"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// debt is what a life of a worker that is over, or was given up, left in the worker's outbox: batches
// that whoever has the outbox now will deliver. A run that is stopping waits for them as it does for
// those of its crew.
type debt struct {
	through uint64 // the last batch; anyBatch while nobody has attached who could say
	since   int64  // when it was heard of
}

const anyBatch = math.MaxUint64

// orphans makes what lives that are over have left a debt until their worker attaches and tells. How long
// it was silent before this term only wall clocks could tell, so that does not count.
func (r *runner) orphans() {
	if r.facts.Clock == nil {
		return // nothing was ever fired
	}
	for _, m := range r.run.Owed {
		h := r.life(m)
		if h != nil && h.lost == nil && !h.gone {
			continue
		}
		since := r.m.opts.Clock()
		if h != nil && h.gone {
			since -= int64(max(0, r.patience()-reconnects)) // it has ended for certain: whoever has its outbox now has it at hand
		}
		r.debts[sourceOf(m)] = debt{through: anyBatch, since: since}
	}
}

// debit notes what a worker that attaches still has of its earlier lives, and of this one if it was
// given up; what the crew has, its finals tell.
func (r *runner) debit(w fleet.Worker, hello wire.Hello) {
	for _, m := range r.run.Owed {
		h := r.life(m)
		if m.Worker != w.Name || (h != nil && h.lost == nil && m.Incarnation == w.Incarnation) {
			continue
		}
		source := sourceOf(m)
		i := slices.IndexFunc(hello.Outbox, func(o wire.OutboxState) bool {
			return o.Run == r.id && o.Incarnation == m.Incarnation
		})
		switch {
		case i < 0:
			delete(r.debts, source)
		case hello.Outbox[i].NextSeq-1 != r.debts[source].through:
			r.debts[source] = debt{through: hello.Outbox[i].NextSeq - 1, since: r.m.opts.Clock()}
		}
	}
}

// indebted reports whether a batch may still come that no final tells of.
func (r *runner) indebted() bool {
	for source, d := range r.debts {
		if r.ledger.Want(source) <= d.through && !r.waited(source, d.since) {
			return true
		}
	}
	return false
}

// waited reports whether a run that is stopping has waited for a source for long enough: since a time,
// and since its last word. While nothing can be committed a worker may not deliver more than a window,
// and that is no silence.
func (r *runner) waited(s metric.Source, since int64) bool {
	if r.run.State != run.Stopping || r.outage {
		return false
	}
	word := max(since, r.heard[s], r.mended)
	return time.Duration(r.m.opts.Clock()-word) > r.patience()
}
