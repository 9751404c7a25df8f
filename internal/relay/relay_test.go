package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

func detailed(t *testing.T, code codes.Code, text string, run string) error {
	t.Helper()
	st, err := status.New(code, text).WithDetails(&pb.IllegalTransition{RunId: run})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// TestCallPassesThrough proves that a unary call arrives at the leader as it was made, with a mark and with
// what is left of its deadline, and that answer, header, trailer and the details of an error come back.
func TestCallPassesThrough(t *testing.T) {
	leader, follower := cluster(t)
	refusal := detailed(t, codes.FailedPrecondition, "not now", "r1")
	leader.GetRunFn = func(ctx context.Context, r *pb.GetRunRequest) (*pb.GetRunResponse, error) {
		in, _ := metadata.FromIncomingContext(ctx)
		if got := in.Get(wire.MetaRelayedBy); len(got) != 1 || got[0] != "c2" {
			t.Errorf("mark %v, want c2", got)
		}
		if got := in.Get("token-bin"); len(got) != 2 || got[1] != "\x00\xff" {
			t.Errorf("metadata %q did not arrive as it was", got)
		}
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > patience {
			t.Errorf("deadline %v, %v", d, ok)
		}
		if err := errors.Join(grpc.SetHeader(ctx, metadata.Pairs("h", "1")), grpc.SetTrailer(ctx, metadata.Pairs("t", "2"))); err != nil {
			t.Error(err)
		}
		if r.GetRunId() == "refused" {
			return nil, refusal
		}
		return &pb.GetRunResponse{Run: &pb.Run{Id: r.GetRunId()}}, nil
	}
	ctx := metadata.AppendToOutgoingContext(within(t), "token-bin", "a", "token-bin", "\x00\xff")
	var header, trailer metadata.MD
	got, err := follower.runs.GetRun(ctx, &pb.GetRunRequest{RunId: "r1"}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || got.GetRun().GetId() != "r1" {
		t.Errorf("answer %v, %v", got, err)
	}
	if h, by, tr := header.Get("h"), header.Get(wire.MetaRelayedBy), trailer.Get("t"); len(h) != 1 || len(tr) != 1 || len(by) != 1 || by[0] != "c2" {
		t.Errorf("header %v, trailer %v", header, trailer)
	}
	_, err = follower.runs.GetRun(ctx, &pb.GetRunRequest{RunId: "refused"})
	st := status.Convert(err)
	if st.Code() != codes.FailedPrecondition || st.Message() != "not now" || len(st.Details()) != 1 {
		t.Errorf("error %v with details %v", err, st.Details())
	} else if d, ok := st.Details()[0].(*pb.IllegalTransition); !ok || d.GetRunId() != "r1" {
		t.Errorf("detail %v", st.Details()[0])
	}
}

// TestCancellationPassesThrough proves that a caller which leaves ends the call at the leader.
func TestCancellationPassesThrough(t *testing.T) {
	leader, follower := cluster(t)
	began, ended := make(chan struct{}, 2), make(chan error, 2)
	leader.GetRunFn = func(ctx context.Context, _ *pb.GetRunRequest) (*pb.GetRunResponse, error) {
		began <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	leader.WatchFn = func(_ *pb.WatchRunRequest, s grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
		began <- struct{}{}
		<-s.Context().Done()
		ended <- s.Context().Err()
		return s.Context().Err()
	}
	ctx, cancel := context.WithCancel(within(t))
	if _, err := follower.runs.WatchRun(ctx, &pb.WatchRunRequest{RunId: "r"}); err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("watch ended with %v", err)
	}
	ctx, cancel = context.WithCancel(within(t))
	defer cancel()
	answered := make(chan error, 1)
	go func() {
		_, err := follower.runs.GetRun(ctx, &pb.GetRunRequest{RunId: "r"})
		answered <- err
	}()
	<-began
	cancel()
	if err := <-answered; status.Code(err) != codes.Canceled {
		t.Errorf("call whose caller left: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("call ended with %v", err)
	}
}

// TestStreamsPassThrough proves that streams of each kind pass, larger messages than gRPC's default too.
func TestStreamsPassThrough(t *testing.T) {
	leader, follower := cluster(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB
	leader.UploadFn = func(s grpc.ClientStreamingServer[pb.UploadFileRequest, pb.UploadFileResponse]) error {
		size := 0
		for {
			m, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return s.SendAndClose(&pb.UploadFileResponse{Digest: "d", Size: int64(size)})
			}
			if err != nil {
				return err
			}
			size += len(m.GetData())
		}
	}
	up, err := follower.runs.UploadFile(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := up.Send(&pb.UploadFileRequest{Data: content}); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := up.CloseAndRecv(); err != nil || done.GetSize() != int64(3*len(content)) {
		t.Errorf("upload %v, %v", done, err)
	}

	leader.WatchFn = func(_ *pb.WatchRunRequest, s grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
		for i := range 100 {
			if err := s.Send(&pb.WatchRunResponse{Missed: uint64(i)}); err != nil {
				return err
			}
		}
		s.SetTrailer(metadata.Pairs("t", "2"))
		return detailed(t, codes.Aborted, "that is all", "r9")
	}
	watch, err := follower.runs.WatchRun(within(t), &pb.WatchRunRequest{RunId: "r"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if m, err := watch.Recv(); err != nil || m.GetMissed() != uint64(i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
	_, err = watch.Recv()
	if st := status.Convert(err); st.Code() != codes.Aborted || len(st.Details()) != 1 || len(watch.Trailer().Get("t")) != 1 {
		t.Errorf("end %v, details %v, trailer %v", err, st.Details(), watch.Trailer())
	}
}

// echo answers each message with one of the same number, after a welcome.
func echo(s grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
	if err := s.Send(&pb.AttachResponse{Payload: &pb.AttachResponse_Welcome{Welcome: &pb.Welcome{}}}); err != nil {
		return err
	}
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.GetGoodbye() != nil {
			return status.Error(codes.DataLoss, "as you like")
		}
		reply := &pb.HeartbeatReply{Number: m.GetHeartbeat().GetNumber()}
		if err := s.Send(&pb.AttachResponse{Payload: &pb.AttachResponse_Heartbeat{Heartbeat: reply}}); err != nil {
			return err
		}
	}
}

// TestWorkerStreamIsRelayed proves that a stream in both directions passes, tells the worker by whom, and
// ends with the leader's own status although the worker is still sending.
func TestWorkerStreamIsRelayed(t *testing.T) {
	leader, follower := cluster(t)
	leader.AttachFn = echo
	for range 20 {
		s, err := follower.workers.Attach(within(t))
		if err != nil {
			t.Fatal(err)
		}
		header, err := s.Header()
		if err != nil || len(header.Get(wire.MetaRelayedBy)) != 1 {
			t.Fatalf("header %v, %v", header, err)
		}
		if m, err := s.Recv(); err != nil || m.GetWelcome() == nil {
			t.Fatalf("welcome %v, %v", m, err)
		}
		for i := range uint64(50) {
			if err := s.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Heartbeat{Heartbeat: &pb.Heartbeat{Number: i}}}); err != nil {
				t.Fatal(err)
			}
			if m, err := s.Recv(); err != nil || m.GetHeartbeat().GetNumber() != i {
				t.Fatalf("heartbeat %d: %v, %v", i, m, err)
			}
		}
		err = s.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}})
		for err == nil {
			err = s.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Heartbeat{Heartbeat: &pb.Heartbeat{}}})
		}
		if _, err := s.Recv(); status.Code(err) != codes.DataLoss {
			t.Fatalf("the stream ended with %v, not as the leader said", err)
		}
	}
}

