package api

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// recordWithin is how long a stop may take to be recorded before it is passed on without that. The workers of a
// leader have heard of it before.
const recordWithin = 3 * time.Second

// StopRun ends a run early. What nobody can record now is passed on all the same.
func (s *runService) StopRun(ctx context.Context, r *pb.StopRunRequest) (*pb.StopRunResponse, error) {
	h := wire.StopRequestFromProto(r)
	v, err := s.stop(ctx, h)
	if err == nil {
		return &pb.StopRunResponse{Run: wire.RunToProto(v)}, nil
	}
	if s.server.halter == nil || ctx.Err() != nil || settled(err) {
		return nil, err
	}
	passed, herr := s.server.halter.Halt(ctx, h)
	switch {
	case herr != nil:
		return nil, statusOf(herr)
	case passed.Recorded != nil:
		return &pb.StopRunResponse{Run: passed.Recorded}, nil
	}
	return &pb.StopRunResponse{PassedOn: wire.PassedToProto(passed, status.Convert(err).Message())}, nil
}

// stop has the leader record a stop, if it does so soon.
func (s *runService) stop(ctx context.Context, h wire.Halt) (wire.RunView, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, recordWithin, errNotRecorded)
	defer cancel()
	return s.command(ctx, h.Run, run.Event{
		Kind: run.StopRequested, ID: h.Request, Reason: h.Reason, Stop: h.Kind, Asked: h.Asked, AskedOf: h.AskedOf,
	})
}

var errNotRecorded = status.Errorf(codes.DeadlineExceeded, "the store has not taken it within %s", recordWithin)

// settled reports whether an error says what becomes of a stop for good: the run has ended, or there is none,
// or the request is wrong in itself.
func settled(err error) bool {
	st := status.Convert(err)
	switch st.Code() {
	case codes.NotFound, codes.InvalidArgument, codes.PermissionDenied:
		return true
	case codes.FailedPrecondition:
		for _, d := range st.Details() {
			if _, elsewhere := d.(*pb.LeaderInfo); elsewhere {
				return false
			}
		}
		return true
	}
	return false
}
