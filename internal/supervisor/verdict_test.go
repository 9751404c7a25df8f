package supervisor

import (
	"bytes"
	"strings"
	"testing"

	"proofload/internal/result/report"
)

// TestLiveValuesAreThoseOfTheReport: what is shown of a criterion while the run goes on is written as the
// report writes it.
func TestLiveValuesAreThoseOfTheReport(t *testing.T) {
	text := shop + `criteria:
  - name: quick
    check: p99(response_time) < 50ms
    window: 2s
`
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		watch, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		live := ""
		for range watch.C() {
			for _, u := range watch.Next() {
				if p := u.View.Progress; p != nil && len(p.Criteria) > 0 {
					live = p.Criteria[0].Observed
				}
			}
		}
		_, d := r.ended2("r1")
		var summary bytes.Buffer
		if err := report.WriteSummary(&summary, d, report.SummaryOptions{}); err != nil {
			t.Fatal(err)
		}
		words := strings.Join(strings.Fields(summary.String()), " ")
		if live == "" || !strings.Contains(words, "quick PASS "+live+" < 50 ms") {
			t.Errorf("shown live: %q; in the report:\n%s", live, summary.String())
		}
	})
}
