package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"proofload/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLeaseThatCameWhileTheWorkWasMade proves that a lease which is granted while the work of a new
// assignment is being made is in force: the next one would come a second later, and without one the
// first second of the run would not be fired.
func TestLeaseThatCameWhileTheWorkWasMade(t *testing.T) {
	now := int64(1000)
	a, err := New(Options{
		Name: "w", Addresses: []string{"127.0.0.1:1"}, DataDir: t.TempDir(),
		Clock: func() int64 { return now }, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := newWork(context.Background(), a, wire.Assignment{Run: "r", Revision: 1, PlanDigest: "unknown"})
	defer w.close()
	a.leased(lease{until: now + int64(20*time.Second), known: true})
	a.adopt(w)
	if got, want := w.last.until, now+int64(20*time.Second); got != want {
		t.Errorf("work may start until %d, the lease is granted until %d", got, want)
	}
	w.lease(lease{until: now, known: true})
	if got, want := w.last.until, now+int64(20*time.Second); got != want {
		t.Errorf("after an older lease that was overtaken, work may start until %d, want %d", got, want)
	}
}

// TestFailedPreparationClosesTheBooks proves that a worker which cannot prepare sends its final: the
// run waits for that of everybody who was given a part of it.
func TestFailedPreparationClosesTheBooks(t *testing.T) {
	a, err := New(Options{
		Name: "w", Addresses: []string{"127.0.0.1:1"}, DataDir: t.TempDir(),
		Clock: func() int64 { return 0 }, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	garbage := []byte("no plan")
	if err := a.link.files.store(digestOf(garbage), garbage); err != nil {
		t.Fatal(err)
	}
	w := newWork(context.Background(), a, wire.Assignment{Run: "r", Revision: 1, PlanDigest: digestOf(garbage)})
	<-w.executed
	w.close()
	finals, status := a.link.up.finals, a.link.up.status
	if len(finals) != 1 || finals[0].Run != "r" || finals[0].LastSeq != 0 {
		t.Errorf("finals %+v", finals)
	}
	if status.State != wire.WorkerFailed || status.Error == "" {
		t.Errorf("status %+v", status)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestSavedValuesAreBounded: what setup saves is part of the run's record, and too much of it is an error
// that says so.
func TestSavedValuesAreBounded(t *testing.T) {
	fits := strings.Repeat("x", wire.MaxSaved-len(`{"a":""}`))
	if data, err := encodeSaved(map[string]any{"a": fits}); err != nil || len(data) != wire.MaxSaved {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if _, err := encodeSaved(map[string]any{"a": fits + "x"}); err == nil || !strings.Contains(err.Error(), "65537 bytes") {
		t.Errorf("one byte too much: %v", err)
	}
}

// TestLeaseIsOfOneRun: what was granted for one run, by the grace of its scenario, is no lease for the next one.
func TestLeaseIsOfOneRun(t *testing.T) {
	now := int64(1000)
	a, err := New(Options{
		Name: "w", Addresses: []string{"127.0.0.1:1"}, DataDir: t.TempDir(),
		Clock: func() int64 { return now }, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	a.assigned(wire.Assignment{Run: "long", Revision: 1})
	a.leased(lease{sent: now, until: now + int64(time.Minute), known: true})
	if a.leases.until == 0 {
		t.Fatal("the lease of the run is not in force")
	}
	before := now
	now += int64(5 * time.Second)
	a.assigned(wire.Assignment{Run: "short", Revision: 1})
	a.leased(lease{sent: before, until: before + int64(time.Minute), known: true}) // the answer was on its way
	if a.leases.until != 0 {
		t.Errorf("the next run has a lease until %d of the one before", a.leases.until)
	}
	a.leased(lease{sent: now, until: now + int64(2*time.Second), known: true})
	if got, want := a.leases.until, now+int64(2*time.Second); got != want {
		t.Errorf("the lease is until %d, want %d", got, want)
	}
}
