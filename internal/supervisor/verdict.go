package supervisor

import (
	"fmt"
	"slices"

	"proofload/internal/judge"
	"proofload/internal/run"
	"proofload/internal/scenario/quantity"
	"proofload/internal/wire"
)

// judgeInput is what the final judgement needs besides the seconds.
func (r *runner) judgeInput() judge.Input {
	in := judge.Input{Run: r.id, Stop: r.run.Stop, Completeness: r.completeness(), Search: r.searchedResult()}
	for _, g := range r.gaps() {
		last := "an unknown one"
		if g.ToSeq != nil {
			last = fmt.Sprint(*g.ToSeq)
		}
		in.Gaps = append(in.Gaps, fmt.Sprintf("batches %d to %s of worker %s are missing", g.FromSeq, last, g.Worker))
	}
	if wrong := r.contradictions(); len(wrong) > 0 {
		in.Gaps, in.Completeness = append(in.Gaps, wrong...), 0
	}
	return in
}

// breached acts on a criterion that is breached for as long as it says. An abort takes effect once:
// while the run is stopping it changes nothing.
func (r *runner) breached(b judge.Breach) {
	if r.ofSearch(b.From) {
		return // the search looks at each of its probes by itself
	}
	id := b.ViolationID(r.id)
	if slices.Contains(r.facts.Breaches, id) {
		return
	}
	r.facts.Breaches = append(r.facts.Breaches, id)
	r.dirty = true
	r.view.event(r, "breach", b.Message)
	if b.OnBreach == "abort" && r.run.State != run.Stopping {
		r.expect(run.Event{Kind: run.StopRequested, ID: r.id + "/abort/" + id, Stop: run.StopCriterion, Reason: b.Message})
	}
}

// progressOf shows criteria as judged so far.
func progressOf(rows []judge.Criterion) []wire.CriterionProgress {
	out := make([]wire.CriterionProgress, 0, len(rows))
	for _, c := range rows {
		p := wire.CriterionProgress{Name: c.Name, Result: string(c.Result)}
		if c.Observed != nil {
			p.Observed = quantity.Value(*c.Observed, c.Unit)
		}
		if c.Result == judge.Invalid {
			p.Result = "PENDING" // without samples so far; what comes decides
		}
		out = append(out, p)
	}
	return out
}
