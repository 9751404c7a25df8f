package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// TestCaretaker proves that a coordinator whose term is over goes on showing what it knows and says so, that
// it takes no command, and that it stops once a later leader is known.
func TestCaretaker(t *testing.T) {
	r := serve(t)
	id := r.create(t, request1).GetId()
	since := time.Unix(1_700_000_000, 0)
	r.stop(&Caretaker{Backend: &Backend{Conductor: r.memory, Archive: r.memory, Files: r.memory, Cluster: r.memory}, Since: since})
	r.server.Follow(wire.Leader{Name: "c1", Epoch: 3}) // the leader that it was
	if m, err := r.runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: id}); err != nil || m.GetRun().GetId() != id {
		t.Errorf("read: %v, %v", m, err)
	}
	st, err := r.fleet.GetStatus(t.Context(), &pb.GetStatusRequest{})
	if err != nil || !st.GetCaretakerSince().AsTime().Equal(since) {
		t.Errorf("status %v, %v", st, err)
	}
	_, err = r.runs.PauseRun(t.Context(), &pb.PauseRunRequest{RequestId: request2, RunId: id})
	refused := wantCode(t, err, codes.FailedPrecondition)
	if d := detail[*pb.LeaderInfo](t, refused); d.GetEpoch() != 0 || !strings.Contains(refused.Message(), "leads no more since 22:13:20Z") {
		t.Errorf("refusal %q with leader %v", refused.Message(), d)
	}
	r.server.Follow(wire.Leader{Name: "c2", Address: "there:2", Epoch: 5})
	_, err = r.runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: id})
	if d := detail[*pb.LeaderInfo](t, wantCode(t, err, codes.FailedPrecondition)); d.GetEpoch() != 5 {
		t.Errorf("leader %v", d)
	}
}

// TestNoCaretakerBesideALeader proves that what a term leaves is not shown when somebody leads already.
func TestNoCaretakerBesideALeader(t *testing.T) {
	r := serve(t)
	r.server.Follow(wire.Leader{Name: "c2", Address: "there:2", Epoch: 5})
	r.stop(&Caretaker{Backend: &Backend{Archive: r.memory}, Since: time.Now()})
	_, err := r.runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: "x"})
	if d := detail[*pb.LeaderInfo](t, wantCode(t, err, codes.FailedPrecondition)); d.GetEpoch() != 5 {
		t.Errorf("leader %v", d)
	}
}

// lonely is what a coordinator without a leader says of the cluster.
type lonely struct{}

func (lonely) Workers() []Worker { return nil }

func (lonely) Status(context.Context) (Status, error) {
	return Status{Coordinators: []wire.Leader{{Name: "c2"}}, Problems: []string{"no leader"}}, nil
}

// TestStatusWithoutALeader proves that a coordinator which does not lead answers for the status of the
// cluster, and for nothing else.
func TestStatusWithoutALeader(t *testing.T) {
	r := serve(t)
	r.server.Always(lonely{})
	r.stop(nil)
	st, err := r.fleet.GetStatus(t.Context(), &pb.GetStatusRequest{})
	if err != nil || st.GetLeader().GetEpoch() != 0 || len(st.GetCoordinators()) != 1 || len(st.GetProblems()) != 1 {
		t.Errorf("status %v, %v", st, err)
	}
	_, err = r.fleet.ListWorkers(t.Context(), &pb.ListWorkersRequest{})
	wantCode(t, err, codes.FailedPrecondition)
}
