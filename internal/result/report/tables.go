package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"proofload/internal/scenario/quantity"
)

func phaseTable(d *Document) table {
	t := table{Caption: "Arrivals by phase", Columns: []column{
		text("Phase"), number("From"), number("To"), number("Planned"), number("Sent"), number("Not sent"),
		number("Offered"), number("Achieved"), number("Gaps vary by"), number("Lag p99"),
	}}
	for _, p := range d.Phases {
		t.add(p.Name, instant(p.FromS), instant(p.ToS), quantity.Integer(p.Load.Planned), quantity.Integer(p.Load.Sent),
			quantity.Integer(p.Load.NotSentTotal()+p.Load.Unknown), optional(p.OfferedPerS, "1/s"), optional(p.AchievedPerS, "1/s"),
			optional(p.Load.ArrivalCV, "ratio"), p.Load.ScheduleLag.of(p.Load.ScheduleLag.P99))
		row := t.Rows[len(t.Rows)-1]
		if p.Warmup {
			row[0].Sub = "warm-up"
		}
		if p.Load.ArrivalCV != nil && p.PlannedCV != nil {
			row[8].Sub = "planned " + quantity.Ratio(*p.PlannedCV)
		}
	}
	return t
}

func notSentTable(d *Document) table {
	t := table{Caption: "Arrivals that were not sent, by cause", Stacked: true, Columns: []column{
		text("Cause"), number("Arrivals"), number("Share"), prose("Meaning"),
	}}
	for _, cause := range mostFirst(d.Load.NotSent) {
		n := d.Load.NotSent[cause]
		t.add(cause, quantity.Integer(n), quantity.Ratio(share(n, d.Load.Planned)), causeText(cause))
	}
	if n := d.Load.Unknown; n > 0 {
		t.add("unknown", quantity.Integer(n), quantity.Ratio(share(n, d.Load.Planned)), "no record says what became of them")
	}
	return t
}

func criteriaTable(d *Document) table {
	t := table{Caption: "Criteria", Quiet: true, Stacked: true, Columns: []column{
		text("Criterion"), text("Result"), number("Observed"), number("Limit"), number("Windows that held"), text("Severity"),
	}}
	for _, c := range d.Criteria {
		t.Rows = append(t.Rows, []cell{
			{Text: rowName(c.Name, c.Labels), Sub: c.Check + during(c.During)},
			{Text: c.Result, Tone: toneOf(c.Result), Sub: c.Reason},
			{Text: optional(c.Observed, c.Unit)},
			{Text: limit(c)},
			{Text: optional(c.Met, "ratio")},
			{Text: c.Severity},
		})
	}
	return t
}

// limit is what a criterion holds the observed value against.
func limit(c Criterion) string { return operator(c.Check) + quantity.Value(c.Limit, c.Unit) }

// rowName names one of the rows of a criterion.
func rowName(name string, labels map[string]string) string {
	if len(labels) == 0 {
		return name
	}
	return name + " (" + pairs(labels) + ")"
}

// worst renders the worst value of a violation, which may be beyond every number.
func worst(v Violation) string {
	if v.Worst == nil {
		return "∞"
	}
	return quantity.Value(*v.Worst, v.Unit)
}

func during(phases []string) string {
	if len(phases) == 0 {
		return ""
	}
	return ", during " + strings.Join(phases, ", ")
}

func violationTable(d *Document) table {
	t := table{Caption: "Violations", Stacked: true, Columns: []column{
		text("Criterion"), text("Severity"), number("From"), number("To"), number("Worst"), number("Limit"), number("Requests"), number("Failed"),
	}}
	for _, v := range d.Violations {
		t.add(rowName(v.Criterion, v.Labels), v.Severity, instant(v.FromS), instant(v.ToS), worst(v), quantity.Value(v.Limit, v.Unit),
			quantity.Integer(v.Impact.Requests), quantity.Integer(v.Impact.Failed))
		t.Rows[len(t.Rows)-1][0].Sub = v.Series
	}
	return t
}

func seriesTable(d *Document) table {
	t := table{Caption: "Requests by phase, flow and step", Columns: []column{
		text("Step"), number("Requests"), number("Rate"), number("Errors"), number("p50"), number("p95"), number("p99"), number("Max"), number("Service p99"),
	}}
	if len(d.Series) > 0 && d.Series[0].Requests == 0 && len(d.Series) == 1 {
		return t
	}
	for i, s := range d.Series {
		name, sub := s.Labels["step"], strings.TrimSuffix(stepName(s.Labels), " / "+s.Labels["step"])
		if i == 0 {
			name, sub = "All steps", ""
			if slices.ContainsFunc(d.Series, func(s Series) bool { return s.Warmup }) {
				sub = "without warm-up"
			}
		}
		if s.Warmup {
			sub += " (warm-up)"
		}
		r := s.ResponseTime
		t.add(name, quantity.Integer(s.Requests), optional(s.RatePerS, "1/s"), errorsOf(s),
			r.of(r.P50), r.of(r.P95), r.of(r.P99), r.of(r.Max), s.ServiceTime.of(s.ServiceTime.P99))
		t.Rows[i][0].Sub = sub
	}
	return t
}

// errorsOf renders the errors of a row with their share.
func errorsOf(s Series) string {
	if s.Errors == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", quantity.Integer(s.Errors), quantity.Ratio(share(s.Errors, s.Requests)))
}

func errorTable(d *Document) table {
	t := table{Caption: "Errors by kind, without warm-up", Columns: []column{
		text("Kind"), number("Requests"), number("Share"), text("Most in"), prose("Meaning"),
	}}
	for _, k := range errorRows(d) {
		t.add(k.kind, quantity.Integer(k.count), quantity.Ratio(k.share), k.where, kindText(k.kind))
	}
	return t
}

