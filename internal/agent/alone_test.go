package agent

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/scenario"
)

const breaking = `
version: 1
name: break
target: http://127.0.0.1:9
flows:
  f:
    - step: a
      http: {method: GET, path: /}
phases:
  - name: p
    flow: f
    rate: [{hold: {at: 20/s, for: 60s}}]
criteria:
  - {name: rate, check: "rate(requests) > 1000/s", window: 1s, on_breach: abort}
  - {name: errors, check: "error_ratio(requests) < 10%", window: 1s, on_breach: abort}
`

// TestAloneJudgesWhatAPartCanTell: a share of errors is the same for a part of the load, a rate that is too low is not.
func TestAloneJudgesWhatAPartCanTell(t *testing.T) {
	load := func(text string) *scenario.Plan {
		plan, err := scenario.Load(fstest.MapFS{"s.yaml": {Data: []byte(text)}}, "s.yaml", scenario.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	rateOnly, _, _ := strings.Cut(breaking, "  - {name: errors")
	if newAlone(load(rateOnly)) != nil {
		t.Error("a worker judges the rate of a part")
	}
	a := newAlone(load(breaking))
	for i := range int64(10) {
		s := metric.NewSecond(i)
		s.Health = metric.HealthValid
		outcome := "ok"
		if i >= 5 {
			outcome = "failed"
		}
		h := hist.New()
		for range 20 {
			h.Record(time.Millisecond)
		}
		s.Add(metric.Key{Metric: metric.ResponseTime, Labels: metric.NewLabels("phase", "p", "flow", "f", "step", "a", "outcome", outcome)}, metric.Value{Hist: h})
		key := metric.ArrivalKey{Phase: "p", Flow: "f"}
		s.Arrivals[key] = &metric.Arrivals{Planned: 23, Sent: 20, Succeeded: 20, NotSent: map[metric.Cause]int64{metric.CauseNoPermit: 3}}
		a.observe(s, nil)
		if s.Arrivals[key].NotSent[metric.CauseNoPermit] != 3 {
			t.Fatal("what is sealed was changed")
		}
		if i < 5 && a.breach != nil {
			t.Errorf("breach %+v after good seconds", a.breach)
		}
	}
	if a.breach == nil || a.breach.From != 5*time.Second {
		t.Errorf("breach %+v, want one from 5 s on", a.breach)
	}
}
