package agent

import (
	"context"
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
