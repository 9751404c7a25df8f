package fleet

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	pb "proofload/proto/proofload/v1"
)

// TestDrainIsAnsweredOnceHeard proves that a drain is answered when the worker has said that it leaves, or has left:
// what was answered before would be forgotten with the leader.
func TestDrainIsAnsweredOnceHeard(t *testing.T) {
	for name, said := range map[string]*pb.AttachRequest{
		"it asks for its part to be handed over": {Payload: &pb.AttachRequest_Leave{Leave: &pb.Leave{Reason: "told to"}}},
		"it had nothing to do, and leaves":       {Payload: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{Reason: "drained"}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c, _ := b.join(helloOf("w1"))
			told := make(chan error, 1)
			go func() { told <- b.fleet.Drain(t.Context(), "w1", "update") }()
			c.until("drain", func(m *pb.AttachResponse) bool { return m.GetDrain().GetReason() == "update" })
			select {
			case err := <-told:
				t.Fatalf("answered (%v) before the worker had", err)
			default:
			}
			c.send(said)
			if err := <-told; err != nil {
				t.Errorf("drain: %v", err)
			}
			if said.GetLeave() == nil {
				return
			}
			if err := b.fleet.Drain(t.Context(), "w1", "update"); err != nil {
				t.Errorf("the same again: %v", err)
			}
		})
	}
}

// TestDrainThatNobodyHears proves that a drain of a worker which is away ends with an error after its time, that
// the worker is told all the same when it comes, and that a name nobody has is refused at once.
func TestDrainThatNobodyHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := New(Options{Logger: hclog.NewNullLogger(), Clock: func() int64 { return int64(time.Since(began)) }, Handler: &recorder{events: make(chan event, 10)}})
		if err := f.Drain(t.Context(), "w1", "update"); !errors.Is(err, ErrUnknownWorker) {
			t.Errorf("nobody has the name: %v", err)
		}
		f.Adopt(life("w1", 7), "", "r1", 0)
		if err := f.Drain(t.Context(), "w1", "update"); !errors.Is(err, ErrUnheard) || time.Since(began) != heardWithin {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		box := newMailbox()
		f.members["w1"].resume(box)
		if m := box.take(); len(m) != 1 || m[0].GetDrain().GetReason() != "update" {
			t.Errorf("when it comes it is told %v", m)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Drain(ctx, "w1", "update"); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller has gone: %v", err)
		}
	})
}
