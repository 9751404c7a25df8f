package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"proofload/internal/metric"
)

// TestUnsentAreNoRequests: what was never sent is counted by its kind, beside the requests and not among
// them, and the reader is told.
func TestUnsentAreNoRequests(t *testing.T) {
	s := newSample(t)
	before := s.build(t)
	sec := metric.NewSecond(50)
	labels := metric.NewLabels("phase", "steady", "flow", "buy", "step", "pay", "outcome", "failed", "error", "template")
	for range 7000 {
		observe(&sec, metric.Unsent, labels, time.Millisecond)
	}
	if err := s.fold.Add(&sec); err != nil {
		t.Fatal(err)
	}
	d := s.build(t)
	if d.Requests.Sent != before.Requests.Sent || d.Requests.Failed != before.Requests.Failed || d.Series[0].Errors != before.Series[0].Errors {
		t.Errorf("requests %+v, before %+v", d.Requests, before.Requests)
	}
	for what, unsent := range map[string]map[string]int64{"run": d.Requests.Unsent, "phase": d.Phases[1].Requests.Unsent, "total": d.Series[0].Unsent} {
		if len(unsent) != 1 || unsent["template"] != 7000 {
			t.Errorf("%s: unsent %v", what, unsent)
		}
	}
	for _, m := range d.Measures {
		if m.Name == metric.Unsent {
			t.Errorf("it is a measure, too: %+v", m)
		}
	}
	if rows := errorRows(d); len(rows) == 0 || rows[0].kind != "template" || rows[0].where != "steady / buy / pay" {
		t.Errorf("errors %+v, want template first", rows)
	}
	var out bytes.Buffer
	if err := WriteSummary(&out, d, SummaryOptions{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "7,000 never sent, template") {
		t.Errorf("summary:\n%s", out.String())
	}
}