// TestAnsweredHere proves what is not passed on: what is marked, what asks this coordinator, other
// services, and everything while no leader is known or this coordinator leads.
func TestAnsweredHere(t *testing.T) {
	leader, follower := cluster(t)
	answer := func(name string) func(context.Context, *pb.GetRunRequest) (*pb.GetRunResponse, error) {
		return func(context.Context, *pb.GetRunRequest) (*pb.GetRunResponse, error) {
			return &pb.GetRunResponse{Run: &pb.Run{Id: name}}, nil
		}
	}
	leader.GetRunFn, follower.GetRunFn = answer("c1"), answer("c2")
	follower.FindLeaderFn = func() *pb.FindLeaderResponse { return &pb.FindLeaderResponse{ClusterId: 2} }
	by := func(mark string) string {
		ctx := within(t)
		if mark != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, mark, "x")
		}
		m, err := follower.runs.GetRun(ctx, &pb.GetRunRequest{RunId: "r"})
		if err != nil {
			t.Error(err)
		}
		return m.GetRun().GetId()
	}
	for mark, want := range map[string]string{"": "c1", wire.MetaRelayedBy: "c2", wire.MetaDirect: "c2"} {
		if got := by(mark); got != want {
			t.Errorf("marked %q it is answered by %s, want %s", mark, got, want)
		}
	}
	if m, err := follower.workers.FindLeader(within(t), &pb.FindLeaderRequest{}); err != nil || m.GetClusterId() != 2 {
		t.Errorf("FindLeader %v, %v", m, err)
	}
	if _, err := follower.health.Check(within(t), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	follower.relay.Follow(wire.Leader{})
	if got := by(""); got != "c2" {
		t.Errorf("without a leader it is answered by %s", got)
	}
	follower.relay.Follow(follower.leader)
	if got := by(""); got != "c2" {
		t.Errorf("a coordinator that is about to lead called itself: %s", got)
	}
	follower.relay.Follow(leader.leader)
	stop := follower.relay.Lead()
	if got := by(""); got != "c2" {
		t.Errorf("a leader passed on to %s", got)
	}
	stop()
	if got := by(""); got != "c1" {
		t.Errorf("after its term it is answered by %s", got)
	}
}