func statusTable(d *Document) table {
	t := table{Caption: "Failed requests by status, without warm-up", Columns: []column{text("Status"), number("Requests"), number("Share")}}
	total := d.Series[:min(1, len(d.Series))]
	for _, s := range total {
		for _, status := range mostFirst(s.ErrorsByStatus) {
			t.add(status, quantity.Integer(s.ErrorsByStatus[status]), quantity.Ratio(share(s.ErrorsByStatus[status], s.Requests)))
		}
	}
	return t
}

func measureTable(d *Document, category string) table {
	t := table{Caption: "Measures: " + category, Columns: []column{
		text("Measure"), number("Count"), number("Rate"), number("Sum"), number("Mean"), number("p50"), number("p95"), number("p99"), number("Max"), number("Trend per min"),
	}}
	for _, m := range d.Measures {
		if m.Category != category {
			continue
		}
		var trend *float64
		if m.TrendPerS != nil {
			perMinute := *m.TrendPerS * 60
			trend = &perMinute
		}
		sum := m.Sum
		if m.Category == "system" || strings.HasPrefix(m.Name, "worker_") {
			sum = nil // of readings of a gauge it means nothing
		}
		events, rate := quantity.Integer(m.Count), optional(m.RatePerS, "1/s")
		if m.Mean == nil && m.RatePerS != nil && m.Unit != "" { // a counter of bytes or the like
			events, rate = none, quantity.Value(*m.RatePerS, m.Unit)+"/s"
		}
		t.add(m.Name, events, rate, optional(sum, m.Unit), optional(m.Mean, m.Unit),
			optional(m.P50, m.Unit), optional(m.P95, m.Unit), optional(m.P99, m.Unit), optional(m.Max, m.Unit), signed(trend, m.Unit))
		t.Rows[len(t.Rows)-1][0].Sub = pairs(m.Labels)
	}
	return t
}

func signed(v *float64, unit string) string {
	if v != nil && *v > 0 {
		return "+" + quantity.Value(*v, unit)
	}
	return optional(v, unit)
}

func eventTable(d *Document) table {
	t := table{Caption: "Events", Quiet: true, Columns: []column{number("No."), number("At"), text("Kind"), prose("What happened")}}
	for i, e := range d.Events {
		t.add(fmt.Sprint(i+1), instant(e.AtS), e.Kind, e.Detail)
	}
	return t
}

func workerTable(d *Document) table {
	t := table{Caption: "Workers", Columns: []column{
		text("Worker"), text("Labels"), number("Capacity"), number("Samples"), number("Joined"), number("Lost"),
	}}
	for _, w := range d.Integrity.Workers {
		lost := none
		if w.LostS != nil {
			lost = instant(*w.LostS)
		}
		t.add(w.ID, pairs(w.Labels), quantity.Digits(w.Capacity), quantity.Integer(w.Samples), instant(w.JoinedS), lost)
	}
	return t
}

func gapTable(d *Document) table {
	t := table{Caption: "Gaps: batches that are missing", Columns: []column{text("Worker"), number("From batch"), number("To batch"), number("From"), number("To")}}
	for _, g := range d.Integrity.Gaps {
		to := "unknown"
		if g.ToSeq != nil {
			to = fmt.Sprint(*g.ToSeq)
		}
		t.add(g.Worker, fmt.Sprint(g.FromSeq), to, instant(g.FromS), instant(g.ToS))
	}
	return t
}

func findingTable(d *Document) table {
	t := table{Caption: "Findings", Quiet: true, Columns: []column{text("Finding"), prose("Evidence"), prose("What to do")}}
	for _, f := range d.Findings {
		messages := make([]string, len(f.Evidence))
		for i, e := range f.Evidence {
			messages[i] = e.Message
		}
		t.Rows = append(t.Rows, []cell{
			{Text: f.Kind, Sub: f.Component + ", confidence " + f.Confidence},
			{Text: strings.Join(messages, "; ")},
			{Text: f.Recommendation},
		})
	}
	return t
}

func percentileTable(d *Document) table {
	t := table{Caption: "Response time and service time, without warm-up", Columns: []column{
		text("Statistic"), number("Response time"), number("Service time"),
	}}
	for _, p := range percentiles(d) {
		t.add(p.Name, p.Response, p.Service)
	}
	return t
}

// runFacts are what a reader needs to make the run again.
func runFacts(d *Document) [][2]string {
	facts := [][2]string{{"Run", d.Run.ID}, {"State", d.Run.State}}
	add := func(name, v string) {
		if v != "" {
			facts = append(facts, [2]string{name, v})
		}
	}
	add("Environment", d.Run.Environment)
	add("Scenario digest", d.Run.ScenarioSHA256)
	add("Seed", fmt.Sprint(d.Run.Seed))
	for _, name := range slices.Sorted(maps.Keys(d.Run.Labels)) {
		add("Label "+name, d.Run.Labels[name])
	}
	add("Started", d.Run.StartedAt.UTC().Format(timeFormat))
	if d.Run.EndedAt != nil {
		add("Ended", d.Run.EndedAt.UTC().Format(timeFormat))
	}
	add("Under load", quantity.Clock(d.Run.ElapsedS))
	if d.Run.PausedS > 0 {
		add("Paused", instant(d.Run.PausedS))
	}
	add("Proofload", d.Versions.Proofload)
	add("Go", d.Versions.Go)
	add("etcd", d.Versions.Etcd)
	return facts
}

const timeFormat = "2006-01-02 15:04:05 UTC"
