package supervisor

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/wire"
)

// TestLiveRateOfSeveralWorkers: a second counts once every worker has told of it, whenever one looks, and
// those who watch get it then; the last one comes in too.
func TestLiveRateOfSeveralWorkers(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		b.late = 300 * time.Millisecond
		r.create("r1", 0)
		watch, err := r.manager.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		check := func(p *wire.Progress) {
			if p != nil && p.RunTime < 10*time.Second && p.Window.Samples > 0 && math.Abs(p.Window.Rate-100) > 1 {
				t.Errorf("at %v: %.1f requests per second over %v, want 100", p.RunTime, p.Window.Rate, p.Window.Length)
			}
		}
		var looking sync.WaitGroup
		looking.Go(func() {
			for v, err := r.manager.Live("r1"); err == nil; v, err = r.manager.Live("r1") {
				check(v.Progress)
				time.Sleep(10 * time.Millisecond)
			}
		})
		first := map[int64]time.Duration{} // when a number of arrivals was published first
		var last *wire.Progress
		for range watch.C() {
			for _, u := range watch.Next() {
				p := u.View.Progress
				check(p)
				if p == nil {
					continue
				}
				if last = p; first[p.Load.Sent] == 0 {
					first[p.Load.Sent] = p.RunTime
				}
			}
		}
		looking.Wait()
		for n := int64(1); n < 10; n++ {
			if late := first[100*n] - time.Duration(n)*time.Second; late < b.late || late > b.late+100*time.Millisecond {
				t.Errorf("second %d was published %v after its end", n-1, late)
			}
		}
		if last.Load.Sent != 1000 || last.Window.Length != windowSeconds*time.Second || last.Window.Samples != 400 {
			t.Errorf("at the end: %+v, window %+v, want 1000 sent, 400 of them in five seconds: the last of these is behind the load", last.Load, last.Window)
		}
	})
}

// TestSilentWorkerDoesNotFreezeTheWindow: the window goes on two seconds behind the newest, and with the
// seconds that the worker brings late once it is heard again.
func TestSilentWorkerDoesNotFreezeTheWindow(t *testing.T) {
	a, b := metric.Source{Worker: "a", Incarnation: 1}, metric.Source{Worker: "b", Incarnation: 2}
	w := newRecent()
	tell := func(s metric.Source, index int64, health metric.Health) {
		second := metric.NewSecond(index)
		second.Health = health
		h := hist.New()
		h.Record(10 * time.Millisecond)
		second.Add(metric.Key{Metric: metric.ResponseTime, Labels: metric.NewLabels("outcome", "ok")}, metric.Value{Hist: h})
		w.add(metric.Batch{Source: s, Second: second})
	}
	for _, row := range []struct {
		name    string
		tell    func()
		awaited []metric.Source
		moved   bool
		shown   int64
		samples int64
		health  string
		causes  []string
	}{
		{"nothing", func() {}, []metric.Source{a, b}, false, -1, 0, "", nil},
		{"a part", func() { tell(a, 0, metric.HealthValid) }, []metric.Source{a, b}, false, -1, 0, "", nil},
		{"both", func() { tell(b, 0, metric.HealthInvalid) }, []metric.Source{a, b}, true, 0, 2, "INVALID", nil},
		{"one is silent", func() { tell(a, 1, metric.HealthDegraded) }, []metric.Source{a, b}, false, 0, 2, "INVALID", nil},
		{"and still is", func() { tell(a, 2, metric.HealthValid) }, []metric.Source{a, b}, false, 0, 2, "INVALID", nil},
		{"for too long", func() { tell(a, 3, metric.HealthValid) }, []metric.Source{a, b}, true, 1, 3, "INVALID", []string{"missing: b"}},
		{"it comes back", func() { tell(b, 1, metric.HealthInvalid) }, []metric.Source{a, b}, false, 1, 4, "INVALID", nil},
		{"and catches up", func() { tell(b, 2, metric.HealthValid) }, []metric.Source{a, b}, true, 2, 6, "VALID", nil},
		{"it is given up", func() {}, []metric.Source{a}, true, 3, 7, "VALID", nil},
		{"everybody has told all", func() { tell(a, 4, metric.HealthValid) }, nil, true, 4, 8, "VALID", nil},
	} {
		row.tell()
		if moved := w.settle(row.awaited); moved != row.moved || w.shown != row.shown {
			t.Errorf("%s: moved %v to second %d, want %v and %d", row.name, moved, w.shown, row.moved, row.shown)
		}
		if got := w.window(); got.Samples != row.samples || got.End != time.Duration(row.shown+1)*time.Second {
			t.Errorf("%s: %d samples through %v, want %d through second %d", row.name, got.Samples, got.End, row.samples, row.shown)
		}
		if health, causes := w.validity(row.awaited); health != row.health || !slices.Equal(causes, row.causes) {
			t.Errorf("%s: %q %q, want %q %q", row.name, health, causes, row.health, row.causes)
		}
	}
}
