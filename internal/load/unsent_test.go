package load

import (
	"testing"
	"time"

	"proofload/internal/load/flow"
	"proofload/internal/load/transport"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// TestUnsentRequests: a request that could not be built was not sent: an independent server agrees with
// the requests counted, and its iteration has failed all the same.
func TestUnsentRequests(t *testing.T) {
	for _, tt := range []struct {
		name     string
		field    scenario.Field
		step     int // that cannot be built
		kind     string
		requests func(arrivals int64) int64
	}{
		{"a variable that is absent", scenario.Field{Name: "x", Value: "${vars.nothing}"}, 0, flow.KindTemplate, func(int64) int64 { return 0 }},
		{"in the second step", scenario.Field{Name: "x", Value: "${vars.nothing}"}, 1, flow.KindTemplate, func(n int64) int64 { return n }},
		{"not expressible", scenario.Field{Name: "x", Value: "a\nb"}, 0, string(transport.KindRequest), func(int64) int64 { return 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newCountingServer(t)
			phase := openPhase("p", [3]float64{10, 10, 0.5}) // fewer than the server lets fail
			phase.Late = 30 * time.Second                    // a machine without a free core is no error of this test
			plan := httpPlan(server.URL, 2, phase)
			plan.Flows["f"].Steps[tt.step].HTTP.Headers = []scenario.Field{tt.field}
			s := execute(t, plan)
			a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
			if a.Sent == 0 || a.Failed != a.Sent {
				t.Errorf("arrivals %+v, want all failed", *a)
			}
			requests, failed := s.Requests()
			if want := tt.requests(a.Sent); requests != want || failed != 0 || server.total.Load() != want {
				t.Errorf("%d requests of which %d failed, the server saw %d; want %d", requests, failed, server.total.Load(), want)
			}
			unsent := s.Select(metric.Unsent, func(l metric.Labels) bool { return l.Get("error") == tt.kind && l.Get("outcome") == "failed" })
			if unsent.Count() != uint64(a.Sent) {
				t.Errorf("%d unsent, want %d", unsent.Count(), a.Sent)
			}
		})
	}
}
