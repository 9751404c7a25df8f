package report

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// series lists the total without warm-up and then every row in the order of the plan's phases, then
// by flow; steps of a flow in the order of the plan.
func (b *builder) series() []Series {
	keys := slices.Collect(maps.Keys(b.Fold.rows))
	phases, steps := b.ranks()
	slices.SortFunc(keys, func(x, y rowKey) int {
		return cmp.Or(
			cmp.Compare(phases[x.phase], phases[y.phase]), cmp.Compare(x.phase, y.phase), cmp.Compare(x.flow, y.flow),
			cmp.Compare(steps[[2]string{x.flow, x.step}], steps[[2]string{y.flow, y.step}]), cmp.Compare(x.step, y.step),
			cmp.Compare(set(x.warmup), set(y.warmup)),
		)
	})
	total := newRow()
	rows := make([]Series, 1, len(keys)+1)
	for _, key := range keys {
		r := b.Fold.rows[key]
		labels := map[string]string{"phase": key.phase, "flow": key.flow, "step": key.step}
		s := r.series(labels, b.spans.phases[key.phase].active)
		s.Warmup = key.warmup
		rows = append(rows, s)
		if !key.warmup {
			total.merge(r)
		}
	}
	rows[0] = total.series(map[string]string{}, b.spans.counted)
	return rows
}

// ranks returns the places of phases and of the steps of flows in the plan.
func (b *builder) ranks() (phases map[string]int, steps map[[2]string]int) {
	phases, steps = map[string]int{}, map[[2]string]int{}
	for i, p := range b.Plan.Phases {
		phases[p.Name] = i
	}
	for name, flow := range b.Plan.Flows {
		for i, step := range flow.Steps {
			steps[[2]string{name, step.Name}] = i
		}
	}
	return phases, steps
}

func (r *row) series(labels map[string]string, active time.Duration) Series {
	n := count(r.response)
	return Series{
		Labels: labels, Requests: n, Errors: count(r.failed), RatePerS: per(n, active),
		ErrorsByKind: maps.Clone(r.kinds), ErrorsByStatus: maps.Clone(r.statuses), Unsent: maps.Clone(r.unsent),
		Retried: r.retried, Redirects: r.followed,
		ResponseTime: dist(r.response), ResponseTimeFailed: dist(r.failed), ServiceTime: dist(r.service),
	}
}

// requests counts those of one phase.
func (f *Fold) requests(phase string) Requests {
	p := Requests{Unsent: map[string]int64{}}
	for key, r := range f.rows {
		if key.phase == phase {
			p.Sent += count(r.response)
			p.Failed += count(r.failed)
			add(p.Unsent, r.unsent)
			p.Retried += r.retried
			p.Redirects += r.followed
		}
	}
	p.Succeeded = p.Sent - p.Failed
	return p
}
