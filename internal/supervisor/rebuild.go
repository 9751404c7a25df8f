package supervisor

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// rebuilding is what stands still while a new term reads what earlier ones have committed: the live
// judgement, which goes by all seconds in order. Commits do not wait for it, nor does the load.
type rebuilding struct {
	committed []*metric.Segment // in this term
	arrived   []*metric.Segment // for the early judgement
	read      *rebuilt          // what the reading has brought; nil: it goes on
	stopgap   *early            // what aborts meanwhile; nil: nothing yet
}

// rebuilt is what the reading has brought.
type rebuilt struct {
	judge  *judge.Judge
	early  *judge.Judge // nil: no criterion aborts
	rest   *metric.Segment
	counts *view            // the live counts of all that was read
	probe  []*metric.Second // of the probe of a search that was under way
	err    error            // some of it cannot be read any more
}

// rebuild reads what is committed, in the background, so that it is judged as if there had been one
// leader only.
func (r *runner) rebuild() {
	head := r.committer.Head()
	r.rebuilding = &rebuilding{}
	ctx, history, stopped := r.ctx, r.run.History, r.stoppedAt()
	r.m.group.Go(func() error {
		b := r.reread(ctx, head, history, stopped)
		for ; transient(b.err) && ctx.Err() == nil; b = r.reread(ctx, head, history, stopped) {
			r.log.Warn("what is committed not read, trying again; nothing is judged meanwhile", "error", b.err)
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
		}
		r.mail.post(func() {
			r.rebuilding.read = &b
			r.view.restore(b.counts) // what was counted does not depend on who is away
		})
		return nil
	})
}

// transient reports whether reading once more may help.
func transient(err error) bool {
	return err != nil && !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrCorrupt) && !errors.Is(err, metric.ErrCorrupt)
}

func (r *runner) reread(ctx context.Context, head result.Head, history run.History, stopped time.Duration) rebuilt {
	through := head.Facts.JudgedThrough
	b := rebuilt{judge: judge.New(r.plan), rest: metric.NewSegment(r.id), counts: newView(r.plan, head)}
	b.judge.SetSchedule(history, stopped)
	if e := newEarly(r.plan, r.id, 0); e != nil {
		b.early = e.judge
		b.early.SetSchedule(history, stopped)
	}
	charging := charging(r.plan)
	probe, searching := head.Run.OpenProbe()
	earlier := func(yield func(result.Segment, error) bool) {
		for s, err := range r.m.opts.Repository.SegmentsByStart(ctx, r.id) {
			if (err != nil || s.Number < head.Next) && !yield(s, err) {
				return
			}
		}
	}
	b.err = inTurn(iter.Seq2[result.Segment, error](earlier), func(s *metric.Second) error {
		b.counts.add(*s)
		if searching && time.Duration(s.Index+1)*time.Second > probe.At {
			mine := s.Clone() // before it is charged: more of it may come
			b.probe = append(b.probe, &mine)
		}
		if s.Index > through {
			b.rest.Seconds[s.Index] = s
			return nil
		}
		s.Charge(charging)
		b.judge.Observe(*s)
		if b.early != nil {
			b.early.Observe(*s)
		}
		b.counts.whole(*s)
		return nil
	})
	return b
}

// checkRebuilt goes on judging once everything is read, and everybody who may still have samples of the time
// without a leader has delivered them: until then seconds would be judged without his part.
func (r *runner) checkRebuilt() {
	if r.rebuilding != nil && r.rebuilding.read != nil && !r.incomplete() {
		r.takeRebuilt(*r.rebuilding.read)
	}
}

// incomplete reports whether a worker that may still live has not delivered yet what it kept for this term.
func (r *runner) incomplete() bool {
	if time.Duration(r.m.opts.Clock()-r.launched) > 2*r.patience() {
		return false
	}
	return slices.ContainsFunc(r.executing(), func(h *hand) bool {
		return !h.gone && (!h.here || r.ledger.Want(sourceOf(h.member)) <= h.backlog)
	})
}

// stopgapAfter is how long after a take-over nothing aborts at most.
const stopgapAfter = 5 * time.Second

// judgeMeanwhile judges for the sake of aborts what has arrived since a take-over that takes its time: from
// scratch, and only by what a part of the samples can breach for all.
func (r *runner) judgeMeanwhile(fresh *metric.Segment) {
	b := r.rebuilding
	if time.Duration(r.m.opts.Clock()-r.launched) < stopgapAfter {
		return
	}
	if b.stopgap == nil {
		own := judge.Partial(r.plan)
		if own == nil {
			return
		}
		from, _ := fresh.Span()
		b.stopgap = newEarly(own, r.id, from)
	}
	mine := metric.NewSegment(r.id)
	mine.Merge(fresh)
	r.judgeBy(b.stopgap, mine)
}

// takeRebuilt goes on judging, with what was committed meanwhile.
func (r *runner) takeRebuilt(b rebuilt) {
	waited := r.rebuilding
	r.rebuilding = nil
	if b.err != nil {
		r.log.Error("committed samples not read, the live judgement is without them", "error", b.err)
	}
	r.judge = b.judge
	for _, s := range b.probe {
		r.capacity.keep(s)
	}
	maps.Copy(b.rest.Parts, r.inherited)
	// All at once: what one worker delivered late belongs to the seconds that others delivered before.
	if r.early != nil && b.early != nil {
		r.early.judge = b.early
		all := metric.NewSegment(r.id)
		all.Merge(b.rest)
		for _, s := range waited.arrived {
			all.Merge(s)
		}
		r.judgeEarly(all)
	}
	for _, s := range waited.committed {
		b.rest.Merge(s)
	}
	r.judgeCommitted(b.rest)
}

// judgeCommitted judges the seconds that a committed segment makes whole.
func (r *runner) judgeCommitted(s *metric.Segment) {
	if r.rebuilding != nil {
		r.rebuilding.committed = append(r.rebuilding.committed, s)
		return
	}
	for _, second := range r.closer.Commit(s, r.owners()) {
		r.observe(second)
	}
}
