package supervisor

import (
	"testing"

	"proofload/internal/wire"
)

// TestUnsentRequestsAreSeenLive: requests that never left are counted while the run goes on as the report
// counts them at its end: apart from requests and errors, and by phase.
func TestUnsentRequestsAreSeenLive(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10).unsent = true
		r.create("r1", 0)
		watch, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		var last *wire.Progress
		for range watch.C() {
			for _, u := range watch.Next() {
				if u.View.Progress != nil {
					last = u.View.Progress
				}
			}
		}
		_, d := r.ended2("r1")
		if n := d.Requests.Unsent["template"]; n != 1000 || d.Requests.Sent != 1000 {
			t.Errorf("requests of the report %+v, want 1000 sent and 1000 unsent", d.Requests)
		}
		for what, c := range map[string]wire.Counts{"run": last.Load, "phase": last.Phases[0].Load} {
			if c.Unsent != 1000 || c.Requests != 1000 || c.Errors != 0 {
				t.Errorf("%s: %d unsent, %d requests, %d errors, want 1000, 1000 and 0", what, c.Unsent, c.Requests, c.Errors)
			}
		}
	})
}
