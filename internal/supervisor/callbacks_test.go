package supervisor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"proofload/internal/run"
)

// heard collects what a callback is told, and answers with err.
type heard struct {
	rig *rig
	ids []string
	err error
}

func (h *heard) call(_ context.Context, n Notification) error {
	h.rig.mu.Lock()
	defer h.rig.mu.Unlock()
	h.ids = append(h.ids, n.ID)
	return h.err
}

func (h *heard) listen(err error) {
	h.rig.mu.Lock()
	defer h.rig.mu.Unlock()
	h.rig.callback, h.err = h.call, err
}

// TestCallbacksAreMadeAgain: what no callback took before its term ended is told by the next one under
// the same id, of runs under way and of ended ones, and then no more.
func TestCallbacksAreMadeAgain(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		h := &heard{rig: r}
		h.listen(errors.New("nobody there"))
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.create("r2", 0)
		r.until("r1", run.Completed)
		r.load("r2", 3*time.Second)
		first := slices.Clone(h.ids)
		for epoch := range int64(2) {
			r.term.end()
			r.resign()
			h.listen(nil)
			h.ids = nil
			r.lead(2 + epoch)
			r.until("r2", run.Failed)
			time.Sleep(time.Second)
			for _, id := range first {
				if again := slices.Contains(h.ids, id); again != (epoch == 0) {
					t.Errorf("term %d tells %q, and %s is of the first", 2+epoch, h.ids, id)
				}
			}
		}
		if len(first) != 3 {
			t.Errorf("the first term told %q", first)
		}
	})
}

// TestCallbackThatHangs holds up neither the end of the term nor the workers of a run.
func TestCallbackThatHangs(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		hang := func(ctx context.Context, _ Notification) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		r.mu.Lock()
		r.callback = hang
		r.mu.Unlock()
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.create("r2", 0)
		r.load("r2", time.Second)
		began := time.Now()
		r.cancel()
		err := <-r.ended
		if took := time.Since(began); took > time.Second {
			t.Errorf("the term ended after %v", took)
		}
		r.ended <- err // resign takes it
		r.mu.Lock()
		r.callback = nil
		r.mu.Unlock()
	})
}

// TestCallbackSeesWhatIsRecorded, and not what the run has become since.
func TestCallbackSeesWhatIsRecorded(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.mu.Lock()
		r.callback = func(_ context.Context, n Notification) error {
			if stored := r.record("r1"); n.Run.Revision > stored.Revision {
				t.Errorf("%s: told of revision %d, and %d is recorded", n.Kind, n.Run.Revision, stored.Revision)
			}
			return nil
		}
		r.mu.Unlock()
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 2*time.Second)
		r.must("r1", run.Event{Kind: run.PauseRequested, ID: "p"})
		r.must("r1", run.Event{Kind: run.ResumeRequested, ID: "q"})
		r.until("r1", run.Completed)
	})
}
