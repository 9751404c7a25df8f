package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// TestRunTimeIsTiedOnce proves that T0 follows what the leader says until the load begins, and that from
// then on no leader makes run time jump: one whose clock is far from its predecessor's is listened to
// only with a T0 that is on its own clock, and then by slewing.
func TestRunTimeIsTiedOnce(t *testing.T) {
	const second = int64(time.Second)
	now := 100 * second
	a := newAgent(t, &now)
	t0 := 1000 * second // on the first leader's clock, which is 890 s ahead: reading 110
	w := newWork(t.Context(), a, wire.Assignment{Epoch: 5, Run: "r", Revision: 7, PlanDigest: "unknown", T0: &t0})
	defer w.close()
	runTime := func(when string, want, within time.Duration) {
		t.Helper()
		if got := w.clock.Now(); (got - want).Abs() > within {
			t.Errorf("%s run time is %v, want %v within %v", when, got, want, within)
		}
	}
	w.lease(lease{epoch: 5, leader: run.Offset{Value: 890 * time.Second}, known: true})
	runTime("at first", -10*time.Second, 0)
	later := 1002 * second
	w.apply(wire.Assignment{Epoch: 5, Run: "r", Revision: 8, PlanDigest: "unknown", T0: &later})
	runTime("stamped anew before the start", -12*time.Second, 0)

	w.clock.begin()
	now = 120 * second
	runTime("after the start", 8*time.Second, 0)
	// Another leader answers, whose clock stands at 5000 s; nothing is assigned in its term yet.
	w.lease(lease{epoch: 6, leader: run.Offset{Value: 4880 * time.Second}, known: true})
	w.lease(lease{epoch: 5, leader: run.Offset{Value: 890 * time.Second}, known: true}) // overtaken
	now = 130 * second
	runTime("with another leader", 18*time.Second, 0)
	// It has set its run clock from what the workers told, 100 ms off, and counts its revisions anew.
	t0 = 4992*second + second/10
	w.apply(wire.Assignment{Epoch: 6, Run: "r", Revision: 1, PlanDigest: "unknown", T0: &t0})
	runTime("when that assigns", 18*time.Second, 0)
	now = 140 * second
	runTime("ten seconds later", 28*time.Second-10*time.Second/(1_000_000/run.SlewPPM), time.Microsecond)
}

// TestRunTimeSurvivesARestart proves that the next process of a worker goes on with the run time of the
// one before, with its corrections, and that what belongs to another run, another boot or nobody is not
// used.
func TestRunTimeSurvivesARestart(t *testing.T) {
	const second = int64(time.Second)
	path := filepath.Join(t.TempDir(), "clock")
	f := clockFile{path: path, boot: "b1"}
	now := 100 * second
	saves := 0
	save := func(c run.Clock) error {
		saves++
		return f.save("r", c)
	}
	c := newRunClock(func() int64 { return now }, nil)
	keep := func(want int) {
		t.Helper()
		if err := c.keep(save); err != nil {
			t.Fatal(err)
		}
		if saves != want {
			t.Errorf("the clock was saved %d times by reading %d s, want %d", saves, now/second, want)
		}
	}
	c.tie(100 * second)
	keep(0) // the leader may still stamp T0 anew
	c.begin()
	keep(1)
	now = 101 * second
	keep(1)
	c.tie(101 * second) // by a better estimate
	now = 110 * second
	keep(2)

	left, ok, err := f.load("r")
	if err != nil || !ok {
		t.Fatalf("kept clock: %v, %v", ok, err)
	}
	next := newRunClock(func() int64 { return now }, nil)
	next.resume(left)
	now = 120 * second
	if got, want := next.Now(), c.Now(); (got - want).Abs() > keepWithin {
		t.Errorf("run time after the restart is %v, before it would have been %v", got, want)
	}
	next.tie(0)
	if got, want := next.Now(), c.Now(); (got - want).Abs() > keepWithin {
		t.Errorf("run time jumped from %v to %v", want, got)
	}
	for name, other := range map[string]clockFile{
		"another boot":        {path: path, boot: "b2"},
		"no boot":             {path: path},
		"no file":             {path: path + "2", boot: "b1"},
		"another run's clock": {path: path, boot: "b1"},
	} {
		id := "r"
		if name == "another run's clock" {
			id = "r2"
		}
		if _, ok, err := other.load(id); ok || err != nil {
			t.Errorf("%s: used %v, %v", name, ok, err)
		}
	}
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := f.load("r"); ok || err == nil {
		t.Errorf("a torn file: used %v, %v", ok, err)
	}
}

// TestWorkGoesOnWithTheClock proves that the work of a run takes up the clock which another life of the
// worker has kept of that run, and not that of another.
func TestWorkGoesOnWithTheClock(t *testing.T) {
	const second = int64(time.Second)
	now := 100 * second
	a := newAgent(t, &now)
	a.clocks.boot = "b1"
	t0 := 90 * second
	work := func(id string) *work {
		w := newWork(t.Context(), a, wire.Assignment{Epoch: 5, Run: id, Revision: 1, PlanDigest: "unknown", T0: &t0})
		t.Cleanup(w.close)
		return w
	}
	w := work("r")
	w.lease(lease{epoch: 5, known: true})
	w.clock.begin()
	w.keepClock()
	t0 = 95 * second
	next := work("r")
	next.lease(lease{epoch: 5, known: true})
	if got := next.clock.Now(); got != 10*time.Second {
		t.Errorf("the next life of the worker begins at %v, want 10s", got)
	}
	if work("other").clock.known() {
		t.Error("another run goes on with this run's clock")
	}
}

// TestClockBoth: the run time is that of the reading that its instant belongs to, be they read together or apart.
func TestClockBoth(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	c := newRunClock(func() int64 { return 5 }, func() (int64, time.Time) { return 7, at })
	c.tie(2)
	if run, instant := c.Both(); run != 5 || !instant.Equal(at) || c.Now() != 3 {
		t.Errorf("%d at %v, want 5 at %v; now %d, want 3", run, instant, at, c.Now())
	}
	c = newRunClock(func() int64 { return 5 }, nil)
	c.tie(2)
	if run, instant := c.Both(); run != 3 || time.Since(instant) > time.Minute {
		t.Errorf("%d at %v, want 3 and the present", run, instant)
	}
}
