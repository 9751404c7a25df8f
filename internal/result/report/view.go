package report

import (
	"fmt"
	"strings"

	"proofload/internal/scenario/quantity"
	"proofload/internal/search"
)

// headline says the verdict in one sentence.
func headline(d *Document) string {
	var critical, failed int64
	for _, c := range d.Criteria {
		if c.Severity == "critical" {
			critical++
			if c.Result == Fail {
				failed++
			}
		}
	}
	switch d.Verdict.Result {
	case Pass:
		if d.Search != nil {
			value, _ := capacityText(d.Search)
			return fmt.Sprintf("The capacity of phase %s is %s.", d.Search.Phase, value)
		}
		if critical == 0 {
			return "The load ran as planned; no critical criterion was stated."
		}
		if critical == 1 {
			return "The critical criterion held."
		}
		return fmt.Sprintf("All %d critical criteria held.", critical)
	case Fail:
		if d.Search != nil && search.Kind(d.Search.Result) == search.TooLow {
			return fmt.Sprintf("Phase %s does not bear the lowest rate of the search.", d.Search.Phase)
		}
		if failed == 0 {
			return "The run did not prove what it had to prove."
		}
		if critical == 1 {
			return "The critical criterion did not hold."
		}
		return fmt.Sprintf("%d of %d critical criteria did not hold.", failed, critical)
	case Invalid:
		if d.Run.T0At == nil {
			return "No load was started, so nothing is proved about the target."
		}
		if d.Search != nil && search.Kind(d.Search.Result) == search.GeneratorLimit {
			return "The generators were the limit, so the capacity of the target is not known."
		}
		if d.Search != nil && !search.Kind(d.Search.Result).Valid() {
			return "The search did not find the capacity of the target."
		}
		return "The measurement cannot be trusted, so it proves nothing about the target."
	case Aborted:
		return "The run was stopped before its end" + stopper(d) + "."
	default:
		return "The verdict is " + d.Verdict.Result + "."
	}
}

func stopper(d *Document) string {
	if d.Verdict.StoppedBy == nil {
		return ""
	}
	names := map[string]string{
		"criterion": "a stop condition", "safety": "a safety rule", "worker_loss": "the loss of workers",
		"halt": "an emergency halt", "operator": "an operator", "signal": "a signal",
	}
	if name, ok := names[*d.Verdict.StoppedBy]; ok {
		return " by " + name
	}
	return " by " + *d.Verdict.StoppedBy
}

// tile is one key number.
type tile struct{ Name, Value, Sub string }

// tiles are the numbers that everybody asks for first.
func tiles(d *Document) []tile {
	total := Series{}
	if len(d.Series) > 0 {
		total = d.Series[0]
	}
	r := total.ResponseTime
	if total.Requests == 0 {
		return append(capacityTile(d), []tile{{"Requests", "0", "none was counted"}, {"Arrivals sent", shareOf(d.Load.Sent, d.Load.Planned), sentOf(d)}}...)
	}
	return append(capacityTile(d), []tile{
		{"Requests", quantity.Integer(total.Requests), optional(total.RatePerS, "1/s") + " on average"},
		{"Errors", shareOf(total.Errors, total.Requests), plural(total.Errors, "request")},
		{"Response p50", r.of(r.P50), "half were faster"},
		{"Response p95", r.of(r.P95), "mean " + r.of(r.Mean)},
		{"Response p99", r.of(r.P99), "max " + r.of(r.Max)},
		{"Arrivals sent", shareOf(d.Load.Sent, d.Load.Planned), sentOf(d)},
	}...)
}

// capacityTile is the result of a search, if there is one.
func capacityTile(d *Document) []tile {
	if d.Search == nil {
		return nil
	}
	value, sub := capacityText(d.Search)
	return []tile{{"Capacity", value, sub}}
}

func sentOf(d *Document) string {
	return quantity.Integer(d.Load.Sent) + " of " + quantity.Integer(d.Load.Planned)
}

// check is one answer to the question whether the numbers can be trusted.
type check struct{ Name, Text, Detail, Tone string }

// checks are all of them.
func checks(d *Document) []check {
	return []check{samplesCheck(d), arrivalsCheck(d), generatorCheck(d), workersCheck(d), leaderCheck(d)}
}

func samplesCheck(d *Document) check {
	i := d.Integrity
	if i.BatchesCommitted == 0 {
		return check{"Samples", "none", "no batch was committed", toneNeutral}
	}
	c := check{"Samples", quantity.Ratio(i.Completeness) + " complete", "batches committed: " + quantity.Integer(i.BatchesCommitted), toneGood}
	if i.Completeness < 1 {
		c.Tone = toneWarn
	}
	if i.DuplicatesDiscarded > 0 {
		c.Detail += ", " + plural(i.DuplicatesDiscarded, "duplicate") + " discarded"
	}
	if n := int64(len(i.Gaps)); n > 0 {
		c.Tone = toneWarn
		c.Detail += ", " + plural(n, "gap")
	} else {
		c.Detail += ", no gap"
	}
	return c
}

