package cli

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

// leaving is a coordinator that goes away in the middle of a watch, and comes again at the third attempt.
type leaving struct {
	pb.UnimplementedRunServiceServer
	mu      sync.Mutex
	watched []string // run ids
}

// GetRun implements RunService: any name is a run of its own id.
func (l *leaving) GetRun(_ context.Context, r *pb.GetRunRequest) (*pb.GetRunResponse, error) {
	return &pb.GetRunResponse{Run: &pb.Run{Id: "ID-OF-" + r.GetRunId(), State: pb.RunState_RUN_STATE_RUNNING}}, nil
}

// WatchRun implements RunService.
func (l *leaving) WatchRun(r *pb.WatchRunRequest, stream grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
	l.mu.Lock()
	l.watched = append(l.watched, r.GetRunId())
	attempt := len(l.watched)
	l.mu.Unlock()
	m := &pb.WatchRunResponse{Run: &pb.Run{Id: r.GetRunId(), State: pb.RunState_RUN_STATE_RUNNING}}
	switch attempt {
	case 1:
		if err := stream.Send(m); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "going away")
	case 2:
		return status.Error(codes.Unavailable, "still away")
	}
	m.Run.State = pb.RunState_RUN_STATE_COMPLETED
	return stream.Send(m)
}

// early is a coordinator that leads, and does not have its run in hand before it was asked thrice.
type early struct {
	leaving
	calls atomic.Int32
}

func takingOver() error {
	st, err := status.New(codes.Unavailable, "run r: it is being taken over").WithDetails(&errdetails.RetryInfo{})
	if err != nil {
		return err
	}
	return st.Err()
}

// WatchRun implements RunService.
func (e *early) WatchRun(r *pb.WatchRunRequest, stream grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
	m := &pb.WatchRunResponse{Run: &pb.Run{Id: r.GetRunId(), State: pb.RunState_RUN_STATE_RUNNING}}
	if e.calls.Add(1) == 3 {
		m.Run.State = pb.RunState_RUN_STATE_COMPLETED
		return stream.Send(m)
	}
	if err := stream.Send(m); err != nil {
		return err
	}
	return takingOver()
}

// PauseRun implements RunService.
func (e *early) PauseRun(context.Context, *pb.PauseRunRequest) (*pb.PauseRunResponse, error) {
	e.calls.Add(1)
	return nil, takingOver()
}

// TestTakingOver: a leader that does not have a run in hand yet has answered. A command says what it said, asks
// nobody else, and its exit code tells that it may be given again; a watch says it once, and goes on.
func TestTakingOver(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, server := &early{}, grpc.NewServer()
	pb.RegisterRunServiceServer(server, e)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	defer wg.Wait()
	defer server.Stop()
	var out, errs bytes.Buffer
	code := Coordinator([]string{"runs", "pause", "r", "--coordinator", listener.Addr().String() + ",127.0.0.1:1"}, &out, &errs)
	if want := "error: run r: it is being taken over\n"; code != run.ExitUnreachable || errs.String() != want || e.calls.Load() != 1 {
		t.Errorf("exit code %d after %d calls: %q, want %q", code, e.calls.Load(), errs.String(), want)
	}
	e.calls.Store(0)
	errs.Reset()
	code = Coordinator([]string{"runs", "watch", "r", "--progress", "plain", "--coordinator", listener.Addr().String()}, &out, &errs)
	if n := strings.Count(errs.String(), "it is being taken over"); code != 0 || n != 1 || strings.Contains(errs.String(), "does not answer") {
		t.Errorf("exit code %d, said %d times:\n%s", code, n, errs.String())
	}
}

// TestWatchKeepsTheRun shows that a watch which has to connect again asks for the run that it showed,
// not for what `last` is by then, and that it says once that it waits.
func TestWatchKeepsTheRun(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, server := &leaving{}, grpc.NewServer()
	pb.RegisterRunServiceServer(server, l)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	defer wg.Wait()
	defer server.Stop()
	var out, errs bytes.Buffer
	code := Coordinator([]string{"runs", "watch", "last", "--progress", "plain", "--coordinator", listener.Addr().String()}, &out, &errs)
	if code != 0 {
		t.Errorf("exit code %d, want 0\n%s%s", code, out.String(), errs.String())
	}
	if n := strings.Count(errs.String(), "the coordinator does not answer; the run goes on"); n != 1 {
		t.Errorf("said %d times that the coordinator does not answer, want once:\n%s", n, errs.String())
	}
	if want := []string{"ID-OF-last", "ID-OF-last", "ID-OF-last"}; !slices.Equal(l.watched, want) {
		t.Errorf("watched %q, want %q", l.watched, want)
	}
}
