package supervisor

import (
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
)

// TestWatch: everybody who watches gets a window per second and every event; one who does not look
// loses windows, is told how many, loses no event, and holds nobody up.
func TestWatch(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		quick, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		defer quick.Close()
		slow, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		gone, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		windows, events := map[time.Duration]bool{}, 0
		var last run.State
		for range quick.C() {
			for _, u := range quick.Next() {
				if u.Missed != 0 {
					t.Errorf("missed %d views", u.Missed)
				}
				events += len(u.Events)
				last = u.View.Run.State
				if p := u.View.Progress; p != nil && p.Window.Samples > 0 {
					windows[p.RunTime.Truncate(time.Second)] = true
					if p.Window.Rate < 79 /* the last second is empty */ || p.Window.Rate > 110 || p.Window.P99 < 9*time.Millisecond || p.Window.P99 > 11*time.Millisecond {
						t.Errorf("window %+v", p.Window)
					}
				}
			}
		}
		if len(windows) < 9 || last != run.Completed {
			t.Errorf("%d windows in ten seconds, last state %s", len(windows), last)
		}
		updates := slow.Next()
		missed, all := uint64(0), 0
		for _, u := range updates {
			missed += u.Missed
			all += len(u.Events)
		}
		if missed == 0 || len(updates) > heldViews {
			t.Errorf("a slow watcher got %d views and was told of %d lost ones", len(updates), missed)
		}
		if all < events || !updates[len(updates)-1].View.Ended {
			t.Errorf("a slow watcher got %d of %d events; ended: %v", all, events, updates[len(updates)-1].View.Ended)
		}
		if _, err := r.manager.Watch("r1"); err == nil {
			t.Error("an ended run can be watched")
		}
	})
}

// TestEventsAreBounded: of a run in which too much happens the newest events are kept, and it is said
// how many are not.
func TestEventsAreBounded(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", time.Second)
		w, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		live, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		live.mail.post(func() {
			for range 2 * maxEvents {
				live.view.event(live, "worker", "a away")
			}
		})
		time.Sleep(time.Second)
		updates := w.Next()
		events := updates[len(updates)-1].Events
		if n := len(events); n > maxEvents || events[0].Number == 1 || events[n-1].Number != events[0].Number+uint64(n)-1 {
			t.Errorf("%d events, numbered %d to %d", n, events[0].Number, events[n-1].Number)
		}
		_, d := r.ended2("r1")
		if first := d.Events[0]; len(d.Events) > maxEvents+100 || !strings.Contains(first.Detail, "earlier events are not kept") {
			t.Errorf("%d events in the report, the first is %+v", len(d.Events), first)
		}
	})
}