func arrivalsCheck(d *Document) check {
	missed := d.Load.Planned - d.Load.Sent
	if d.Load.Planned == 0 {
		return check{"Arrivals", "none", "nothing was planned", toneNeutral}
	}
	c := check{"Arrivals", "all sent", quantity.Integer(d.Load.Planned) + " planned", toneGood}
	if missed > 0 {
		c.Text, c.Tone = plural(missed, "arrival")+" not sent", toneWarn
		c.Detail += "; " + notSentWords(d)
	}
	return c
}

// notSentWords lists the causes, most frequent first.
func notSentWords(d *Document) string {
	var parts []string
	for _, cause := range mostFirst(d.Load.NotSent) {
		parts = append(parts, cause+" "+quantity.Integer(d.Load.NotSent[cause]))
	}
	if d.Load.Unknown > 0 {
		parts = append(parts, "unknown "+quantity.Integer(d.Load.Unknown))
	}
	return strings.Join(parts, ", ")
}

func workersCheck(d *Document) check {
	if len(d.Integrity.Workers) == 0 {
		return check{"Workers", "none", "no worker took part", toneNeutral}
	}
	var lost int64
	for _, w := range d.Integrity.Workers {
		if w.LostS != nil {
			lost++
		}
	}
	c := check{"Workers", plural(int64(len(d.Integrity.Workers)), "worker"), "none lost", toneGood}
	if lost > 0 {
		c.Detail, c.Tone = plural(lost, "worker")+" lost", toneWarn
	}
	return c
}

func leaderCheck(d *Document) check {
	changes := int64(max(0, len(d.Integrity.LeaderChanges)-1))
	if len(d.Integrity.LeaderChanges) == 0 {
		return check{"Coordinator", "not recorded", "", toneNeutral}
	}
	c := check{"Coordinator", "one leader throughout", "", toneGood}
	if changes > 0 {
		c.Text = plural(changes, "change") + " of leader"
		if len(d.Integrity.Gaps) == 0 {
			c.Detail = "no sample was lost by it"
		}
	}
	c.Detail = strings.TrimPrefix(c.Detail+", led by "+d.Integrity.LeaderChanges[changes].Coordinator, ", ")
	return c
}

// percentile is one statistic of response and service time, side by side.
type percentile struct {
	Name                  string
	Response, Service     string
	ResponseAt, ServiceAt float64 // seconds
	Measured              bool
}

func percentiles(d *Document) []percentile {
	if len(d.Series) == 0 || d.Series[0].Requests == 0 {
		return nil
	}
	r, s := d.Series[0].ResponseTime, d.Series[0].ServiceTime
	row := func(name string, of func(Dist) float64) percentile {
		return percentile{name, r.of(of(r)), s.of(of(s)), of(r), of(s), r.Count > 0 && s.Count > 0}
	}
	return []percentile{
		row("mean", func(d Dist) float64 { return d.Mean }),
		row("p50", func(d Dist) float64 { return d.P50 }),
		row("p90", func(d Dist) float64 { return d.P90 }),
		row("p95", func(d Dist) float64 { return d.P95 }),
		row("p99", func(d Dist) float64 { return d.P99 }),
		row("p99.9", func(d Dist) float64 { return d.P999 }),
		row("max", func(d Dist) float64 { return d.Max }),
	}
}

// subtitle says when, where and for how long.
func subtitle(d *Document) string {
	parts := []string{}
	if d.Run.Environment != "" {
		parts = append(parts, d.Run.Environment)
	}
	if d.Run.T0At != nil {
		parts = append(parts, d.Run.T0At.UTC().Format(timeFormat))
	}
	parts = append(parts, quantity.Clock(d.Run.ElapsedS)+" under load")
	if d.Run.PausedS > 0 {
		parts = append(parts, quantity.Clock(d.Run.PausedS)+" paused")
	}
	if len(d.Run.Labels) > 0 {
		parts = append(parts, pairs(d.Run.Labels))
	}
	return strings.Join(append(parts, "run "+d.Run.ID), " · ")
}

// categories of measures in the order in which they are shown, with those that a later version adds.
func categories(d *Document) []string {
	known := []string{"business", "system", "agent"}
	for _, m := range d.Measures {
		seen := false
		for _, k := range known {
			seen = seen || k == m.Category
		}
		if !seen {
			known = append(known, m.Category)
		}
	}
	return known
}
