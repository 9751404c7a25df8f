package supervisor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// TestCheckpointThatFails withholds nothing: what is committed is acknowledged.
func TestCheckpointThatFails(t *testing.T) {
	bubble(t, strings.Replace(shop, "for: 10s", "for: 100s", 1), func(r *rig) {
		r.disk.denied("/checkpoints/")
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 90*time.Second)
		w.mu.Lock()
		acked := w.acked
		w.mu.Unlock()
		if v, err := r.manager.Live("r1"); err != nil || !v.ProvisionalSince.IsZero() || acked < 87 {
			t.Errorf("batch %d of 90 is acknowledged, provisional since %v, error %v", acked, v.ProvisionalSince, err)
		}
		r.disk.denied("")
		time.Sleep(6 * time.Second)
		if head, err := r.manager.opts.Repository.Load(r.t.Context(), "r1"); err != nil || head.Checkpoint == nil {
			t.Errorf("no checkpoint when there is room again, error %v", err)
		}
		r.until("r1", run.Completed)
	})
}

// TestLeftoversAreSwept: what a killed leader has stored and nothing names is deleted by the next.
func TestLeftoversAreSwept(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 5*time.Second)
		const left = "results/r1/segments/000000000099-1-0123456789ab"
		if err := r.disk.PutIfAbsent(r.t.Context(), left, []byte("x")); err != nil {
			t.Fatal(err)
		}
		r.term.end()
		r.resign()
		r.lead(2)
		_, d := r.ended2("r1")
		if d.Load.Sent < 300 {
			t.Errorf("%d sent are left", d.Load.Sent)
		}
		if _, err := r.disk.Get(r.t.Context(), left); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("what the first leader left: %v", err)
		}
	})
}

// TestLeaderWithAnotherStore closes no run of which it finds nothing: a later leader with the right store goes on.
func TestLeaderWithAnotherStore(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		if _, err := r.manager.opts.Repository.ClaimStore(r.t.Context(), r.term); err != nil {
			t.Fatal(err)
		}
		plan, err := r.disk.Get(r.t.Context(), "files/"+r.digest)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := r.disk.Get(r.t.Context(), "identity")
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"files/" + r.digest, "identity"} {
			if err := r.disk.Delete(r.t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		r.succeed(2, 500*time.Millisecond)
		time.Sleep(2 * time.Second)
		if rec := r.record("r1"); rec.State != run.Running {
			t.Errorf("a leader with another store has made it %s: %s", rec.State, rec.Reason)
		}
		for key, data := range map[string][]byte{"files/" + r.digest: plan, "identity": identity} {
			if err := r.disk.Put(r.t.Context(), key, data); err != nil {
				t.Fatal(err)
			}
		}
		r.succeed(3, 500*time.Millisecond)
		rec, d := r.ended2("r1")
		if rec.State != run.Completed {
			t.Errorf("with the right store it is %s: %s", rec.State, rec.Reason)
		}
		whole(t, rec, d)
	})
}

// TestDamagedRunIsClosed: a run that cannot be conducted ends as FAILED with the reason, and the next
// one starts.
func TestDamagedRunIsClosed(t *testing.T) {
	for what, break1 := range map[string]func(r *rig, head result.Head) error{
		"no plan":     func(r *rig, _ result.Head) error { return r.disk.Delete(r.t.Context(), "files/"+r.digest) },
		"other plan":  func(r *rig, _ result.Head) error { return r.disk.Put(r.t.Context(), "files/"+r.digest, []byte("{}")) },
		"lost sample": func(r *rig, h result.Head) error { return r.disk.Delete(r.t.Context(), h.Last.Blob.Key) },
	} {
		bubble(t, shop, func(r *rig) {
			r.fleet.join("a", 10)
			r.create("r1", 0)
			r.load("r1", 3*time.Second)
			r.term.end()
			r.resign()
			head, err := result.NewRepository(r.records, r.disk).Load(r.t.Context(), "r1")
			if err != nil {
				t.Fatal(err)
			}
			if err := break1(r, head); err != nil {
				t.Fatal(err)
			}
			r.lead(2)
			rec := r.until("r1", run.Failed)
			if rec.Verdict.Result != run.Invalid || len(rec.Verdict.Reasons) == 0 {
				t.Errorf("%s: verdict %+v", what, rec.Verdict)
			}
			data, err := r.plan.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.disk.Put(r.t.Context(), "files/"+r.digest, data); err != nil {
				t.Fatal(err)
			}
			r.fleet.join("a", 20)
			r.create("r2", 0)
			r.until("r2", run.Completed)
		})
	}
}

// TestUnreadableRecordIsLeftAlone, and keeps nothing from starting.
func TestUnreadableRecordIsLeftAlone(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.create("r1", 0)
		r.create("r2", 0)
		r.resign()
		writes := []result.Write{{Key: result.HeadKey("r1"), Value: []byte("{"), IfRevision: result.AnyRevision}}
		if _, err := r.term.Commit(r.t.Context(), writes); err != nil {
			t.Fatal(err)
		}
		r.lead(2)
		r.fleet.join("a", 20)
		r.until("r2", run.Completed)
		if !strings.Contains(r.log.String(), "its record cannot be read") {
			t.Errorf("nothing is said about it:\n%s", r.log.String())
		}
	})
}
