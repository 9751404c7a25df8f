package api

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// TestWatch: updates come with their events and what was missed, until the run has ended; a client
// that leaves frees its follower.
func TestWatch(t *testing.T) {
	r := serve(t)
	id := r.create(t, request1).GetId()
	r.follower = &follower{wake: make(chan struct{}, 1), updates: make(chan []wire.Update, 2), closed: make(chan struct{})}
	live := wire.RunView{Run: run.Run{ID: id, State: run.Running}, Progress: &wire.Progress{CommittedThrough: 4}}
	ended := wire.RunView{Run: run.Run{ID: id, State: run.Completed}, Ended: true}
	r.follower.updates <- []wire.Update{{View: live, Missed: 3, Events: []wire.Event{{Number: 1, Kind: "state"}}}, {View: live}}
	r.follower.updates <- []wire.Update{{View: ended}}
	r.follower.wake <- struct{}{}
	stream, err := r.runs.WatchRun(t.Context(), &pb.WatchRunRequest{RunId: id})
	if err != nil {
		t.Fatal(err)
	}
	var got []*pb.WatchRunResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if len(got) != 3 || got[0].GetMissed() != 3 || len(got[0].GetEvents()) != 1 || got[2].GetRun().GetState() != pb.RunState_RUN_STATE_COMPLETED {
		t.Errorf("messages %v", got)
	}
	<-r.follower.closed

	r.follower = &follower{wake: make(chan struct{}), updates: make(chan []wire.Update, 1), closed: make(chan struct{})}
	r.follower.updates <- []wire.Update{{View: live}}
	ctx, cancel := context.WithCancel(t.Context())
	if stream, err = r.runs.WatchRun(ctx, &pb.WatchRunRequest{RunId: id}); err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Error(err)
	}
	cancel()
	<-r.follower.closed
	r.follower = nil
	r.runs2(id, run.Completed)
	if stream, err = r.runs.WatchRun(t.Context(), &pb.WatchRunRequest{RunId: id}); err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Errorf("watching an ended run: %v", err)
	}
}

// TestTakingOver: of a run that has not ended, and that the leader does not have in hand yet, a watch tells the state
// that is stored and then that it is to be asked for again; so does a command.
func TestTakingOver(t *testing.T) {
	r := serve(t)
	id := r.create(t, request1).GetId()
	r.runs2(id, run.Running)
	stream, err := r.runs.WatchRun(t.Context(), &pb.WatchRunRequest{RunId: id})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetRun().GetState() != pb.RunState_RUN_STATE_RUNNING {
		t.Errorf("first %v, %v", m, err)
	}
	wantTakingOver := func(err error) {
		t.Helper()
		st := wantCode(t, err, codes.Unavailable)
		if !strings.Contains(st.Message(), id) || !strings.HasSuffix(st.Message(), ErrTakingOver.Error()) {
			t.Errorf("message %q", st.Message())
		}
		if d := detail[*errdetails.RetryInfo](t, st); d.GetRetryDelay().AsDuration() <= 0 {
			t.Errorf("detail %v", d)
		}
	}
	_, err = stream.Recv()
	wantTakingOver(err)

	r.takingOver = true
	_, err = r.runs.StopRun(t.Context(), &pb.StopRunRequest{RequestId: request2, RunId: id, Reason: "enough"})
	wantTakingOver(err)
	_, err = r.runs.PauseRun(t.Context(), &pb.PauseRunRequest{RequestId: request2, RunId: id})
	wantTakingOver(err)
}
