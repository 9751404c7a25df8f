package supervisor

import (
	"slices"

	"proofload/internal/fleet"
	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// What is recorded of the crew is what a new leader cannot learn from the workers themselves, because
// some of them may have gone by then.

// enlist makes the crew of a run that an earlier term conducted out of its record. Nobody of it is here
// before it attaches in this term; those that lived in the process of an earlier leader have ended with it.
func enlist(head result.Head, process string) (crew map[string]*hand, former []*hand) {
	crew = map[string]*hand{}
	ended := orphaned(head, process)
	for _, m := range head.Run.Owed {
		h := &hand{worker: fleet.Worker{Name: m.Worker, Incarnation: m.Incarnation, Capacity: 1}, member: m}
		if i := slices.IndexFunc(head.Facts.Crew, func(l result.Life) bool { return l.Member == m }); i >= 0 {
			h.recall(head.Run.ID, head.Facts.Crew[i])
		}
		h.gone = h.gone || ended
		if before := crew[m.Worker]; before != nil {
			former = append(former, before)
		}
		crew[m.Worker] = h // the latest life of a worker is the one that counts
	}
	return crew, former
}

// orphaned reports whether the workers of a run lived in the process of an earlier leader.
func orphaned(head result.Head, process string) bool {
	n := len(head.Facts.Leaders)
	if n == 0 {
		return false
	}
	last := head.Facts.Leaders[n-1].Process
	return last != "" && last != process
}

// recall takes what is recorded.
func (h *hand) recall(runID string, l result.Life) {
	h.worker.Labels, h.worker.Capacity, h.worker.Instance = l.Labels, l.Capacity, l.Instance
	h.joined, h.lost, h.left, h.gone, h.leaving = l.Joined, l.Lost, l.Left, l.Gone, l.Leaving
	if l.Skew != nil {
		h.status = wire.Status{Run: runID, State: wire.WorkerRunning, Skew: *l.Skew}
	}
	if c := l.Closing; c != nil {
		h.final = &wire.Final{Run: runID, Incarnation: l.Incarnation, LastSeq: c.LastSeq, Totals: wire.Totals{
			Planned: c.Planned, Sent: c.Sent, Succeeded: c.Succeeded, Failed: c.Failed, Requests: c.Requests,
		}}
	}
}

// lives is the record of the crew.
func (r *runner) lives() []result.Life {
	lives := make([]result.Life, 0, len(r.former)+len(r.crew))
	owed := make(map[run.Member]bool, len(r.run.Owed))
	for _, m := range r.run.Owed {
		owed[m] = true
	}
	for _, h := range r.everybody() {
		if owed[h.member] { // whoever never had a part is nobody's business
			l := h.life()
			if r.lean {
				l.Labels = nil
			}
			lives = append(lives, l)
		}
	}
	return lives
}

// everybody is all lives of workers that have been with the run.
func (r *runner) everybody() []*hand {
	all := slices.Clone(r.former)
	for _, name := range r.crewNames() {
		all = append(all, r.crew[name])
	}
	return all
}

func (h *hand) life() result.Life {
	l := result.Life{
		Member: h.member, Instance: h.worker.Instance, Labels: h.worker.Labels, Capacity: h.worker.Capacity, Joined: h.joined, Lost: h.lost, Left: h.left, Gone: h.gone, Leaving: h.leaving,
	}
	if h.status.State >= wire.WorkerRunning {
		skew := h.status.Skew
		l.Skew = &skew
	}
	if f := h.final; f != nil {
		l.Closing = &result.Closing{
			LastSeq: f.LastSeq, Planned: f.Totals.Planned, Sent: f.Totals.Sent,
			Succeeded: f.Totals.Succeeded, Failed: f.Totals.Failed, Requests: f.Totals.Requests,
		}
	}
	return l
}

// lossesOf and lossRecords translate losses from and to the record.
func lossesOf(records []result.Loss) []loss {
	var out []loss
	for _, l := range records {
		out = append(out, loss{member: l.Member, ranges: l.Ranges, at: l.At, until: l.Until})
	}
	return out
}

func lossRecords(losses []loss) []result.Loss {
	var out []result.Loss
	for _, l := range losses {
		out = append(out, result.Loss{Member: l.member, Ranges: l.ranges, At: l.at, Until: l.until})
	}
	return out
}

// alive reports whether a worker has a session now, in the life that is meant.
func (r *runner) alive(m run.Member) (fleet.Worker, bool) {
	w, known := r.m.fleet.Worker(m.Worker)
	return w, known && w.Incarnation == m.Incarnation && w.Connected
}
