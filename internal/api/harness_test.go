package api

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is the real services over an in-memory connection.
type rig struct {
	*memory
	server *Server
	conn   *grpc.ClientConn
	runs   pb.RunServiceClient
	fleet  pb.FleetServiceClient
	stop   func(*Caretaker) // of leading
}

func serve(t *testing.T) *rig {
	t.Helper()
	r := &rig{memory: newMemory(), server: NewServer("test")}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(16<<20), grpc.ChainUnaryInterceptor(Unary), grpc.ChainStreamInterceptor(Stream))
	r.server.Register(g)
	healthpb.RegisterHealthServer(g, health.NewServer())
	reflection.Register(g)
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	r.conn, r.runs, r.fleet = conn, pb.NewRunServiceClient(conn), pb.NewFleetServiceClient(conn)
	r.stop = r.server.Lead(&Backend{Conductor: r.memory, Archive: r.memory, Files: r.memory, Cluster: r.memory}, wire.Leader{Name: "c1", Epoch: 3})
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func wantCode(t *testing.T, err error, want codes.Code) *status.Status {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != want {
		t.Errorf("got %v, want %v", err, want)
	}
	return st
}

// detail returns the first detail of a type.
func detail[T any](t *testing.T, st *status.Status) T {
	t.Helper()
	for _, d := range st.Details() {
		if v, ok := d.(T); ok {
			return v
		}
	}
	var none T
	t.Errorf("%q has no detail %T among %v", st.Message(), none, st.Details())
	return none
}

const (
	request1 = "7b1f2a52-6d6f-4c55-9a0c-1d1f6f1f0001"
	request2 = "7b1f2a52-6d6f-4c55-9a0c-1d1f6f1f0002"
	small    = `
version: 1
name: small
target: http://127.0.0.1:9
flows:
  f:
    - step: get
      http: {method: GET, path: /}
phases:
  - name: p
    flow: f
    rate:
      - hold: {at: 5/s, for: 5s}
`
)

func source(text string) *pb.ScenarioSource {
	return &pb.ScenarioSource{FileName: "s.yaml", Scenario: []byte(text)}
}

func (r *rig) create(t *testing.T, request string) *pb.Run {
	t.Helper()
	m, err := r.runs.CreateRun(t.Context(), &pb.CreateRunRequest{RequestId: request, Source: source(small), QueueTimeout: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return m.GetRun()
}
