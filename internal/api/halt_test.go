package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

func inForce(recorded bool) wire.Halted {
	return wire.Halted{Since: time.Unix(1000, 0).UTC(), Reason: "the shop is down", By: "me@here", AskedOf: "c2", Request: request1, Recorded: recorded}
}

// TestHalt: what is asked for reaches whoever halts as it is, and the answer says all that became of it.
func TestHalt(t *testing.T) {
	r := serve(t)
	h := &halter{HaltAllFn: func(got wire.Halt) (wire.Outcome, error) {
		want := wire.Halt{Kind: run.StopHalt, Reason: "the shop is down", By: "me@here", Order: wire.Order{Request: request1}}
		if got != want {
			t.Errorf("halted by %+v", got)
		}
		return wire.Outcome{Passed: wire.Passed{Runs: []string{"r1"}, Told: []string{"a", "b"}, Stopped: []string{"a"}, Coordinators: []string{"c1"}}, Halted: inForce(false), Why: "no etcd"}, nil
	}}
	r.server.Halts(h)
	ask := &pb.HaltRequest{RequestId: request1, Reason: "the shop is down", AskedBy: "me@here"}
	got, err := r.fleet.Halt(t.Context(), ask)
	if err != nil || wire.HaltedFromProto(got.GetHalt()) != inForce(false) || len(got.GetRunIds()) != 1 || len(got.GetToldWorkers()) != 2 || len(got.GetStoppedWorkers()) != 1 || len(got.GetCoordinators()) != 1 || got.GetUnrecordedReason() != "no etcd" {
		t.Errorf("answered %v, %v", got, err)
	}
	_, err = r.fleet.Halt(t.Context(), &pb.HaltRequest{RequestId: request1})
	wantCode(t, err, codes.InvalidArgument)
}

// TestUnhalt: only who leads lifts a halt, and the answer says which.
func TestUnhalt(t *testing.T) {
	r := serve(t)
	h := &halter{}
	r.server.Halts(h)
	ask := &pb.UnhaltRequest{RequestId: request2}
	for _, was := range []bool{true, false} {
		h.UnhaltFn = func(request string) (wire.Halted, bool, error) {
			if request != request2 {
				t.Errorf("request %s", request)
			}
			return inForce(true), was, nil
		}
		got, err := r.fleet.Unhalt(t.Context(), ask)
		if err != nil || (got.GetHalt() != nil) != was {
			t.Errorf("answered %v, %v", got, err)
		}
	}
	h.UnhaltFn = func(string) (wire.Halted, bool, error) { return wire.Halted{}, false, ErrNotLeading }
	_, err := r.fleet.Unhalt(t.Context(), ask)
	detail[*pb.LeaderInfo](t, wantCode(t, err, codes.FailedPrecondition))
	h.UnhaltFn = func(string) (wire.Halted, bool, error) {
		return wire.Halted{}, false, fmt.Errorf("not recorded: %w", context.DeadlineExceeded)
	}
	_, err = r.fleet.Unhalt(t.Context(), ask)
	wantCode(t, err, codes.DeadlineExceeded)
}

// haltedConductor refuses every run.
type haltedConductor struct{ *memory }

func (haltedConductor) Create(context.Context, NewRun) (wire.RunView, error) {
	return wire.RunView{}, fmt.Errorf("create: %w", &HaltedError{inForce(true)})
}

// haltedCluster is halted.
type haltedCluster struct{ *memory }

func (haltedCluster) Status(context.Context) (Status, error) {
	h := inForce(true)
	return Status{Halted: &h}, nil
}

// TestHaltedRefusesRuns: while the cluster is halted a run is refused with a typed detail, and the status says so.
func TestHaltedRefusesRuns(t *testing.T) {
	r := serve(t)
	r.stop(nil)
	r.server.Lead(&Backend{Conductor: haltedConductor{r.memory}, Archive: r.memory, Files: r.memory, Cluster: haltedCluster{r.memory}}, wire.Leader{Name: "c1", Epoch: 4})
	_, err := r.runs.CreateRun(t.Context(), &pb.CreateRunRequest{RequestId: request1, Source: &pb.ScenarioSource{FileName: "small.yaml", Scenario: []byte(small)}})
	st := wantCode(t, err, codes.FailedPrecondition)
	if h := detail[*pb.HaltInfo](t, st); wire.HaltedFromProto(h) != inForce(true) {
		t.Errorf("halted %v", h)
	}
	for _, part := range []string{"1970-01-01 00:16:40Z", "me@here", "c2", "the shop is down", "`coordinator unhalt`"} {
		if !strings.Contains(st.Message(), part) {
			t.Errorf("%q does not say %q", st.Message(), part)
		}
	}
	s, err := r.fleet.GetStatus(t.Context(), &pb.GetStatusRequest{})
	if err != nil || wire.HaltedFromProto(s.GetHalt()) != inForce(true) {
		t.Errorf("status %v, %v", s, err)
	}
}
