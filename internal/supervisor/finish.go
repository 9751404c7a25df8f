package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"io"
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
	outcome judge.Outcome
	fold    *report.Fold
	missing map[string]report.Missing
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
	b := books{fold: report.NewFold()}
	whole := metric.NewSegment(r.id)
	for segment, err := range r.m.opts.Repository.Segments(ctx, r.id, 0) {
		if err != nil {
			b.err = err
			break
		}
		decoded, err := metric.DecodeSegment(segment.Data)
		if err != nil {
			b.err = fmt.Errorf("segment %d: %w", segment.Number, err)
			break
		}
		whole.Merge(decoded)
	}
	j := judge.New(r.plan)
	j.SetSchedule(a.history, stopped)
	charging := charging(r.plan)
	for _, s := range inOrder(whole) {
		s.Charge(charging)
		if err := b.fold.Add(s); err != nil && b.err == nil {
			b.err = err
		}
		j.Observe(*s)
	}
	b.missing = a.missing(whole)
	for _, p := range a.plan.Phases {
		if !p.Warmup {
			in.WorkerLost += b.missing[p.Name].WorkerLost
			in.Unknown += b.missing[p.Name].Unknown
		}
	}
	b.outcome = j.Final(in)
	return b
}

// inOrder returns the seconds of a segment by their index.
func inOrder(g *metric.Segment) []*metric.Second {
	out := make([]*metric.Second, 0, len(g.Seconds))
	for _, s := range g.Seconds {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *metric.Second) int { return int(a.Index - b.Index) })
	return out
}

// closed steps the record to its end and makes the reports.
func (r *runner) closed(b books) {
	if b.err != nil {
		r.log.Error("committed samples not read", "error", b.err)
		b.outcome.Verdict = run.Verdict{
			Result: run.Invalid, ExitCode: run.ExitInvalid,
			Reasons: []run.Reason{{Code: "samples_unreadable", Message: "committed samples could not be read: " + b.err.Error()}},
		}
	}
	if err := r.step(run.Event{Kind: run.Finalised, Verdict: &b.outcome.Verdict, Reason: endReason(r.run)}); err != nil {
		r.abandon(fmt.Errorf("finalise: %w", err))
		r.closingBooks = false
		return
	}
	reports, err := r.reports(b)
	if err != nil {
		r.log.Error("report not whole", "error", err)
	}
	r.final = &finalResult{reports: reports}
	r.dirty = true
}

// endReason says in a word why a run ended.
func endReason(rec run.Run) string {
	if rec.Stop != nil && rec.Stop.Reason != "" {
		return rec.Stop.Reason
	}
	return "ended"
}

// close runs in the background: the commit that closes the run, and the copies for people.
func (r *runner) close(ctx context.Context, j *job) error {
	if err := r.committer.Finalise(ctx, result.Final{Run: j.update.Run, Facts: j.update.Facts, Reports: j.final.reports}); err != nil {
		return err
	}
	return r.m.opts.Repository.Publish(ctx, r.id)
}

// reports renders the document of the run in all its forms.
func (r *runner) reports(b books) (map[string][]byte, error) {
	var ended time.Time
	if r.run.EndedAt != nil {
		ended = *r.run.EndedAt
	}
	doc, err := report.Build(report.Input{
		Versions: report.Versions{Proofload: r.m.opts.Version, Go: runtime.Version(), Etcd: r.m.opts.EtcdVersion},
		Run:      r.run, State: r.run.State, EndedAt: ended, Plan: r.plan, Fold: b.fold, Missing: b.missing,
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
		if h.status.State < wire.WorkerRunning {
			continue
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
