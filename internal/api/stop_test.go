package api

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// halter is a Halter that keeps what it was given.
type halter struct {
	got    []wire.Halt
	HaltFn func(wire.Halt) (wire.Passed, error)

	HaltAllFn func(wire.Halt) (wire.Outcome, error)
	UnhaltFn  func(request string) (wire.Halted, bool, error)
}

// HaltAll implements Halter.
func (h *halter) HaltAll(_ context.Context, order wire.Halt) (wire.Outcome, error) {
	return h.HaltAllFn(order)
}

// Unhalt implements Halter.
func (h *halter) Unhalt(_ context.Context, request string) (wire.Halted, bool, error) {
	return h.UnhaltFn(request)
}

// Halt implements Halter.
func (h *halter) Halt(_ context.Context, order wire.Halt) (wire.Passed, error) {
	h.got = append(h.got, order)
	return h.HaltFn(order)
}

// conductor is a Conductor and an Archive whose run is live, and whose commands do what the test says.
type conductor struct {
	*memory
	CommandFn func(ctx context.Context, ev run.Event) (wire.RunView, error)
}

func (c *conductor) Get(_ context.Context, id string) (wire.RunView, error) {
	return wire.RunView{Run: run.Run{ID: id}}, nil
}

func (c *conductor) Command(ctx context.Context, _ string, ev run.Event) (wire.RunView, error) {
	return c.CommandFn(ctx, ev)
}

// TestStopThatCannotBeRecordedIsPassedOn proves what becomes of a stop: recorded it is the leader's to answer; while
// it cannot be recorded it is passed on and the answer says how far; what is refused for good is not passed on.
func TestStopThatCannotBeRecordedIsPassedOn(t *testing.T) {
	hang := func(ctx context.Context, _ run.Event) (wire.RunView, error) {
		<-ctx.Done()
		return wire.RunView{}, context.Cause(ctx)
	}
	fail := func(err error) func(context.Context, run.Event) (wire.RunView, error) {
		return func(context.Context, run.Event) (wire.RunView, error) { return wire.RunView{}, err }
	}
	for name, row := range map[string]struct {
		leads    bool
		command  func(context.Context, run.Event) (wire.RunView, error)
		passedOn bool
		code     codes.Code
		reason   string
	}{
		"it is recorded": {true, func(context.Context, run.Event) (wire.RunView, error) {
			return wire.RunView{Run: run.Run{ID: "r1"}}, nil
		}, false, codes.OK, ""},
		"nobody leads":         {false, nil, true, codes.OK, "does not lead"},
		"the store is silent":  {true, hang, true, codes.OK, "the store has not taken it within 3s"},
		"the term ended":       {true, fail(ErrNotLeading), true, codes.OK, "this coordinator does not lead"},
		"the store is broken":  {true, fail(errors.New("disk on fire")), true, codes.OK, "disk on fire"},
		"the run has ended":    {true, fail(ErrEnded), false, codes.FailedPrecondition, ""},
		"there is no such run": {true, fail(ErrNotFound), false, codes.NotFound, ""},
		"the id is another's":  {true, fail(&run.EventError{}), false, codes.InvalidArgument, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &halter{HaltFn: func(wire.Halt) (wire.Passed, error) {
					return wire.Passed{Told: []string{"a", "b"}, Stopped: []string{"a"}, Coordinators: []string{"c1"}}, nil
				}}
				s := NewServer("test")
				s.Halts(h)
				if row.leads {
					c := &conductor{memory: newMemory(), CommandFn: row.command}
					s.Lead(&Backend{Conductor: c, Archive: c, Files: c, Cluster: c}, wire.Leader{Name: "c1", Epoch: 3})
				}
				began := time.Now()
				resp, err := (&runService{server: s}).StopRun(t.Context(), &pb.StopRunRequest{RunId: "r1", RequestId: request1, Reason: "enough", BySignal: true})
				if status.Code(err) != row.code || time.Since(began) > recordWithin {
					t.Fatalf("answered %v, %v after %v", resp, err, time.Since(began))
				}
				if row.passedOn != (len(h.got) == 1) || row.passedOn != (resp.GetPassedOn() != nil) {
					t.Fatalf("passed on %+v, answered %v", h.got, resp)
				}
				if !row.passedOn {
					return
				}
				want := wire.Halt{Run: "r1", Kind: run.StopSignal, Reason: "enough", Order: wire.Order{Request: request1}}
				if on := resp.GetPassedOn(); h.got[0] != want || len(on.GetToldWorkers()) != 2 || len(on.GetStoppedWorkers()) != 1 || !strings.Contains(on.GetReason(), row.reason) {
					t.Errorf("passed on %+v, answered %v", h.got[0], on)
				}
			})
		})
	}
}

// TestStopRecordedByAnother proves that a stop which one of the others has recorded is answered as recorded, and that
// one which cannot be passed on is an error.
func TestStopRecordedByAnother(t *testing.T) {
	h := &halter{HaltFn: func(wire.Halt) (wire.Passed, error) { return wire.Passed{Recorded: &pb.Run{Id: "r1"}}, nil }}
	s := NewServer("test")
	s.Halts(h)
	resp, err := (&runService{server: s}).StopRun(t.Context(), &pb.StopRunRequest{RunId: "r1", RequestId: request1})
	if err != nil || resp.GetRun().GetId() != "r1" || resp.GetPassedOn() != nil {
		t.Errorf("answered %v, %v", resp, err)
	}
	h.HaltFn = func(wire.Halt) (wire.Passed, error) { return wire.Passed{}, ErrNotFound }
	if _, err := (&runService{server: s}).StopRun(t.Context(), &pb.StopRunRequest{RunId: "last", RequestId: request1}); status.Code(err) != codes.NotFound {
		t.Errorf("answered %v", err)
	}
}
