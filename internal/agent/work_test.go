package agent

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// newAgent returns an agent that is not run, with a clock that the test moves.
func newAgent(t *testing.T, now *int64) *Agent {
	t.Helper()
	a, err := New(Options{
		Name: "w", Addresses: []string{"127.0.0.1:1"}, DataDir: t.TempDir(),
		Clock: func() int64 { return *now }, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// newEngine returns an engine of a small plan that has not been started.
func newEngine(t *testing.T, w *work) *load.Engine {
	t.Helper()
	plan, err := scenario.Load(fstest.MapFS{"s.yaml": {Data: []byte(onePhase + "target: http://127.0.0.1:9\n")}}, "s.yaml", scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := load.New(load.Options{Plan: plan, Worker: "w", Clock: w.clock, Logger: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

// TestSecondThatNoMessageCarries proves that a second whose samples are too many for one message ends
// the run with that reason, and neither the worker nor what it seals after.
func TestSecondThatNoMessageCarries(t *testing.T) {
	now := int64(1000)
	a := newAgent(t, &now)
	w := newWork(t.Context(), a, wire.Assignment{Run: "r", Revision: 1, PlanDigest: "unknown"})
	defer w.close()
	engine := newEngine(t, w)
	for index, row := range []struct {
		most int
		want uint64
	}{{1 << 20, 1}, {10, 1}, {1 << 20, 2}} {
		a.outbox.most = row.most
		var before uint64
		if index > 0 {
			before = 1
		}
		if got, err := w.batch(t.Context(), engine, int64(index), before); err != nil || got != row.want {
			t.Errorf("second %d with room for %d bytes: last batch %d, %v; want %d", index, row.most, got, err, row.want)
		}
	}
	if s := a.link.up.status; s.State != wire.WorkerFailed || !strings.Contains(s.Error, "second 1 fit into no message") {
		t.Errorf("status %+v", s)
	}
}

// TestTaskForWorkThatEnds proves that a task which arrives while the work is closed is answered as one
// that cannot be done, and that none begins after the work has waited for those that had.
func TestTaskForWorkThatEnds(t *testing.T) {
	now := int64(1000)
	a := newAgent(t, &now)
	w := newWork(t.Context(), a, wire.Assignment{Run: "r", Revision: 1, PlanDigest: "unknown"})
	a.adopt(w)
	var posting sync.WaitGroup
	for i := range 100 {
		posting.Go(func() { a.tasked(wire.Task{ID: strconv.Itoa(i), Run: "r", Kind: "teardown"}) })
	}
	w.close()
	a.link.mu.Lock()
	answered := len(a.link.up.results) // with all that had begun
	a.link.mu.Unlock()
	posting.Wait()
	for _, r := range a.link.up.results[answered:] {
		if r.Error != "worker is not prepared for the run" {
			t.Errorf("task %s was begun after the end: %q", r.ID, r.Error)
		}
	}
	if n := len(a.link.up.results); n != 100 {
		t.Errorf("%d tasks were answered, want all 100", n)
	}
}
