package relay

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; none of them measures time.
const patience = 20 * time.Second

// node is a coordinator as far as these tests need one: the services are what the test says, and a relay
// stands before them.
type node struct {
	pb.UnimplementedRunServiceServer
	pb.UnimplementedFleetServiceServer
	pb.UnimplementedWorkerServiceServer

	relay   *Relay
	leader  wire.Leader // as others are told of it
	runs    pb.RunServiceClient
	fleet   pb.FleetServiceClient
	workers pb.WorkerServiceClient
	health  healthpb.HealthClient
	stop    func() // ends the server at once

	GetRunFn     func(context.Context, *pb.GetRunRequest) (*pb.GetRunResponse, error)
	UploadFn     func(grpc.ClientStreamingServer[pb.UploadFileRequest, pb.UploadFileResponse]) error
	WatchFn      func(*pb.WatchRunRequest, grpc.ServerStreamingServer[pb.WatchRunResponse]) error
	AttachFn     func(grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error
	GetStatusFn  func(context.Context) (*pb.GetStatusResponse, error)
	FindLeaderFn func() *pb.FindLeaderResponse
	StopRunFn    func(context.Context, *pb.StopRunRequest) (*pb.StopRunResponse, error)
	HaltFn       func(context.Context, *pb.HaltRequest) (*pb.HaltResponse, error)
}

func (n *node) Halt(ctx context.Context, r *pb.HaltRequest) (*pb.HaltResponse, error) {
	return n.HaltFn(ctx, r)
}

func (n *node) StopRun(ctx context.Context, r *pb.StopRunRequest) (*pb.StopRunResponse, error) {
	return n.StopRunFn(ctx, r)
}

func (n *node) GetRun(ctx context.Context, r *pb.GetRunRequest) (*pb.GetRunResponse, error) {
	return n.GetRunFn(ctx, r)
}

func (n *node) UploadFile(s grpc.ClientStreamingServer[pb.UploadFileRequest, pb.UploadFileResponse]) error {
	return n.UploadFn(s)
}

func (n *node) WatchRun(r *pb.WatchRunRequest, s grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
	return n.WatchFn(r, s)
}

func (n *node) Attach(s grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
	return n.AttachFn(s)
}

func (n *node) GetStatus(ctx context.Context, _ *pb.GetStatusRequest) (*pb.GetStatusResponse, error) {
	return n.GetStatusFn(ctx)
}

func (n *node) FindLeader(context.Context, *pb.FindLeaderRequest) (*pb.FindLeaderResponse, error) {
	return n.FindLeaderFn(), nil
}

// serve starts a node and a client of it.
func serve(t *testing.T, name string, epoch int64) *node {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{leader: wire.Leader{Name: name, Address: listener.Addr().String(), Epoch: epoch}}
	n.relay = New(Options{Name: name, Address: n.leader.Address, Credentials: insecure.NewCredentials(), Logger: hclog.NewNullLogger()})
	server := grpc.NewServer(
		grpc.WaitForHandlers(true), grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes),
		grpc.ChainUnaryInterceptor(n.relay.Unary), grpc.ChainStreamInterceptor(n.relay.Stream),
	)
	pb.RegisterRunServiceServer(server, n)
	pb.RegisterFleetServiceServer(server, n)
	pb.RegisterWorkerServiceServer(server, n)
	healthpb.RegisterHealthServer(server, health.NewServer())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
			t.Errorf("serve: %v", err)
		}
	})
	conn, err := grpc.NewClient(n.leader.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)))
	if err != nil {
		t.Fatal(err)
	}
	n.runs, n.fleet, n.workers, n.health = pb.NewRunServiceClient(conn), pb.NewFleetServiceClient(conn), pb.NewWorkerServiceClient(conn), healthpb.NewHealthClient(conn)
	n.stop = sync.OnceFunc(func() {
		n.relay.Close()
		server.Stop()
		serving.Wait()
	})
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		n.stop()
	})
	return n
}

// cluster is a leader and a coordinator that follows it.
func cluster(t *testing.T) (leader, follower *node) {
	t.Helper()
	leader, follower = serve(t, "c1", 5), serve(t, "c2", 0)
	leader.relay.Lead()
	follower.relay.Follow(leader.leader)
	return leader, follower
}

// within returns a context that bounds a call of a test.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
