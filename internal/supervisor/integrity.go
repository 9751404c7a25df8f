package supervisor

import (
	"fmt"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// integrity says how much of what was done is in the result. The run must be past its last commit of
// samples.
func (r *runner) integrity() report.Integrity {
	in := report.Integrity{
		Completeness: r.completeness(), DuplicatesDiscarded: r.duplicates + r.ledger.Duplicates(),
		Gaps: r.gaps(), Workers: []report.Worker{}, LeaderChanges: []report.LeaderChange{},
	}
	for _, seq := range r.ledger.Sources() {
		in.BatchesCommitted += int64(seq)
	}
	for _, l := range r.facts.Leaders {
		in.LeaderChanges = append(in.LeaderChanges, report.LeaderChange{Epoch: l.Epoch, Coordinator: l.Coordinator, AtS: l.At.Seconds()})
	}
	for _, m := range r.run.Owed {
		w := report.Worker{ID: m.Worker, Capacity: 1}
		if p := r.sum.Parts[sourceOf(m)]; p != nil {
			w.Samples = p.Requests
		}
		if h := r.life(m); h != nil {
			w.Labels, w.Capacity, w.JoinedS = h.worker.Labels, h.worker.Capacity, h.joined.Seconds()
			w.LostS = inSeconds(h.lost)
		} else if l := r.lossOf(m); l != nil {
			w.LostS = inSeconds(&l.at)
		}
		in.Workers = append(in.Workers, w)
	}
	return in
}

func inSeconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	s := d.Seconds()
	return &s
}

// life returns what is known of that life; nil when it never had a part.
func (r *runner) life(m run.Member) *hand {
	if h := r.crew[m.Worker]; h != nil && h.member == m {
		return h
	}
	for _, h := range r.former {
		if h.member == m {
			return h
		}
	}
	return nil
}

func (r *runner) lossOf(m run.Member) *loss {
	for i := range r.losses {
		if r.losses[i].member == m {
			return &r.losses[i]
		}
	}
	return nil
}

// finalOf returns what a life of a worker said at its end; nil if it has not.
func (r *runner) finalOf(m run.Member) *wire.Final {
	if h := r.life(m); h != nil {
		return h.final
	}
	return nil
}

// gaps lists what is missing of the batches of everybody who owes a final.
func (r *runner) gaps() []report.Gap {
	last := map[metric.Source]uint64{}
	for _, m := range r.run.Owed {
		final := r.finalOf(m)
		switch {
		case final != nil && final.LastSeq == 0, final == nil && !r.run.Stamped():
		case final != nil:
			last[sourceOf(m)] = final.LastSeq
		default:
			last[sourceOf(m)] = 0
		}
	}
	gaps := []report.Gap{}
	for _, hole := range r.ledger.Holes(last) {
		g := report.Gap{Worker: hole.Source.Worker, Incarnation: hole.Source.Incarnation, FromSeq: hole.From}
		if p := r.sum.Parts[hole.Source]; p != nil {
			g.FromS = p.To.Seconds()
		}
		if hole.To > 0 {
			to := hole.To
			g.ToSeq, g.ToS = &to, g.FromS+float64(hole.To-hole.From+1)
		} else {
			g.ToS = max(g.FromS, r.silentSince(hole.Source).Seconds())
		}
		gaps = append(gaps, g)
	}
	return gaps
}

// silentSince is the run time up to which a source that never said what it did last counts.
func (r *runner) silentSince(s metric.Source) time.Duration {
	if l := r.lossOf(run.Member{Worker: s.Worker, Incarnation: s.Incarnation}); l != nil {
		return l.at
	}
	return r.now()
}

// completeness is the share of the batches owed that are committed. Of a worker that never said what
// its last batch was, one batch per second until it was given up counts as owed, and one at least.
func (r *runner) completeness() float64 {
	var have, owed float64
	for _, m := range r.run.Owed {
		got := float64(r.ledger.Committed(sourceOf(m)))
		have += got
		final := r.finalOf(m)
		switch {
		case final != nil:
			owed += max(got, float64(final.LastSeq))
		case !r.run.Stamped():
			owed += got
		default:
			owed += max(got+1, (r.silentSince(sourceOf(m)) - r.joinedAt(m)).Seconds())
		}
	}
	if owed == 0 {
		return 1
	}
	return have / owed
}

// joinedAt is the run time at which a life of a worker joined.
func (r *runner) joinedAt(m run.Member) time.Duration {
	if h := r.life(m); h != nil {
		return max(0, h.joined)
	}
	return 0
}

// contradictions compares what every worker says it did with what is committed of it. A difference
// where no batch is missing is a defect, and what it is about cannot be trusted.
func (r *runner) contradictions() []string {
	var out []string
	for _, m := range r.run.Owed {
		final := r.finalOf(m)
		if final == nil || r.ledger.Committed(sourceOf(m)) < final.LastSeq {
			continue
		}
		var counted wire.Totals
		if p := r.sum.Parts[sourceOf(m)]; p != nil {
			counted = wire.Totals{Planned: p.Planned, Sent: p.Sent, Succeeded: p.Succeeded, Failed: p.Failed, Requests: p.Requests}
		}
		if counted != final.Totals {
			out = append(out, fmt.Sprintf("worker %s says that it did %+v, and its batches add up to %+v", m.Worker, final.Totals, counted))
		}
	}
	return out
}
