package report

import (
	"fmt"
	"strings"
	"time"

	"proofload/internal/judge"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/scenario/quantity"
	"proofload/internal/search"
)

// Search is what a capacity search found, with its evidence.
type Search struct {
	Phase     string  `json:"phase"`
	LowPerS   float64 `json:"low_per_s"`  // the first rate
	HighPerS  float64 `json:"high_per_s"` // the highest that was to be tried
	Precision float64 `json:"precision"`
	Confirm   int     `json:"confirm"`
	// Result is found, at_least, too_low, generator_limit, unmeasured or unfinished; only the first three say
	// something of the target.
	Result  string `json:"result"`
	Message string `json:"message"` // the result in words
	// Capacity is the interval in which the capacity lies: everything held at its lower end, and at the upper one something
	// broke, or with generator_limit the generators were the limit. Null: no such rate was found.
	CapacityLowPerS  *float64 `json:"capacity_low_per_s"`
	CapacityHighPerS *float64 `json:"capacity_high_per_s"`
	// Criterion is the one that broke at the upper end; null: none did.
	Criterion *string `json:"criterion"`
	Probes    []Probe `json:"probes"` // in order
}

// Probe is one probe of a search.
type Probe struct {
	Number   int     `json:"number"` // from 1
	RatePerS float64 `json:"rate_per_s"`
	AtS      float64 `json:"at_s"`   // its begin, with the load that warms up
	FromS    float64 `json:"from_s"` // of what was measured
	ToS      float64 `json:"to_s"`
	// Outcome is held, broken, limited (by the generators), disturbed, or unjudged when the run ended before.
	Outcome   string  `json:"outcome"`
	Criterion *string `json:"criterion"` // that broke; null: none
	Reason    string  `json:"reason"`
	// Cut says that a criterion that aborts, or a pause, ended it before its time. Then nothing of it was measured.
	Cut bool `json:"cut"`
	// Counts says that the run is judged by it: its rate is the result.
	Counts       bool        `json:"counts"`
	Seconds      int64       `json:"seconds"` // measured
	Valid        int64       `json:"valid"`   // of them those that were VALID
	Planned      int64       `json:"planned"`
	Sent         int64       `json:"sent"`
	Requests     int64       `json:"requests"`
	Errors       int64       `json:"errors"`
	ResponseTime Dist        `json:"response_time"`
	Criteria     []Criterion `json:"criteria"` // that decide, as they stood at its end
}

// unjudged is the outcome of a probe that the end of the run cut off.
const unjudged = "unjudged"

// Probed is a search as Build takes it. Proofs are those of the judged probes, nil for one that was cut short.
type Probed struct {
	Result *judge.Searched
	Proofs []*judge.Proof
}

// search renders the search of the run; nil: it has none.
func (b *builder) search() *Search {
	s := b.Plan.Search
	if s == nil || b.Probed.Result == nil {
		return nil
	}
	r := b.Probed.Result.Result
	out := &Search{
		Phase: s.Phase, LowPerS: s.Low, HighPerS: s.High, Precision: s.Precision, Confirm: s.Confirm,
		Result: string(r.Kind), Message: b.Probed.Result.Sentence(), Probes: []Probe{},
	}
	if r.Low > 0 {
		out.CapacityLowPerS = &r.Low
	}
	if r.High > 0 {
		out.CapacityHighPerS = &r.High
	}
	if r.Criterion != "" {
		out.Criterion = &r.Criterion
	}
	for i, c := range b.Run.History.Probes() {
		out.Probes = append(out.Probes, b.probe(s, i, c))
	}
	return out
}

