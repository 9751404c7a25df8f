package report

import (
	"cmp"
	"slices"
	"strconv"

	"proofload/internal/metric"
	"proofload/internal/scenario/quantity"
)

// slowestKept is how many of the slowest requests of a step are kept, each of another second.
const slowestKept = 5

// addSlowest keeps the slowest requests of each step. A second may come in parts: then two of them may be of
// the same second, and both are among the slowest.
func (f *Fold) addSlowest(s *metric.Second) {
	for key, x := range s.Slowest {
		list := f.slowest[key]
		i, _ := slices.BinarySearchFunc(list, x, func(a, b metric.Exemplar) int {
			switch {
			case a.Slower(b):
				return -1
			case b.Slower(a):
				return 1
			}
			return 0
		})
		if i < slowestKept {
			list = slices.Insert(list, i, x)
			f.slowest[key] = list[:min(len(list), slowestKept)]
		}
	}
}

// slow lists the slowest requests that carried the id of a trace, the slowest first.
func (b *builder) slow() []Slow {
	warmup := map[string]bool{}
	for _, p := range b.Plan.Phases {
		warmup[p.Name] = p.Warmup
	}
	list := []Slow{}
	for key, kept := range b.Fold.slowest {
		for _, x := range kept {
			row := Slow{
				Labels: map[string]string{"phase": key.Phase, "flow": key.Flow, "step": key.Step}, Warmup: warmup[key.Phase],
				AtS: seconds(x.At), ResponseTimeS: seconds(x.Response), ServiceTimeS: seconds(x.Service), TraceID: x.Trace,
			}
			if x.Status != 0 {
				row.Status = &x.Status
			}
			if x.Error != "" {
				row.Error = &x.Error
			}
			list = append(list, row)
		}
	}
	slices.SortFunc(list, func(a, b Slow) int {
		return cmp.Or(
			cmp.Compare(b.ResponseTimeS, a.ResponseTimeS), cmp.Compare(a.AtS, b.AtS), cmp.Compare(a.TraceID, b.TraceID),
			metric.LabelsOf(a.Labels).Compare(metric.LabelsOf(b.Labels)),
		)
	})
	return list
}

func slowestTable(d *Document) table {
	t := table{Caption: "Slowest requests with a trace", Columns: []column{
		text("Step"), number("At"), number("Response"), number("Service"), text("Outcome"), text("Trace"),
	}}
	for _, s := range d.Slowest {
		outcome := "ok"
		if s.Status != nil {
			outcome = strconv.Itoa(*s.Status)
		}
		if s.Error != nil {
			outcome = *s.Error
		}
		t.add(s.Labels["step"], instant(s.AtS), quantity.Value(s.ResponseTimeS, "s"), quantity.Value(s.ServiceTimeS, "s"), outcome, s.TraceID)
		sub := s.Labels["phase"] + " / " + s.Labels["flow"]
		if s.Warmup {
			sub += " (warm-up)"
		}
		t.Rows[len(t.Rows)-1][0].Sub = sub
	}
	return t
}
