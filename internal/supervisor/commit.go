package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// job is one commit: it is repeated unchanged until it is decided.
type job struct {
	update  result.Update
	final   *finalResult // not nil: the commit that closes the run
	segment *metric.Segment
	marks   map[metric.Source]uint64
	waiting []waiter
	summed  bool // the aggregate holds the segment
}

type outcome struct {
	job *job
	err error
}

// pump begins a commit when something is due and none is under way.
func (r *runner) pump(ctx context.Context) {
	if r.committing || r.over {
		return
	}
	now := r.m.opts.Clock()
	if r.job != nil {
		if now >= r.retryAt {
			r.begin(ctx, r.job)
		}
		return
	}
	if r.run.State.Final() && r.final == nil {
		return // the record of the end goes out together with the reports
	}
	due := !r.segment.Empty() && (now-r.lastCommit >= int64(r.m.opts.CommitEvery) || r.closing())
	if !r.dirty && !due && r.final == nil {
		if work := r.upkeep(now); work != nil {
			r.background(nil, func() error { return work(ctx) })
		}
		return
	}
	j := &job{}
	if j.final, r.final = r.final, nil; j.final == nil && !r.segment.Empty() {
		j.segment, j.marks = r.segment, r.ledger.Seal()
		from, to := j.segment.Span()
		j.update.Segment = &result.Sealed{
			Data: metric.EncodeSegment(j.segment), Marks: result.MarksOf(j.marks), From: from, To: to,
		}
		r.segment = metric.NewSegment(r.id)
	}
	if r.t0 != nil {
		r.facts.Clock = &result.Clock{Run: r.now(), Wall: r.m.opts.Wall().UTC().Round(0)}
	}
	if r.run.State == run.Idle {
		r.facts.Waited = time.Duration(now - r.accepted)
	}
	r.facts.JudgedThrough, r.facts.Duplicates = r.lastWhole, r.duplicates+r.ledger.Duplicates()
	r.facts.Crew, r.facts.Losses = r.lives(), lossRecords(r.losses)
	j.update.Run, j.update.Facts = r.run, r.facts
	j.waiting, r.waiting, r.dirty = r.waiting, nil, false
	r.begin(ctx, j)
}

// closing reports whether samples are committed as they come, because the run is being closed.
func (r *runner) closing() bool { return r.run.State == run.Stopping || r.run.State.Final() }

// begin starts the commit in the background.
func (r *runner) begin(ctx context.Context, j *job) {
	r.job, r.lastCommit = j, r.m.opts.Clock()
	r.background(j, func() error { return r.commit(ctx, j) })
}

// background has the committer used, by one at a time; j is nil for upkeep.
func (r *runner) background(j *job, work func() error) {
	r.committing = true
	r.m.group.Go(func() error {
		r.commits <- outcome{j, work()}
		return nil
	})
}

// commit runs in the background; it is the only user of the committer while it runs.
func (r *runner) commit(ctx context.Context, j *job) error {
	if j.final != nil {
		return r.close(ctx, j)
	}
	if err := r.committer.Commit(ctx, j.update); err != nil {
		return err
	}
	if j.segment != nil && !j.summed {
		r.sum.AddSegment(j.segment)
		j.summed = true
	}
	return nil
}