func (b *builder) probe(s *scenario.Search, i int, c run.Change) Probe {
	p := Probe{Number: i + 1, RatePerS: c.Rate, AtS: seconds(c.At), FromS: seconds(c.At + s.Warm), ToS: seconds(c.At + s.Load()), Outcome: unjudged, ResponseTime: dist(nil), Criteria: []Criterion{}}
	if i >= len(b.Run.Probes) {
		p.Reason = "the run ended before it was judged"
		return p
	}
	judged := b.Run.Probes[i]
	verdict := judged.Verdict
	p.Cut = judged.Cut
	if i < len(b.Probed.Proofs) && b.Probed.Proofs[i] != nil {
		proof := b.Probed.Proofs[i]
		p.Seconds, p.Valid, p.Planned, p.Sent = proof.Seconds, proof.Valid, proof.Planned, proof.Sent
		p.Requests, p.Errors, p.ResponseTime = proof.Requests, proof.Failed, dist(proof.Response)
		p.Criteria = criteria(proof.Criteria)
		if verdict.Outcome != proof.Outcome {
			verdict.Reason = fmt.Sprintf("judged %s while the run went on, with all that was committed later: %s. %s", verdict.Outcome, proof.Outcome, proof.Reason)
		}
	}
	p.Outcome, p.Reason = string(verdict.Outcome), verdict.Reason
	if verdict.Criterion != "" {
		p.Criterion = &verdict.Criterion
	}
	for _, w := range b.Probed.Result.Windows {
		p.Counts = p.Counts || w[0] == int64((c.At+s.Warm)/time.Second)
	}
	return p
}

// capacityText is the result in a few words, for a key number.
func capacityText(s *Search) (value, sub string) {
	switch search.Kind(s.Result) {
	case search.Found:
		return judge.Interval(search.Result{Low: *s.CapacityLowPerS, High: *s.CapacityHighPerS}), "the next step breaks " + *s.Criterion
	case search.AtLeast:
		return judge.FormatRate(*s.CapacityLowPerS) + " or more", "the highest rate that was tried"
	case search.TooLow:
		return "below " + judge.FormatRate(*s.CapacityHighPerS), "the lowest rate breaks " + *s.Criterion
	}
	if s.CapacityLowPerS != nil {
		return "not found", "up to " + judge.FormatRate(*s.CapacityLowPerS) + " everything held"
	}
	return "not found", "nothing held"
}

// toneOfProbe is the tone of an outcome.
func toneOfProbe(outcome string) string {
	switch search.Outcome(outcome) {
	case search.Held:
		return toneGood
	case search.Broken:
		return toneBad
	case search.Limited:
		return toneWarn
	}
	return toneNeutral
}

// searchTable is the probes of a search.
func searchTable(d *Document) table {
	t := table{Caption: "Probes of the search", Quiet: true, Columns: []column{
		number("No."), number("Rate"), number("Measured from"), number("Requests"), number("Errors"), number("p50"), number("p95"), number("p99"), number("Valid seconds"), prose("Outcome"),
	}}
	if d.Search == nil {
		return t
	}
	for _, p := range d.Search.Probes {
		row := []cell{{Text: fmt.Sprint(p.Number)}, {Text: judge.FormatRate(p.RatePerS)}, {Text: instant(p.FromS)}}
		if p.Seconds == 0 {
			row = append(row, cell{Text: none}, cell{Text: none}, cell{Text: none}, cell{Text: none}, cell{Text: none}, cell{Text: none})
		} else {
			r := p.ResponseTime
			row = append(row, cell{Text: quantity.Integer(p.Requests)}, cell{Text: shareOf(p.Errors, p.Requests)}, cell{Text: r.of(r.P50)}, cell{Text: r.of(r.P95)}, cell{Text: r.of(r.P99)},
				cell{Text: fmt.Sprintf("%d of %d", p.Valid, p.Seconds)})
		}
		t.Rows = append(t.Rows, append(row, outcomeOf(&p)))
	}
	return t
}

// outcomeOf is what came of a probe, and why.
func outcomeOf(p *Probe) cell {
	c := cell{Text: p.Outcome, Tone: toneOfProbe(p.Outcome), Sub: p.Reason}
	if p.Criterion != nil {
		c.Sub = *p.Criterion + ": " + p.Reason
	}
	if p.Counts {
		c.Sub = strings.TrimPrefix(c.Sub+"; the run is judged by it", "; ")
	}
	return c
}
