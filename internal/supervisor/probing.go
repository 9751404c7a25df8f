package supervisor

import (
	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// probing judges the probes of a search once more, over all that is committed, when the books are closed.
type probing struct {
	windows  []*judge.Window // nil: it was cut short
	expected []judge.Expected
	to       []int64
	at       int // the first that is not over
}

func newProbing(plan *scenario.Plan, history run.History, probes []run.Probe) *probing {
	p := &probing{}
	begun := history.Probes()
	for i, probe := range probes {
		from, to := probeWindow(plan.Search, begun[i])
		var w *judge.Window
		if !probe.Cut {
			w = judge.NewWindow(plan, plan.Search.Phase, from, to)
			w.SetSchedule(history)
		}
		p.windows, p.to = append(p.windows, w), append(p.to, to)
		p.expected = append(p.expected, probeLoad(plan, history, begun[i]))
	}
	return p
}

// observe takes a whole second; they come in order.
func (p *probing) observe(s metric.Second) {
	for p.at < len(p.windows) && (p.windows[p.at] == nil || s.Index >= p.to[p.at]) {
		p.at++
	}
	if p.at < len(p.windows) {
		p.windows[p.at].Observe(s)
	}
}

func (p *probing) proofs() []*judge.Proof {
	out := make([]*judge.Proof, len(p.windows))
	for i, w := range p.windows {
		if w != nil {
			proof := w.Proof(p.expected[i])
			out[i] = &proof
		}
	}
	return out
}

// absentOf returns the arrivals of a phase that no batch tells of, in the seconds by which the run is judged: of a search
// those of the probes that are its result.
func absentOf(s *judge.Searched, phase string, m report.Missing) report.Absent {
	if s == nil || s.Phase != phase {
		return m.Absent
	}
	var out report.Absent
	for second, absent := range m.Seconds {
		for _, w := range s.Windows {
			if second >= w[0] && second < w[1] {
				out.WorkerLost += absent.WorkerLost
				out.Unknown += absent.Unknown
			}
		}
	}
	return out
}
