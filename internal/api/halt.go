package api

import (
	"context"
	"errors"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// Halt ends every run, whether or not somebody can record that now.
func (s *fleetService) Halt(ctx context.Context, r *pb.HaltRequest) (*pb.HaltResponse, error) {
	if s.server.halter == nil {
		return nil, statusOf(s.server.notLeading())
	}
	out, err := s.server.halter.HaltAll(ctx, wire.HaltRequestFromProto(r))
	if err != nil {
		return nil, statusOf(err)
	}
	return wire.OutcomeToProto(out), nil
}

// Unhalt lets runs be created again.
func (s *fleetService) Unhalt(ctx context.Context, r *pb.UnhaltRequest) (*pb.UnhaltResponse, error) {
	if s.server.halter == nil {
		return nil, statusOf(s.server.notLeading())
	}
	was, ok, err := s.server.halter.Unhalt(ctx, r.GetRequestId())
	switch {
	case errors.Is(err, ErrNotLeading):
		return nil, statusOf(s.server.notLeading())
	case err != nil:
		return nil, statusOf(err)
	case !ok:
		return &pb.UnhaltResponse{}, nil
	}
	return &pb.UnhaltResponse{Halt: wire.HaltedToProto(&was)}, nil
}
