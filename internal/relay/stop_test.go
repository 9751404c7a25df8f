package relay

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// TestStopIsAnsweredAlone proves that a stop is the leader's to answer if it does, and this coordinator's own if the
// leader is gone, does not answer, or leads no more; and that what the leader refuses for good stands.
func TestStopIsAnsweredAlone(t *testing.T) {
	before := answeredAlone[pb.RunService_StopRun_FullMethodName]
	answeredAlone[pb.RunService_StopRun_FullMethodName] = 300 * time.Millisecond
	defer func() { answeredAlone[pb.RunService_StopRun_FullMethodName] = before }()
	for name, row := range map[string]struct {
		leader func(context.Context, *pb.StopRunRequest) (*pb.StopRunResponse, error)
		gone   bool
		by     string
		code   codes.Code
	}{
		"the leader does it": {func(context.Context, *pb.StopRunRequest) (*pb.StopRunResponse, error) {
			return &pb.StopRunResponse{Run: &pb.Run{Id: "leader"}}, nil
		}, false, "leader", codes.OK},
		"the leader is gone": {nil, true, "follower", codes.OK},
		"the leader hangs": {func(ctx context.Context, _ *pb.StopRunRequest) (*pb.StopRunResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, false, "follower", codes.OK},
		"it leads no more": {func(context.Context, *pb.StopRunRequest) (*pb.StopRunResponse, error) {
			st, err := status.New(codes.FailedPrecondition, "this coordinator does not lead").WithDetails(&pb.LeaderInfo{})
			return nil, errors.Join(err, st.Err())
		}, false, "follower", codes.OK},
		"it refuses": {func(context.Context, *pb.StopRunRequest) (*pb.StopRunResponse, error) {
			return nil, status.Error(codes.FailedPrecondition, "run r has ended")
		}, false, "", codes.FailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			leader, follower := cluster(t)
			leader.StopRunFn = row.leader
			follower.StopRunFn = func(context.Context, *pb.StopRunRequest) (*pb.StopRunResponse, error) {
				return &pb.StopRunResponse{Run: &pb.Run{Id: "follower"}}, nil
			}
			if row.gone {
				leader.stop()
			}
			got, err := follower.runs.StopRun(within(t), &pb.StopRunRequest{RunId: "r"})
			if status.Code(err) != row.code || got.GetRun().GetId() != row.by {
				t.Errorf("answered %v, %v; want it by %q", got, err, row.by)
			}
		})
	}
}

// TestStopIsPassedOnOnce proves that a stop which one coordinator passes to another is answered there, with what it
// is and who was asked, and that it is told whether that one has recorded it, keeps it, or refuses it for good.
func TestStopIsPassedOnOnce(t *testing.T) {
	_, follower := cluster(t)
	order := wire.Halt{Run: "r", Kind: run.StopSignal, Reason: "enough", Order: wire.Order{Request: "q", AskedOf: "c9", Asked: time.Unix(1000, 0).UTC()}}
	var resp *pb.StopRunResponse
	var refusal error
	follower.StopRunFn = func(ctx context.Context, r *pb.StopRunRequest) (*pb.StopRunResponse, error) {
		if len(metadata.ValueFromIncomingContext(ctx, wire.MetaPassedOn)) != 1 || !r.GetBySignal() || r.GetAskedOf() != "c9" || r.GetAskedTime().AsTime() != order.Asked || r.GetRequestId() != "q" || r.GetReason() != "enough" {
			t.Errorf("passed on %v", r)
		}
		return resp, refusal
	}
	ask := func() (wire.Passed, error) { return follower.relay.Stop(within(t), follower.leader.Address, order) }
	resp = &pb.StopRunResponse{PassedOn: &pb.StopPassedOn{ToldWorkers: []string{"a"}, Coordinators: []string{"c2"}}}
	if p, err := ask(); err != nil || p.Recorded != nil || len(p.Told) != 1 || len(p.Coordinators) != 1 {
		t.Errorf("passed %+v, %v", p, err)
	}
	resp = &pb.StopRunResponse{Run: &pb.Run{Id: "r"}}
	if p, err := ask(); err != nil || p.Recorded.GetId() != "r" {
		t.Errorf("passed %+v, %v", p, err)
	}
	for _, row := range []struct {
		err   error
		final bool
	}{{status.Error(codes.NotFound, "no such run"), true}, {status.Error(codes.FailedPrecondition, "it has ended"), true}, {detailed(t, codes.Internal, "no", ""), false}} {
		resp, refusal = nil, row.err
		if _, err := ask(); err == nil || errors.Is(err, ErrRefused) != row.final {
			t.Errorf("%v: %v", row.err, err)
		}
	}
	follower.stop()
	if _, err := ask(); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("a coordinator that is gone: %v", err)
	}
}

