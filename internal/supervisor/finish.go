package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"runtime"
	"slices"
	"time"

	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// finalResult is what the commit that closes a run writes besides the record.
type finalResult struct {
	reports map[string][]byte
}

// books is what closing a run found out: the final judgement, and all that the report is made of.
type books struct {
	stop    run.Stop // what was judged
	outcome judge.Outcome
	fold    *report.Fold
	missing map[string]report.Missing
	probes  []*judge.Proof // of the probes of the search, judged again; nil for one that was cut short
	err     error
}

// finalise closes the books: when everything that was delivered is committed, all of it is read
// again and judged from scratch, the record is stepped to its end, and the reports are made.
func (r *runner) finalise() {
	if r.closingBooks {
		return
	}
	if !r.segment.Empty() || r.committing || r.job != nil {
		// What has arrived goes first; the next commit asks again.
		r.waiting = append(r.waiting, waiter{effects: []run.Effect{{Kind: run.Finalise}}})
		r.dirty = true
		return
	}
	r.closingBooks = true
	if n := r.closer.Amendments(); n > 0 {
		r.view.event(r, "amendment", fmt.Sprintf("%d parts of seconds came after these were judged; the final judgement holds them", n))
	}
	in, a, ctx, stopped := r.judgeInput(), r.account(), r.ctx, r.stoppedAt()
	r.m.group.Go(func() error {
		b := r.readBooks(ctx, in, a, stopped)
		r.mail.post(func() { r.closed(b) })
		return nil
	})
}

// readBooks reads every committed segment and judges all of it, so that what came after its second
// was judged counts too. It runs in the background.
func (r *runner) readBooks(ctx context.Context, in judge.Input, a account, stopped time.Duration) books {
	b := books{stop: *in.Stop, fold: report.NewFold()}
	j := judge.New(r.plan)
	j.SetSchedule(a.history, stopped)
	j.SetSearch(in.Search)
	probes := newProbing(r.plan, a.history, a.probes)
	charging := charging(r.plan)
	b.err = inTurn(r.m.opts.Repository.SegmentsByStart(ctx, r.id), func(s *metric.Second) error {
		s.Charge(charging)
		j.Observe(*s)
		probes.observe(*s)
		return b.fold.Add(s)
	})
	b.probes = probes.proofs()
	var excess int64
	if b.missing, excess = a.missing(); excess > 0 {
		in.Gaps, in.Completeness = append(in.Gaps, fmt.Sprintf("%d arrivals were executed that the schedule does not have: a part of it was executed twice", excess)), 0
	}
	for _, p := range a.plan.Phases {
		if !p.Warmup {
			absent := absentOf(in.Search, p.Name, b.missing[p.Name])
			in.WorkerLost += absent.WorkerLost
			in.Unknown += absent.Unknown
		}
	}
	b.outcome = j.Final(in)
	return b
}

// inTurn passes every second of the segments on, whole and in order. The segments come in the order
// of their first second: what is held at a time is the seconds that the next one may still add to, and
// not the run. After an error it passes on what it has read.
func inTurn(segments iter.Seq2[result.Segment, error], each func(*metric.Second) error) (err error) {
	open := map[int64]*metric.Second{}
	pass := func(before int64) {
		for _, index := range slices.Sorted(maps.Keys(open)) {
			if index >= before {
				return
			}
			err = cmp.Or(err, each(open[index]))
			delete(open, index)
		}
	}
	for segment, failure := range segments {
		if failure != nil {
			err = cmp.Or(err, failure)
			break
		}
		decoded, failure := metric.DecodeSegment(segment.Data)
		if failure != nil {
			err = cmp.Or(err, fmt.Errorf("segment %d: %w", segment.Number, failure))
			break
		}
		pass(segment.From)
		for index, s := range decoded.Seconds {
			if mine, ok := open[index]; ok {
				mine.Merge(*s)
				continue
			}
			open[index] = s
		}
	}
	pass(math.MaxInt64)
	return err
}

// closed steps the record to its end and makes the reports.
func (r *runner) closed(b books) {
	if b.err != nil {
		r.log.Error("committed samples not read", "error", b.err)
		b.outcome.Verdict = run.Verdict{
			Result: run.Invalid, ExitCode: run.ExitInvalid,
			Reasons: []run.Reason{{Code: run.CodeUnreadable, Message: "committed samples could not be read: " + b.err.Error()}},
		}
	}
	if b.stop != *r.run.Stop {
		// An error came while the books were read, so that the run has ended otherwise than was judged.
		r.closingBooks = false
		r.finalise()
		return
	}
	if !r.conclude(&b) {
		return
	}
	reports, err := r.reports(b)
	if err != nil {
		r.log.Error("report not whole", "error", err)
	}
	r.final = &finalResult{reports: reports}
	r.dirty = true
}

