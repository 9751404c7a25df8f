package supervisor

import (
	"context"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// answered returns what a robot was told about its batches.
func (w *robot) answered() (nacks []wire.Nack, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nacks, w.closed
}

// TestOnlyTheRecordClosesARun: a worker deletes the samples of a run that it is told is closed. It is
// told so when the record says that the run is over or gone, and not when only the term is.
func TestOnlyTheRecordClosesARun(t *testing.T) {
	hello := wire.Hello{Name: "a", Outbox: []wire.OutboxState{{Run: "r1", Incarnation: 10, OldestUnacked: 4, NextSeq: 5}}}
	batch := sealed("r1", metric.Source{Worker: "a", Incarnation: 10}, 4, metric.NewSecond(3))
	t.Run("the term is over", func(t *testing.T) {
		bubble(t, shop, func(r *rig) {
			w := r.fleet.join("a", 10)
			r.create("r1", 0)
			r.load("r1", 3500*time.Millisecond)
			r.cancel()
			time.Sleep(100 * time.Millisecond)
			r.manager.Received(w.info(), batch)
			marks := r.manager.Attached(w.info(), hello)
			time.Sleep(100 * time.Millisecond)
			if nacks, closed := w.answered(); closed || len(nacks) > 0 || len(marks) > 0 {
				t.Errorf("after the end of the term: closed %v, nacks %+v, marks %+v", closed, nacks, marks)
			}
		})
	})
	t.Run("the closing record is not written", func(t *testing.T) {
		bubble(t, shop, func(r *rig) {
			w := r.fleet.join("a", 10)
			r.create("r1", 0)
			r.load("r1", 9500*time.Millisecond)
			r.term.trouble.refuse(saying(`"verdict":`))
			time.Sleep(5 * time.Second)
			r.manager.Received(w.info(), batch)
			time.Sleep(100 * time.Millisecond)
			if nacks, closed := w.answered(); closed || len(nacks) > 0 {
				t.Errorf("before the run is closed: closed %v, nacks %+v", closed, nacks)
			}
			r.term.trouble.refuse(nil)
			r.until("r1", run.Completed)
			r.manager.Received(w.info(), batch)
			time.Sleep(100 * time.Millisecond)
			if nacks, _ := w.answered(); len(nacks) != 1 || nacks[0].Reason != wire.NackClosed {
				t.Errorf("after the run was closed: %+v", nacks)
			}
		})
	})
	t.Run("the run was deleted", func(t *testing.T) {
		bubble(t, shop, func(r *rig) {
			w := r.fleet.join("a", 10)
			r.create("r1", 0)
			r.until("r1", run.Completed)
			r.manager.Attached(w.info(), hello)
			time.Sleep(100 * time.Millisecond)
			if nacks, closed := w.answered(); !closed || len(nacks) > 0 {
				t.Errorf("of a closed run: closed %v, nacks %+v", closed, nacks)
			}
			if err := r.manager.opts.Repository.Delete(context.Background(), r.term, "r1"); err != nil {
				t.Fatal(err)
			}
			r.manager.Attached(w.info(), hello)
			time.Sleep(100 * time.Millisecond)
			if nacks, _ := w.answered(); len(nacks) != 1 || nacks[0].Reason != wire.NackUnknownRun {
				t.Errorf("of a deleted run: %+v", nacks)
			}
			r.manager.Received(w.info(), batch)
			time.Sleep(100 * time.Millisecond)
			if nacks, _ := w.answered(); len(nacks) != 2 || nacks[1].Reason != wire.NackUnknownRun || nacks[1].Run != "r1" {
				t.Errorf("a batch of a deleted run: %+v", nacks)
			}
		})
	})
}
