package supervisor

import (
	"testing"
	"time"
)

// TestCaretakerShowsWhatWorkersSend: after the end of a term the live view goes on with what the workers
// send, and says that it is a caretaker's; nothing of it is committed or acknowledged, and the next leader
// counts it once.
func TestCaretakerShowsWhatWorkersSend(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3*time.Second)
		before, err := r.manager.Live("r1")
		if err != nil {
			t.Fatal(err)
		}
		r.term.end()
		r.cancel()
		<-r.ended
		since := time.Now()
		revision := r.record("r1").Revision
		c := r.manager.Caretake(since)
		w, err := c.Watch("r1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		v, err := c.Live("r1")
		if err != nil || !v.CaretakerSince.Equal(since) || v.ProvisionalSince.IsZero() || v.Ended {
			t.Fatalf("view %+v, %v", v, err)
		}
		if p := v.Progress; p.RunTime < 4400*time.Millisecond || p.Load.Sent < before.Progress.Load.Sent+100 {
			t.Errorf("live view stands at %v with %d sent; at the end of the term it was %d", p.RunTime, p.Load.Sent, before.Progress.Load.Sent)
		}
		if all := c.Active(); len(all) != 1 || all[0].Run.ID != "r1" {
			t.Errorf("active %+v", all)
		}
		if first := w.Next(); len(first) != 1 || len(first[0].Events) == 0 || first[0].View.Ended {
			t.Errorf("watch %+v", first)
		}
		if got := r.record("r1").Revision; got != revision {
			t.Errorf("the record went from revision %d to %d without a leader", revision, got)
		}
		c.End()
		c.End()
		<-w.C()
		if last := w.Next(); !last[0].View.Ended || len(last[0].Events) > 0 {
			t.Errorf("the watch does not end: %+v", last)
		}
		w.Close()
		if _, err := c.Watch("r2"); err == nil {
			t.Error("a run that there is not is watched")
		}
		r.elect(2)
		r.fleet.reattach()
		rec, d := r.ended2("r1")
		whole(t, rec, d)
	})
}
