package api

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// TestNotLeading: a coordinator that does not lead says who does.
func TestNotLeading(t *testing.T) {
	r := serve(t)
	r.stop(nil)
	r.server.Follow(wire.Leader{Name: "c2", Address: "there:2", Epoch: 5})
	_, err := r.runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: "x"})
	d := detail[*pb.LeaderInfo](t, wantCode(t, err, codes.FailedPrecondition))
	if d.GetAddress() != "there:2" || d.GetEpoch() != 5 {
		t.Errorf("leader %v", d)
	}
	_, err = r.upload(t, "00", []byte("x"))
	wantCode(t, err, codes.FailedPrecondition)
}

// TestFleet shows workers by their labels, and the state of the cluster.
func TestFleet(t *testing.T) {
	r := serve(t)
	all, err := r.fleet.ListWorkers(t.Context(), &pb.ListWorkersRequest{})
	if err != nil || len(all.GetWorkers()) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	eu, err := r.fleet.ListWorkers(t.Context(), &pb.ListWorkersRequest{Match: map[string]string{"zone": "eu"}})
	if err != nil || len(eu.GetWorkers()) != 1 || eu.GetWorkers()[0].GetName() != "a" {
		t.Errorf("%v, %v", eu, err)
	}
	st, err := r.fleet.GetStatus(t.Context(), &pb.GetStatusRequest{})
	if err != nil || st.GetLeader().GetEpoch() != 3 || len(st.GetProblems()) != 1 {
		t.Errorf("%v, %v", st, err)
	}
}

// TestReflectionAndHealth: grpcurl finds every service without a proto file.
func TestReflectionAndHealth(t *testing.T) {
	r := serve(t)
	h, err := healthpb.NewHealthClient(r.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", h, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range m.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"proofload.v1.RunService", "proofload.v1.FleetService"} {
		if !slices.Contains(names, want) {
			t.Errorf("services %v do not have %s", names, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}
