package report

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"proofload/internal/judge"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/search"
)

// searchInput is the sample as if its steady phase had been searched.
func searchInput(t testing.TB, result search.Result) Input {
	t.Helper()
	in := newSample(t).in
	plan := *in.Plan
	plan.Search = &scenario.Search{Phase: "steady", Low: 500, High: 2000, Precision: 0.02, Confirm: 1, Warm: 5 * time.Second, Measure: 10 * time.Second}
	in.Plan = &plan
	in.Outcome.Verdict = run.Verdict{Result: run.Pass, Reasons: []run.Reason{{Code: run.CodeCapacity, Message: "the capacity was found"}}}
	in.Run.History = run.History{{ID: "p1", Kind: run.ChangePhaseStart, At: 30 * time.Second, Phase: "steady"}}
	response := hist.New()
	response.RecordN(12*time.Millisecond, 4990)
	for i, v := range []search.Verdict{
		{Rate: 500, Outcome: search.Held},
		{Rate: 1000, Outcome: search.Held},
		{Rate: 2000, Outcome: search.Broken, Criterion: "pay is fast", Reason: "p99 < 250ms does not hold, observed 412 ms"},
		{Rate: 1500, Outcome: search.Limited, Reason: "in 3 of 10 seconds the generators were at their limit or near it: cpu in 3"},
		{Rate: 1500, Outcome: search.Broken, Criterion: "pay is fast", Reason: "observed 300 ms"},
	} {
		id := string(rune('a' + i))
		in.Run.History = append(in.Run.History, run.Change{ID: id, Kind: run.ChangeProbe, Phase: "steady", At: time.Duration(31+20*i) * time.Second, Rate: v.Rate, For: 15 * time.Second})
		cut := i == 4
		in.Run.Probes = append(in.Run.Probes, run.Probe{Change: id, Verdict: v, Cut: cut})
		proof := &judge.Proof{Verdict: v, Seconds: 10, Valid: 10, Planned: 5000, Sent: 5000, Requests: 5000, Failed: 10, Response: response, Criteria: sampleCriteria()[:1]}
		if cut {
			proof = nil
		}
		in.Probed.Proofs = append(in.Probed.Proofs, proof)
	}
	in.Run.History = append(in.Run.History, run.Change{ID: "open", Kind: run.ChangeProbe, Phase: "steady", At: 150 * time.Second, Rate: 1250, For: 15 * time.Second})
	in.Probed.Result = &judge.Searched{Phase: "steady", Windows: [][2]int64{{56, 66}}, Result: result}
	return in
}

var foundResult = search.Result{Kind: search.Found, Low: 1000, High: 1020, Criterion: "pay is fast", Reason: "observed 300 ms", Probes: 5}

// TestSearchIsReported: the interval with its evidence stands in every format.
func TestSearchIsReported(t *testing.T) {
	d, err := Build(searchInput(t, foundResult))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		write func(io.Writer, *Document) error
		want  []string
	}{
		"json":     {WriteJSON, []string{`"result": "found"`, `"capacity_low_per_s": 1000`, `"capacity_high_per_s": 1020`, `"criterion": "pay is fast"`}},
		"markdown": {WriteMarkdown, []string{"The capacity of phase steady is 1,000 to 1,020/s.", "| 3 | 2,000/s | 1:16.0 |", "| ❌ broken<br><sub>pay is fast: p99 &lt; 250ms does not hold, observed 412 ms</sub> |", "unjudged", "the run is judged by it"}},
		"html":     {WriteHTML, []string{"<h2>Capacity</h2>", "Probes of the search", "1,000 to 1,020/s"}},
		"junit":    {WriteJUnit, []string{"the capacity of phase steady is found", "probe 3 at 2,000/s broken: p99"}},
		"summary":  {func(w io.Writer, d *Document) error { return WriteSummary(w, d, SummaryOptions{}) }, []string{"6 probes: 500/s held, 1,000/s held, 2,000/s broken, 1,500/s limited"}},
	} {
		var out bytes.Buffer
		if err := tt.write(&out, d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not say %q:\n%.3000s", name, want, out.String())
			}
		}
	}
	p := d.Search.Probes
	if !p[1].Counts || p[0].Counts || p[2].FromS != 76 || p[2].ToS != 86 || p[0].Requests != 5000 || p[4].Seconds != 0 || !p[4].Cut || p[5].Outcome != "unjudged" {
		t.Errorf("probes %+v", p)
	}
	var read Document
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &read); err != nil || len(read.Search.Probes) != 6 {
		t.Errorf("read again: %v", err)
	}
}

// TestSearchWithoutResult: what was not found is not said to be.
func TestSearchWithoutResult(t *testing.T) {
	for _, tt := range []struct {
		result  search.Result
		verdict run.Result
		want    string
	}{
		{search.Result{Kind: search.GeneratorLimit, Low: 1000, High: 1500, Reason: "cpu"}, run.Invalid, "the generators were the limit at 1,500/s of phase steady; up to 1,000/s everything held: cpu"},
		{search.Result{Kind: search.Unfinished, Low: 1000, High: 2000, Criterion: "pay is fast", Probes: 3}, run.Aborted, "did not come to its end after 3 probes; up to 1,000/s everything held, at 2,000/s \"pay is fast\" broke; nothing of it is confirmed"},
		{search.Result{Kind: search.Unmeasured, Reason: "no samples"}, run.Invalid, "could not measure; nothing was measured before: no samples"},
		{search.Result{Kind: search.TooLow, High: 500, Criterion: "pay is fast"}, run.Fail, "does not bear 500/s"},
		{search.Result{Kind: search.AtLeast, Low: 2000}, run.Pass, "bears 2,000/s at least"},
	} {
		in := searchInput(t, tt.result)
		in.Outcome.Verdict.Result = tt.verdict
		d, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(d.Search.Message, tt.want) {
			t.Errorf("%s: message %q, want %q", tt.result.Kind, d.Search.Message, tt.want)
		}
		var out bytes.Buffer
		for _, write := range []func(io.Writer, *Document) error{WriteJSON, WriteMarkdown, WriteHTML, WriteJUnit} {
			if err := write(&out, d); err != nil {
				t.Errorf("%s: %v", tt.result.Kind, err)
			}
		}
		if !tt.result.Kind.Valid() && strings.Contains(out.String(), "The capacity of phase steady is") {
			t.Errorf("%s: it claims a capacity", tt.result.Kind)
		}
	}
}