// TestPassedOnOnce proves that two coordinators which each take the other for the leader do not send a call
// round and round.
func TestPassedOnOnce(t *testing.T) {
	a, b := serve(t, "a", 3), serve(t, "b", 4)
	a.relay.Follow(b.leader)
	b.relay.Follow(a.leader)
	b.GetRunFn = func(context.Context, *pb.GetRunRequest) (*pb.GetRunResponse, error) {
		return nil, detailed(t, codes.FailedPrecondition, "this coordinator does not lead", "")
	}
	_, err := a.runs.GetRun(within(t), &pb.GetRunRequest{RunId: "r"})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
}

// TestLeaderChanges proves that a watch which is passed on ends with UNAVAILABLE once another leader is
// known, and not before, and that the next one goes there.
func TestLeaderChanges(t *testing.T) {
	first, follower := cluster(t)
	second := serve(t, "c3", 9)
	second.relay.Lead()
	say := func(id string) func(*pb.WatchRunRequest, grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
		return func(_ *pb.WatchRunRequest, s grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
			err := s.Send(&pb.WatchRunResponse{Run: &pb.Run{Id: id}})
			<-s.Context().Done()
			return err
		}
	}
	first.WatchFn, second.WatchFn = say("c1"), say("c3")
	watch := func() grpc.ServerStreamingClient[pb.WatchRunResponse] {
		s, err := follower.runs.WatchRun(within(t), &pb.WatchRunRequest{RunId: "r"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := watch()
	if m, err := s.Recv(); err != nil || m.GetRun().GetId() != "c1" {
		t.Fatalf("%v, %v", m, err)
	}
	follower.relay.Follow(wire.Leader{})
	follower.relay.Follow(second.leader)
	_, err := s.Recv()
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "c3") {
		t.Errorf("the watch ended with %v", err)
	}
	if m, err := watch().Recv(); err != nil || m.GetRun().GetId() != "c3" {
		t.Errorf("the next watch: %v, %v", m, err)
	}
}

// TestLeaderThatCannotBeReached proves that this is said, with the leader's name, and that the status is
// answered all the same.
func TestLeaderThatCannotBeReached(t *testing.T) {
	leader, follower := cluster(t)
	if leader.relay.Troubled() || follower.relay.Troubled() {
		t.Error("in trouble before anything was passed on")
	}
	leader.stop()
	follower.GetStatusFn = func(ctx context.Context) (*pb.GetStatusResponse, error) {
		return &pb.GetStatusResponse{Problems: []string{Away(ctx)}}, nil
	}
	_, err := follower.runs.GetRun(within(t), &pb.GetRunRequest{RunId: "r"})
	st := status.Convert(err)
	if st.Code() != codes.Unavailable || !strings.Contains(st.Message(), "leader c1") || len(st.Details()) != 1 {
		t.Errorf("call: %v with details %v", err, st.Details())
	}
	if !follower.relay.Troubled() {
		t.Error("the leader is gone, and that is no trouble")
	}
	s, err := follower.workers.Attach(within(t))
	if err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "leader c1") {
		t.Errorf("stream: %v", err)
	}
	got, err := follower.fleet.GetStatus(within(t), &pb.GetStatusRequest{})
	if err != nil || len(got.GetProblems()) != 1 || !strings.Contains(got.GetProblems()[0], "c1") {
		t.Errorf("status %v, %v", got, err)
	}
}

// TestAddressOfAnother proves that a server which has the address of a leader that is gone is not taken for it.
func TestAddressOfAnother(t *testing.T) {
	for _, row := range []struct {
		name  string
		serve func(net.Listener) (stop func())
	}{
		{"gRPC without our services", func(l net.Listener) func() {
			s := grpc.NewServer()
			go func() { _ = s.Serve(l) }() // it ends with stop
			return s.Stop
		}},
		{"HTTP/2 without gRPC", func(l net.Listener) func() {
			s := &http.Server{Handler: http.NotFoundHandler(), Protocols: new(http.Protocols), ReadHeaderTimeout: patience}
			s.Protocols.SetUnencryptedHTTP2(true)
			go func() { _ = s.Serve(l) }() // it ends with stop
			return func() { _ = s.Close() }
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			leader, follower := cluster(t)
			leader.stop()
			l, err := net.Listen("tcp", leader.leader.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer row.serve(l)()
			follower.GetStatusFn = func(ctx context.Context) (*pb.GetStatusResponse, error) {
				return &pb.GetStatusResponse{Problems: []string{Away(ctx)}}, nil
			}
			wantAway := func(what string, err error) {
				t.Helper()
				st := status.Convert(err)
				if st.Code() != codes.Unavailable || !strings.Contains(st.Message(), "leader c1") || len(st.Details()) != 1 {
					t.Errorf("%s: %v with details %v", what, err, st.Details())
				}
			}
			_, err = follower.runs.GetRun(within(t), &pb.GetRunRequest{RunId: "r"})
			wantAway("call", err)
			s, err := follower.workers.Attach(within(t))
			if err == nil {
				_, err = s.Recv()
			}
			wantAway("stream", err)
			got, err := follower.fleet.GetStatus(within(t), &pb.GetStatusRequest{})
			if err != nil || len(got.GetProblems()) != 1 || !strings.Contains(got.GetProblems()[0], "c1") {
				t.Errorf("status %v, %v", got, err)
			}
		})
	}
}

// TestLeaderThatDies proves that a stream whose leader is gone ends with UNAVAILABLE.
func TestLeaderThatDies(t *testing.T) {
	leader, follower := cluster(t)
	leader.AttachFn = echo
	s, err := follower.workers.Attach(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	leader.stop()
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestClosedRelay proves that what is under way ends when a coordinator does.
func TestClosedRelay(t *testing.T) {
	leader, follower := cluster(t)
	leader.AttachFn = echo
	s, err := follower.workers.Attach(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	follower.relay.Close()
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "ends") {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestUnknownMethod proves that a method of a newer version is refused and does no harm.
func TestUnknownMethod(t *testing.T) {
	for _, method := range []string{"/proofload.v1.RunService/Fly", "/proofload.v1.Run/Get", "/proofload.v9.X/Y", "", "/"} {
		if _, err := typesOf(method); status.Code(err) != codes.Unimplemented {
			t.Errorf("%q: %v", method, err)
		}
	}
}

// TestAsk proves that a coordinator is asked who leads, and that one which does not answer is an error.
func TestAsk(t *testing.T) {
	leader, follower := cluster(t)
	leader.FindLeaderFn = func() *pb.FindLeaderResponse {
		return &pb.FindLeaderResponse{Leader: wire.LeaderToProto(leader.leader), Leading: true, ClusterId: 7}
	}
	got, err := follower.relay.Ask(within(t), leader.leader.Address)
	if err != nil || got != (Answer{Leader: leader.leader, Leading: true, Cluster: 7}) {
		t.Errorf("answer %+v, %v", got, err)
	}
	leader.stop()
	if _, err := follower.relay.Ask(within(t), leader.leader.Address); err == nil {
		t.Error("a coordinator that is gone answered")
	}
}