// conclude steps the record to its end. A judgement that cannot be is a defect of this program, and
// the run ends all the same.
func (r *runner) conclude(b *books) bool {
	err := r.step(run.Event{Kind: run.Finalised, Verdict: &b.outcome.Verdict, Reason: endReason(r.run)})
	if err == nil {
		return true
	}
	r.log.Error("judgement refused", "error", err)
	b.outcome.Verdict = run.Verdict{
		Result: run.Invalid, ExitCode: run.ExitInternal,
		Reasons: []run.Reason{{Code: run.CodeInternal, Message: "the judgement contradicts the record: " + err.Error()}},
	}
	if err := r.step(run.Event{Kind: run.Finalised, Verdict: &b.outcome.Verdict, Reason: endReason(r.run)}); err != nil {
		r.log.Error("run not ended", "error", err)
		return false
	}
	return true
}

// endReason says in a word why a run ended.
func endReason(rec run.Run) string {
	if rec.Stop != nil && rec.Stop.Reason != "" {
		return rec.Stop.Reason
	}
	return "ended"
}

// close runs in the background: the commit that closes the run.
func (r *runner) close(ctx context.Context, j *job) error {
	return r.committer.Finalise(ctx, result.Final{Run: j.update.Run, Facts: j.update.Facts, Reports: j.final.reports})
}

// publishTries is how often the copies of a closed run are tried before its worker goes on.
const publishTries = 10

// publish makes the copies for people in the background. What cannot be copied holds nobody up for
// long: the next term repairs it, and the reports are read without them.
func (r *runner) publish() {
	ctx := r.ctx
	r.m.group.Go(func() error {
		copied := r.copy(ctx)
		r.mail.post(func() {
			r.copied = &copied
			r.m.fleet.Release(r.id)
			r.m.queue.nudge()
			r.checkOver()
		})
		return nil
	})
}

func (r *runner) copy(ctx context.Context) bool {
	for try := 1; ; try++ {
		err := r.m.opts.Repository.Publish(ctx, r.id)
		if err == nil || errors.Is(err, result.ErrNotFound) { // it was deleted meanwhile
			return true
		}
		if try == publishTries {
			r.log.Warn("copies of the reports not made, the next start makes them", "error", err)
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryAfter):
		}
	}
}

// checkOver ends the runner when nothing is left to do, and notes that for the next term.
func (r *runner) checkOver() {
	if r.copied == nil || r.calling > 0 || r.settling {
		return
	}
	if !*r.copied || len(r.facts.Notices) > 0 {
		r.over = true
		return
	}
	r.settling = true
	ctx := r.ctx
	r.m.group.Go(func() error {
		err := r.sweepIfDue(ctx)
		if err == nil {
			err = r.m.opts.Repository.Settle(ctx, r.m.opts.Heads, r.id)
		}
		if err != nil {
			r.log.Debug("end not noted, the next start looks again", "error", err)
		}
		r.mail.post(func() { r.over = true })
		return nil
	})
}

// reports renders the document of the run in all its forms.
func (r *runner) reports(b books) (map[string][]byte, error) {
	var ended time.Time
	if r.run.EndedAt != nil {
		ended = *r.run.EndedAt
	}
	doc, err := report.Build(report.Input{
		Versions: report.Versions{Proofload: r.m.opts.Version, Go: runtime.Version(), Etcd: r.m.opts.EtcdVersion},
		Run:      r.run, State: r.run.State, EndedAt: ended, Plan: r.plan, Fold: b.fold, Missing: b.missing, Probed: report.Probed{Result: r.searchedResult(), Proofs: b.probes},
		Integrity: r.integrity(), Outcome: b.outcome,
		Events: r.reportEvents(), StartSkew: r.startSkew(),
	})
	if doc == nil {
		return nil, err
	}
	out := map[string][]byte{}
	for name, write := range map[string]func(io.Writer, *report.Document) error{
		"json": report.WriteJSON, "md": report.WriteMarkdown, "html": report.WriteHTML, "xml": report.WriteJUnit,
	} {
		var buf bytes.Buffer
		if werr := write(&buf, doc); werr != nil {
			return out, fmt.Errorf("render %s: %w", name, werr)
		}
		out[name] = buf.Bytes()
	}
	return out, err
}

// startSkew is the largest difference between the workers' starts.
func (r *runner) startSkew() *time.Duration {
	var least, most time.Duration
	known := false
	for _, h := range r.crew {
		if h.status.State < wire.WorkerRunning || h.joined > 0 {
			continue // it did not start with the others
		}
		if !known {
			least, most, known = h.status.Skew, h.status.Skew, true
		}
		least, most = min(least, h.status.Skew), max(most, h.status.Skew)
	}
	if !known {
		return nil
	}
	spread := most - least
	return &spread
}
