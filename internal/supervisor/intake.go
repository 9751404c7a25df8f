package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// errImplausible refuses a batch that no worker of this run can have sealed.
var errImplausible = errors.New("implausible samples")

// maxAhead is how far beyond the run clock a batch may lie. A worker's clock is known to milliseconds;
// the rest is room for a bad one. What lies further would have every second before it judged as
// missing, and held open.
const maxAhead = 5 * time.Second

// maxSeries bounds how many series one run may have, over all its seconds.
const maxSeries = 50_000

// closedMessage answers a batch of a run that is closed.
const closedMessage = "run is closed: a closed run is never amended"

// batch counts a batch once.
func (r *runner) batch(w fleet.Worker, b wire.Sealed) {
	source := metric.Source{Worker: w.Name, Incarnation: b.Incarnation}
	nack := wire.Nack{Run: r.id, Incarnation: b.Incarnation, Want: r.ledger.Want(source)}
	if r.closingBooks || r.final != nil || r.run.State.Final() {
		// It is too late for this term. That the run is closed is said once it is recorded; until then
		// another leader may still count it.
		if r.stored.State.Final() {
			nack.Reason, nack.Message = wire.NackClosed, closedMessage
			r.m.fleet.Nack(w.Name, nack)
		}
		return
	}
	decoded, err := r.decode(source, b)
	if err != nil {
		r.refuse(w, b, err)
		return
	}
	defer decoded.Release() // what it is merged into keeps nothing of it
	switch r.ledger.Offer(source, b.Seq) {
	case metric.Gap:
		nack.Reason, nack.Message = wire.NackGap, "a batch before it is missing"
		r.m.fleet.Nack(w.Name, nack)
	case metric.Duplicate:
		if through := r.ledger.Committed(source); b.Seq <= through {
			r.m.fleet.Ack(w.Name, []wire.Mark{{Run: r.id, Incarnation: b.Incarnation, Through: through}})
		}
	case metric.Accept:
		r.excuse(&decoded)
		r.delivered(source, time.Duration(decoded.Second.Index)*time.Second)
		if decoded.To > decoded.From {
			r.covered, r.reached[source] = max(r.covered, decoded.To), max(r.reached[source], decoded.To)
		}
		for key := range decoded.Second.Series {
			r.series[key] = struct{}{}
		}
		r.view.batch(decoded)
		r.segment.Add(decoded, r.judge.TellsWorkers)
		if r.early != nil {
			r.early.segment.Add(decoded, r.judge.TellsWorkers)
		}
	}
}

// refuse answers a batch that is not taken, and says so once for each.
func (r *runner) refuse(w fleet.Worker, b wire.Sealed, err error) {
	source := metric.Source{Worker: w.Name, Incarnation: b.Incarnation}
	if r.refused[source] != b.Seq {
		r.refused[source] = b.Seq
		r.log.Warn("batch refused", "worker_id", w.Name, "seq", b.Seq, "error", err)
		r.view.event(r, "worker", fmt.Sprintf("batch %d of %s refused: %v", b.Seq, w.Name, err))
	}
	r.m.fleet.Nack(w.Name, wire.Nack{
		Run: r.id, Incarnation: b.Incarnation, Want: b.Seq, Reason: wire.NackCorrupt, Message: err.Error(),
	})
}

// decode reads a batch and checks that it is what its envelope says and can be true.
func (r *runner) decode(source metric.Source, b wire.Sealed) (metric.Batch, error) {
	if !r.owed(source) {
		return metric.Batch{}, fmt.Errorf("%w: worker %s, incarnation %d, was never given a part of this run", errImplausible, source.Worker, source.Incarnation)
	}
	decoded, err := metric.DecodeBatch(b.Data)
	if err != nil {
		return metric.Batch{}, err
	}
	if decoded.Run != r.id || decoded.Source != source || decoded.Seq != b.Seq {
		return metric.Batch{}, fmt.Errorf("%w: it is batch %d of %s in run %s", metric.ErrCorrupt, decoded.Seq, decoded.Source.Worker, decoded.Run)
	}
	if err := plausible(decoded, r.horizon()); err != nil {
		return metric.Batch{}, err
	}
	fresh := 0
	for key := range decoded.Second.Series {
		if _, known := r.series[key]; !known {
			fresh++
		}
	}
	if len(r.series)+fresh > maxSeries {
		return metric.Batch{}, fmt.Errorf("%w: the run would have more than %d series", errImplausible, maxSeries)
	}
	return decoded, nil
}

// owed reports whether a life of a worker was ever given shards of this run.
func (r *runner) owed(source metric.Source) bool {
	if _, owner := r.owned.of(r.run.Shards)[run.Member(source)]; owner {
		return true
	}
	return slices.ContainsFunc(r.run.Owed, func(m run.Member) bool { return sourceOf(m) == source })
}

// horizon is the run time that no batch can have reached yet. While nobody has told the run time of this term,
// workers may have gone on for a lease without a leader, and for as long as this term has lasted. A wall clock can
// only put it further off: it knows of the time for which an earlier leader could commit nothing.
func (r *runner) horizon() time.Duration {
	now := r.now()
	if c := r.facts.Clock; r.t0 == nil && c != nil {
		alone := r.plan.Grace + 2*r.m.opts.CommitEvery + time.Duration(r.m.opts.Clock()-r.m.began)
		now = c.Run + max(alone, r.m.opts.Wall().Sub(c.Wall))
	}
	return now + maxAhead
}

// plausible checks a batch against the end of what can have happened.
func plausible(b metric.Batch, horizon time.Duration) error {
	last := int64(horizon / time.Second)
	switch s := b.Second; {
	case s.Index < 0 || s.Index > last:
		return fmt.Errorf("%w: second %d is not among those that have been, 0 to %d", errImplausible, s.Index, last)
	case b.From < 0 || b.To < b.From || b.To > horizon+time.Second:
		return fmt.Errorf("%w: it covers %v to %v, at a run time before %v", errImplausible, b.From, b.To, horizon)
	case s.Paused < 0 || s.Paused > time.Second:
		return fmt.Errorf("%w: %v of one second are paused", errImplausible, s.Paused)
	}
	return nil
}

func sourceOf(m run.Member) metric.Source {
	return metric.Source{Worker: m.Worker, Incarnation: m.Incarnation}
}