// TestHaltIsAnsweredAlone proves that a halt is the leader's to answer if it does, and this coordinator's own if the
// leader is gone or leads no more.
func TestHaltIsAnsweredAlone(t *testing.T) {
	for name, row := range map[string]struct {
		leader func(context.Context, *pb.HaltRequest) (*pb.HaltResponse, error)
		by     string
	}{
		"the leader does it": {func(context.Context, *pb.HaltRequest) (*pb.HaltResponse, error) {
			return &pb.HaltResponse{RunIds: []string{"leader"}}, nil
		}, "leader"},
		"the leader is gone": {nil, "follower"},
		"it leads no more": {func(context.Context, *pb.HaltRequest) (*pb.HaltResponse, error) {
			st, err := status.New(codes.FailedPrecondition, "this coordinator does not lead").WithDetails(&pb.LeaderInfo{})
			return nil, errors.Join(err, st.Err())
		}, "follower"},
	} {
		t.Run(name, func(t *testing.T) {
			leader, follower := cluster(t)
			leader.HaltFn = row.leader
			follower.HaltFn = func(context.Context, *pb.HaltRequest) (*pb.HaltResponse, error) {
				return &pb.HaltResponse{RunIds: []string{"follower"}}, nil
			}
			if row.leader == nil {
				leader.stop()
			}
			got, err := follower.fleet.Halt(within(t), &pb.HaltRequest{Reason: "enough"})
			if err != nil || len(got.GetRunIds()) != 1 || got.GetRunIds()[0] != row.by {
				t.Errorf("answered %v, %v; want it by %q", got, err, row.by)
			}
		})
	}
}

// TestHaltIsPassedOnOnce proves that a halt which one coordinator passes to another is answered there, as what it is,
// and that it is told what became of it.
func TestHaltIsPassedOnOnce(t *testing.T) {
	_, follower := cluster(t)
	order := wire.Halt{Kind: run.StopHalt, Reason: "enough", By: "me", Order: wire.Order{Request: "q", AskedOf: "c9", Asked: time.Unix(1000, 0).UTC(), Lifts: 4}}
	follower.HaltFn = func(ctx context.Context, r *pb.HaltRequest) (*pb.HaltResponse, error) {
		if got := wire.HaltRequestFromProto(r); len(metadata.ValueFromIncomingContext(ctx, wire.MetaPassedOn)) != 1 || got != order {
			t.Errorf("passed on %+v", got)
		}
		return &pb.HaltResponse{Halt: &pb.HaltInfo{Reason: "enough", Recorded: true}, ToldWorkers: []string{"a"}}, nil
	}
	out, err := follower.relay.Halt(within(t), follower.leader.Address, order)
	if err != nil || out.Lifted || !out.Halted.Recorded || len(out.Told) != 1 {
		t.Errorf("passed %+v, %v", out, err)
	}
	follower.stop()
	if _, err := follower.relay.Halt(within(t), follower.leader.Address, order); err == nil {
		t.Error("a coordinator that is gone has taken it")
	}
}

// TestSlowLeaderIsNotWaitedFor proves that the workers here hear of a stop and of a halt although the leader takes its
// time, and that the answer is the leader's when it comes.
func TestSlowLeaderIsNotWaitedFor(t *testing.T) {
	leader, follower := cluster(t)
	told := make(chan wire.Halt, 2)
	follower.relay.opts.Unanswered = func(_ context.Context, h wire.Halt) { told <- h }
	leader.StopRunFn = func(context.Context, *pb.StopRunRequest) (*pb.StopRunResponse, error) {
		if h := <-told; h.Run != "r" { // else it never answers
			t.Errorf("told of %+v", h)
		}
		return &pb.StopRunResponse{Run: &pb.Run{Id: "leader"}}, nil
	}
	leader.HaltFn = func(context.Context, *pb.HaltRequest) (*pb.HaltResponse, error) {
		if h := <-told; !h.Everything() || h.Reason != "enough" {
			t.Errorf("told of %+v", h)
		}
		return &pb.HaltResponse{RunIds: []string{"leader"}}, nil
	}
	if got, err := follower.runs.StopRun(within(t), &pb.StopRunRequest{RequestId: uuid.NewString(), RunId: "r"}); err != nil || got.GetRun().GetId() != "leader" {
		t.Errorf("stop: %v, %v", got, err)
	}
	if got, err := follower.fleet.Halt(within(t), &pb.HaltRequest{RequestId: uuid.NewString(), Reason: "enough"}); err != nil || len(got.GetRunIds()) != 1 {
		t.Errorf("halt: %v, %v", got, err)
	}
}

// TestWhatIsRefusedIsNotTold proves that nothing is made of a request that its leader would refuse: a stop of the empty
// run would be a halt of all.
func TestWhatIsRefusedIsNotTold(t *testing.T) {
	for name, req := range map[string]any{
		"no run":     &pb.StopRunRequest{RequestId: uuid.NewString()},
		"no request": &pb.StopRunRequest{RunId: "r"},
		"no reason":  &pb.HaltRequest{RequestId: uuid.NewString()},
		"no stop":    &pb.GetRunRequest{RunId: "r"},
	} {
		if h, ok := order(req); ok {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if h, ok := order(&pb.StopRunRequest{RequestId: uuid.NewString(), RunId: "r"}); !ok || h.Run != "r" {
		t.Errorf("a stop is %+v, %v", h, ok)
	}
}
