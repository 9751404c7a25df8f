package report

import (
	"cmp"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
)

// tally gathers one measure. All of it is additive, so it does not matter in which parts the seconds
// come.
type tally struct {
	hist    *hist.Histogram // nil for a counter
	counter int64
	trend   metric.Trend
}

// folded are the labels that tell rows of requests apart and not those of measures.
var folded = []string{"outcome", "status", "error"}

// ownMeasures are the engine's own metrics that are reported as measures, with their units; only
// their sum over all steps is.
var ownMeasures = map[string]metric.Info{
	metric.ConnectTime:   {Category: "agent", Unit: "s"},
	metric.DNSTime:       {Category: "agent", Unit: "s"},
	metric.TLSTime:       {Category: "agent", Unit: "s"},
	metric.FirstByteTime: {Category: "agent", Unit: "s"},
	metric.FirstMessage:  {Category: "agent", Unit: "s"},
	metric.MessageGap:    {Category: "agent", Unit: "s"},
	metric.ReplyTime:     {Category: "agent", Unit: "s"},
	metric.StreamTime:    {Category: "agent", Unit: "s"},
	metric.Messages:      {Category: "agent"},
	metric.Iterations:    {Category: "agent", Unit: "s"},
	metric.BytesIn:       {Category: "agent", Unit: "By"},
	metric.BytesOut:      {Category: "agent", Unit: "By"},
}

// addMeasure adds a metric beyond the engine's own. What was measured in a warm-up is left out.
func (f *Fold) addMeasure(key metric.Key, value metric.Value, index int64) {
	if key.Labels.Get("warmup") == "true" {
		return
	}
	key.Labels = key.Labels.Without(folded...)
	if _, own := ownMeasures[key.Metric]; own {
		key.Labels = metric.Labels{}
	}
	t := f.measures[key]
	if t == nil {
		t = &tally{}
		f.measures[key] = t
	}
	if value.Hist == nil {
		t.counter += value.Count
		return
	}
	if t.hist == nil {
		t.hist = hist.New()
	}
	t.hist.Merge(value.Hist)
	t.trend.Add(float64(index), float64(value.Hist.Count()), value.Hist.Sum())
}

// measuresOver lists the measures in the order of category, name and labels, with rates over active.
func (f *Fold) measuresOver(active time.Duration) []Measure {
	list := make([]Measure, 0, len(f.measures))
	for key, t := range f.measures {
		info, own := ownMeasures[key.Metric]
		if !own {
			info = f.infos[key.Metric]
		}
		list = append(list, t.measure(key, info, active))
	}
	slices.SortFunc(list, func(a, b Measure) int {
		return cmp.Or(
			cmp.Compare(a.Category, b.Category), cmp.Compare(a.Name, b.Name),
			metric.LabelsOf(a.Labels).Compare(metric.LabelsOf(b.Labels)),
		)
	})
	return list
}

func (t *tally) measure(key metric.Key, info metric.Info, active time.Duration) Measure {
	m := Measure{Name: key.Metric, Labels: key.Labels.Map(), Category: info.Category, Unit: info.Unit}
	if t.hist == nil {
		sum := float64(t.counter)
		m.Count, m.Sum, m.RatePerS = t.counter, &sum, per(t.counter, active)
		return m
	}
	if m.Count = count(t.hist); m.Count == 0 {
		return m
	}
	d, sum := dist(t.hist), t.hist.Sum()
	m.Sum, m.Mean, m.Min, m.Max, m.Stddev = &sum, &d.Mean, &d.Min, &d.Max, &d.Stddev
	m.P50, m.P90, m.P95, m.P99, m.P999 = &d.P50, &d.P90, &d.P95, &d.P99, &d.P999
	m.RatePerS = per(m.Count, active)
	if slope, ok := t.trend.Slope(); ok {
		m.TrendPerS = &slope
	}
	return m
}
