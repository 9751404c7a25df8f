package report

import (
	"testing"

	"proofload/internal/metric"
)

// TestRetriedOfSteps: repeated and redirected requests are those of a step, of its phase, and of the run; those of a
// warm-up are in the totals of requests and not in the first row, as all requests.
func TestRetriedOfSteps(t *testing.T) {
	s := newSample(t)
	sec := metric.NewSecond(50)
	count := func(name string, labels metric.Labels, n int64) {
		sec.Add(metric.Key{Metric: name, Labels: labels}, metric.Value{Count: n})
	}
	pay := metric.NewLabels("phase", "steady", "flow", "buy", "step", "pay")
	count(metric.Retried, pay, 3)
	count(metric.Redirects, pay, 2)
	count(metric.Retried, metric.NewLabels("phase", "warmup", "flow", "buy", "step", "pay", "warmup", "true"), 4)
	if err := s.fold.Add(&sec); err != nil {
		t.Fatal(err)
	}
	d := s.build(t)
	if d.Series[0].Retried != 3 || d.Series[0].Redirects != 2 {
		t.Errorf("total: %d retried, %d redirects", d.Series[0].Retried, d.Series[0].Redirects)
	}
	for _, row := range d.Series[1:] {
		want := int64(0)
		if row.Labels["step"] == "pay" {
			want = map[string]int64{"steady": 3, "warmup": 4}[row.Labels["phase"]]
		}
		if row.Retried != want {
			t.Errorf("%v: %d retried, want %d", row.Labels, row.Retried, want)
		}
	}
	for _, p := range d.Phases {
		if want := map[string]int64{"steady": 3, "warmup": 4}[p.Name]; p.Requests.Retried != want {
			t.Errorf("phase %s: %d retried, want %d", p.Name, p.Requests.Retried, want)
		}
	}
}