// committed takes the outcome of a commit.
func (r *runner) committed(o outcome) error {
	r.committing = false
	if o.job == nil {
		return r.kept(o.err)
	}
	if o.err != nil {
		if fenced(o.err) {
			return o.err
		}
		if errors.Is(o.err, result.ErrTooLarge) {
			r.tooLarge(o.job)
		}
		r.retryAt = r.m.opts.Clock() + int64(retryAfter)
		r.view.provisional(r.m.opts.Wall())
		if !r.outage { // once: what it is does not change with every try
			r.log.Error("nothing can be committed, trying again; nothing is lost, and nothing is acknowledged meanwhile", "retry_in", retryAfter, "error", o.err)
			r.view.event(r, "store", "nothing can be committed: "+o.err.Error())
		}
		r.outage = true
		return nil
	}
	if r.outage {
		r.log.Info("commits succeed again")
		r.view.event(r, "store", "commits succeed again")
		r.mended = r.m.opts.Clock()
	}
	r.job, r.outage = nil, false
	r.record(o.job.update.Run)
	r.view.provisional(time.Time{})
	r.view.wrote(time.Duration(r.m.opts.Clock() - r.lastCommit)) // the try that succeeded
	if o.job.final != nil {
		r.publish()
	}
	if o.job.segment != nil {
		r.acknowledge(o.job)
	}
	for _, w := range o.job.waiting {
		for _, e := range w.effects {
			r.effect(e)
		}
		if w.answer != nil {
			w.answer(o.job.update.Run, nil)
		}
	}
	return nil
}

// keptAnswers is how many answers to commands a record that was too large keeps.
const keptAnswers = 100

// tooLarge ends a run whose record the store will never take, and leaves out of the record what the end
// of the run does not need, so that the end can be written.
func (r *runner) tooLarge(j *job) {
	if !r.run.State.Final() {
		r.expect(run.Event{Kind: run.ErrorOccurred, Reason: "the record of the run is larger than the store takes", ExitCode: run.ExitInternal})
	}
	r.run.Setup.Saved, r.facts.Breaches, r.facts.Events, r.lean = "", nil, nil, true
	if r.closing() {
		r.run.Shards.Owners = nil // nobody fires any more, and what was lost stands in the losses
	}
	r.run.Applied = r.run.Applied[max(0, len(r.run.Applied)-keptAnswers):]
	j.update.Run, j.update.Facts = r.run, r.facts
}

// record takes the record as it is committed now, and tells of the states that it has entered since.
func (r *runner) record(rec run.Run) {
	for _, t := range rec.Transitions[len(r.stored.Transitions):] {
		r.view.event(r, "state", fmt.Sprintf("%s: %s", t.To, t.Reason))
	}
	r.stored = rec
}

// acknowledge tells the workers what is durable, and publishes the seconds that are whole now.
func (r *runner) acknowledge(j *job) {
	byWorker := map[string][]wire.Mark{}
	for source, seq := range r.ledger.Commit(j.marks) {
		byWorker[source.Worker] = append(byWorker[source.Worker], wire.Mark{Run: r.id, Incarnation: source.Incarnation, Through: seq})
	}
	for worker, marks := range byWorker {
		r.m.fleet.Ack(worker, marks)
	}
	r.view.marks(r.ledger.Sources())
	r.searchCommitted(j.segment)
	r.judgeCommitted(j.segment)
}

// owners are the sources that own shards now.
func (r *runner) owners() []metric.Source {
	out := make([]metric.Source, 0, len(r.run.Shards.Owners))
	for _, o := range r.run.Shards.Owners {
		source := metric.Source{Worker: o.Worker, Incarnation: o.Incarnation}
		if h := r.life(o.Member); h != nil && h.final != nil && r.ledger.Committed(source) >= h.final.LastSeq {
			continue // there is nothing more to come
		}
		out = append(out, source)
	}
	return out
}

// observe judges a second that is whole.
func (r *runner) observe(s metric.Second) {
	r.lastWhole = s.Index
	s.Charge(charging(r.plan))
	r.judge.SetSchedule(r.run.History, r.stoppedAt())
	r.judge.Observe(s)
	r.view.whole(s)
	if r.capacity == nil || !r.searching() { // else what stands is told of each probe
		r.view.judged(progressOf(r.judge.Standing()))
	}
	for _, b := range r.judge.Breaches() {
		r.breached(b)
	}
}

// stoppedAt is the run time at which the load was told to stop; 0: not yet.
func (r *runner) stoppedAt() time.Duration {
	if r.run.Stop == nil || r.run.Stop.Kind == run.StopCompleted {
		return 0
	}
	return r.run.Stop.At
}
