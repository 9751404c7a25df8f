package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"proofload/internal/metric"
	"proofload/internal/scenario/quantity"
)

// generatorCauses are the causes of arrivals not sent that are the generator's.
var generatorCauses = []metric.Cause{metric.CauseCapShare, metric.CauseLate, metric.CauseNoLease, metric.CauseWorkerLost, metric.CauseOutboxFull}

// withheld counts the arrivals that the generator owes.
func withheld(d *Document) int64 {
	n := d.Load.Unknown
	for _, cause := range generatorCauses {
		n += d.Load.NotSent[string(cause)]
	}
	return n
}

// generatorCheck answers whether the workers were the limit, from the figures that the verdict goes by.
func generatorCheck(d *Document) check {
	g := d.Integrity.Generator
	if g.Seconds == 0 {
		return check{"Generator", "not measured", "", toneNeutral}
	}
	c := check{"Generator", "never the limit", "schedule lag p99 " + g.ScheduleLag.of(g.ScheduleLag.P99), toneGood}
	if slices.ContainsFunc(d.Phases, func(p Phase) bool { return p.Warmup }) {
		c.Detail += ", both without warm-up"
	}
	switch {
	case g.Invalid > 0:
		c.Text, c.Tone = fmt.Sprintf("the limit in %s of %s", quantity.Integer(g.Invalid), plural(g.Seconds, "second")), toneBad
		if n := g.Causes[string(metric.CauseWorkerLost)].Invalid; n > 0 { // which the verdict counts as arrivals, not as seconds
			c.Text += ", in " + quantity.Integer(n) + " for lost workers"
		}
	case withheld(d) > 0:
		c.Text, c.Tone = "not able to send "+plural(withheld(d), "arrival"), toneWarn
	case g.Degraded > 0:
		c.Text, c.Tone = fmt.Sprintf("near its limit in %s of %s", quantity.Integer(g.Degraded), plural(g.Seconds, "second")), toneWarn
	}
	return c
}

// strains are the causes of seconds that were not valid, those first that made most of them invalid.
func (g Generator) strains() []string {
	weight := map[string]int64{}
	for cause, n := range g.Causes {
		weight[cause] = n.Invalid<<20 + n.Degraded
	}
	return mostFirst(weight)
}

// words says in how many seconds a cause was the limit, and in how many the generator was only near it.
func (s Strain) words() string {
	switch {
	case s.Degraded == 0:
		return "the limit in " + plural(s.Invalid, "second")
	case s.Invalid == 0:
		return "near the limit in " + plural(s.Degraded, "second")
	}
	return fmt.Sprintf("the limit in %s, near it in %s", plural(s.Invalid, "second"), quantity.Integer(s.Degraded))
}

// generatorFinding tells when the load generator was a limit.
func (b *builder) generatorFinding(d *Document) (Finding, bool) {
	var evidence []Evidence
	g := d.Integrity.Generator
	for _, cause := range g.strains() {
		evidence = append(evidence, Evidence{"health", cause + ": " + g.Causes[cause].words()})
	}
	tardy := false
	if lag, limit := g.ScheduleLag, b.Plan.Validity.ScheduleLagP99; limit > 0 && lag.Count > 0 && lag.P99 > limit.Seconds() {
		tardy = true
		evidence = append(evidence, Evidence{"schedule_lag", fmt.Sprintf("p99 of the schedule lag is %s, limit %s", quantity.Duration(lag.P99), quantity.Duration(limit.Seconds()))})
	}
	for _, cause := range generatorCauses {
		if n := d.Load.NotSent[string(cause)]; n > 0 {
			evidence = append(evidence, Evidence{"not_sent." + string(cause), plural(n, "arrival") + " not sent: " + causeText(string(cause))})
		}
	}
	confidence := "medium"
	if g.Invalid > 0 {
		confidence = "high"
	}
	return Finding{
		Kind: "generator", Component: "workers", Evidence: evidence, Confidence: confidence,
		Recommendation: generatorAdvice(d, tardy),
	}, len(evidence) > 0
}

// generatorAdvice says what helps against what was seen: processors do not help where a coordinator or a worker
// was missing.
func generatorAdvice(d *Document, tardy bool) string {
	seen := map[string]bool{}
	for cause := range d.Integrity.Generator.Causes {
		seen[cause] = true
	}
	for _, cause := range generatorCauses {
		if d.Load.NotSent[string(cause)] > 0 {
			seen[string(cause)] = true
		}
	}
	var advice []string
	// A worker that was lost had no lease either before others took over, and no coordinator would change that.
	if d.Load.NotSent[string(metric.CauseNoLease)] > 0 || seen[string(metric.CauseNoLease)] && !seen[string(metric.CauseWorkerLost)] {
		advice = append(advice, "No coordinator could be reached for longer than coordinator_loss.grace: raise it, or add coordinators.")
	}
	if seen[string(metric.CauseWorkerLost)] {
		advice = append(advice, "Workers were lost, and for a while nobody sent their part of the load: find out why in their log and on their machine.")
	}
	maps.DeleteFunc(seen, func(cause string, _ bool) bool {
		return cause == string(metric.CauseNoLease) || cause == string(metric.CauseWorkerLost) || cause == metric.UnhealthyNotSent
	})
	switch {
	case d.Integrity.Generator.Invalid == 0 && withheld(d) == 0 && !tardy:
		advice = append(advice, "Add workers, or give the present ones more CPU, before you raise the load: the generator came near its limit.")
	case len(seen) > 0 || tardy || len(advice) == 0:
		advice = append(advice, "Add workers, or give the present ones more CPU: for part of the run the generator, not the target, was the limit.")
	}
	return strings.Join(advice, " ")
}
