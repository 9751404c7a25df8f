package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"proofload/internal/metric"
	"proofload/internal/scenario/quantity"
)

// findings are what the numbers of the load itself say that the reader should act on.
func (b *builder) findings(d *Document) []Finding {
	findings := []Finding{}
	for _, find := range []func(*Document) (Finding, bool){b.generatorFinding, b.saturation} {
		if f, ok := find(d); ok {
			findings = append(findings, f)
		}
	}
	findings = append(findings, failures(d)...)
	if f, ok := b.accounting(d); ok {
		findings = append(findings, f)
	}
	return findings
}

// saturation tells when the target kept so much work in flight that arrivals were held back.
func (b *builder) saturation(d *Document) (Finding, bool) {
	n := d.Load.NotSent[string(metric.CauseMaxInFlight)]
	evidence := []Evidence{{
		"not_sent.max_in_flight",
		fmt.Sprintf("%s of %s planned not sent: %s", plural(n, "arrival"), quantity.Integer(d.Load.Planned), causeText(string(metric.CauseMaxInFlight))),
	}}
	return Finding{
		Kind: "saturation", Component: "target", Evidence: evidence, Confidence: "high",
		Recommendation: "The target did not keep up with the offered load. Lower the rate to find what it bears, or look for what holds its requests.",
	}, n > 0
}

// unreachable are the kinds of errors of requests that have never reached the target, whose log is
// silent about them.
var unreachable = map[string]bool{"connect": true, "dns": true}

// failures names the most frequent kinds of errors and where they came from, apart for each of those
// who may be the cause.
func failures(d *Document) []Finding {
	kinds := errorRows(d)
	var found []Finding
	for _, who := range []struct {
		origin            metric.Origin
		component, advice string
	}{
		{metric.OriginTarget, "target", "Look at the target's log for the stretches in which errors were counted; failed requests are part of the response times."},
		{metric.OriginGenerator, "workers", "Not the target's: raise the limits that the workers ran into, or add workers. What was cancelled was cut off when the load ended."},
		{metric.OriginScenario, "scenario", "Not the target's: correct the steps named here, whose requests could not be built."},
	} {
		rows := slices.DeleteFunc(slices.Clone(kinds), func(r errorRow) bool { return metric.OriginOf(r.kind) != who.origin })
		if len(rows) == 0 {
			continue
		}
		advice := who.advice
		if unreachable[rows[0].kind] {
			advice = "Check that something listens at the target's address and can be reached from the workers; failed requests are part of the response times."
		}
		found = append(found, Finding{
			Kind: "errors", Component: who.component, Evidence: errorEvidence(rows), Confidence: "high", Recommendation: advice,
		})
	}
	return found
}

func errorEvidence(rows []errorRow) []Evidence {
	var evidence []Evidence
	for _, k := range rows[:min(3, len(rows))] {
		evidence = append(evidence, Evidence{
			"error." + k.kind,
			fmt.Sprintf("%s (%s of all requests), most in %s: %s", plural(k.count, k.kind+" error"), quantity.Ratio(k.share), k.where, kindText(k.kind)),
		})
	}
	return evidence
}

// accounting tells when arrivals are unaccounted for.
func (b *builder) accounting(d *Document) (Finding, bool) {
	var evidence []Evidence
	if n := d.Load.Unknown; n > 0 {
		evidence = append(evidence, Evidence{"unknown", plural(n, "arrival") + " of which no record says what became of them"})
	}
	if b.repaired > 0 {
		evidence = append(evidence, Evidence{"unplanned", plural(b.repaired, "arrival") + " ended of which no record says that they were planned"})
	}
	return Finding{
		Kind: "integrity", Component: "workers", Evidence: evidence, Confidence: "high",
		Recommendation: "Find out why samples were lost: a worker that died without its data directory, or one that could not reach a coordinator before the run was closed.",
	}, len(evidence) > 0
}

// errorRow is one kind of error over the rows without warm-up.
type errorRow struct {
	kind  string
	count int64
	share float64 // of the requests that were sent; of a kind that kept some from being sent, of those tried
	where string  // the step with most of them
}

// errorRows lists the kinds of errors, most frequent first.
func errorRows(d *Document) []errorRow {
	if len(d.Series) == 0 {
		return nil
	}
	total := d.Series[0]
	counts := total.allErrors()
	rows := make([]errorRow, 0, len(counts))
	for _, kind := range mostFirst(counts) {
		of := total.Requests // the same share as the errors of the summary
		if total.Unsent[kind] > 0 {
			of += sum(total.Unsent) // requests that never left are a share of those that were tried
		}
		row := errorRow{kind: kind, count: counts[kind], share: share(counts[kind], of)}
		var most int64
		for _, s := range d.Series[1:] {
			if n := s.allErrors()[kind]; !s.Warmup && n > most {
				most, row.where = n, stepName(s.Labels)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// allErrors counts by kind the requests that failed and those that were never sent.
func (s Series) allErrors() map[string]int64 {
	all := maps.Clone(s.ErrorsByKind)
	if all == nil {
		all = map[string]int64{}
	}
	add(all, s.Unsent)
	return all
}

// stepName names a row of series in one word.
func stepName(labels map[string]string) string {
	parts := make([]string, 0, 3)
	for _, name := range []string{"phase", "flow", "step"} {
		if v := labels[name]; v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " / ")
}

// mostFirst returns the keys of m, those with the largest counts first, without those that are 0.
func mostFirst(m map[string]int64) []string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
	return slices.DeleteFunc(keys, func(k string) bool { return m[k] == 0 })
}

// shareOf renders n of total; of nothing there is no share.
func shareOf(n, total int64) string {
	if total == 0 {
		return none
	}
	return quantity.Ratio(share(n, total))
}

// share is n of total, 0 of nothing.
func share(n, total int64) float64 {
	if total == 0 {
		return 0
	}
	return float64(n) / float64(total)
}
