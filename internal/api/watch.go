package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// watchEvery is the longest time between two messages of a watch.
const watchEvery = time.Second

// WatchRun sends the run as it is whenever it changes, and once per second while it is live.
func (s *runService) WatchRun(r *pb.WatchRunRequest, stream grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
	b, err := s.server.reader()
	if err != nil {
		return statusOf(err)
	}
	ctx := stream.Context()
	v, err := b.Archive.Get(ctx, r.GetRunId())
	if err != nil {
		return statusOf(err)
	}
	f, err := b.Conductor.Watch(ctx, v.Run.ID)
	if errors.Is(err, ErrEnded) {
		return s.last(ctx, b, v.Run.ID, stream)
	}
	if err != nil {
		return statusOf(err)
	}
	defer f.Close()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		for _, u := range f.Next() {
			if err := stream.Send(watchMessage(u)); err != nil {
				return err
			}
			if u.View.Ended {
				if u.View.Run.State.Final() {
					return nil
				}
				return statusOf(s.server.notLeading()) // conducted elsewhere now: the client asks there
			}
		}
		select {
		case <-f.C():
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// last sends the one message that there is to send about a run that has ended, or that is not in hand yet.
func (s *runService) last(ctx context.Context, b *Backend, id string, stream grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
	v, err := b.Archive.Get(ctx, id)
	if err != nil {
		return statusOf(err)
	}
	if err := stream.Send(watchMessage(wire.Update{View: v})); err != nil || v.Run.State.Final() {
		return err
	}
	return statusOf(fmt.Errorf("run %s: %w", id, ErrTakingOver))
}

func watchMessage(u wire.Update) *pb.WatchRunResponse {
	m := &pb.WatchRunResponse{Run: wire.RunToProto(u.View), Progress: wire.ProgressToProto(u.View.Progress), Missed: u.Missed}
	for _, e := range u.Events {
		m.Events = append(m.Events, wire.EventToProto(e))
	}
	return m
}
