package cli

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
