package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// statusOf turns an error into a gRPC status with a typed detail. What this package does not know is
// internal.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	var notLeading *notLeadingError
	var halted *HaltedError
	var transition *run.TransitionError
	var problems scenario.Problems
	var limit *run.LimitError
	var wrong *run.EventError
	switch {
	case errors.As(err, &notLeading):
		return detailed(codes.FailedPrecondition, err, wire.LeaderToProto(notLeading.leader))
	case errors.As(err, &halted):
		return detailed(codes.FailedPrecondition, err, wire.HaltedToProto(&halted.Halted))
	case errors.As(err, &transition):
		return detailed(codes.FailedPrecondition, err, &pb.IllegalTransition{
			RunId: transition.Run, State: wire.StateToProto(transition.From), Command: string(transition.Event),
		})
	case errors.As(err, &limit), errors.As(err, &wrong):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.As(err, &problems) && problems.Refused():
		return detailed(codes.PermissionDenied, err, problemsToProto(problems))
	case errors.As(err, &problems):
		return detailed(codes.InvalidArgument, err, problemsToProto(problems))
	case errors.Is(err, ErrNotFound):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, ErrTakingOver):
		return detailed(codes.Unavailable, err, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	case errors.Is(err, ErrActive), errors.Is(err, ErrEnded):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrNoAnswer):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

func detailed(code codes.Code, err error, detail proto.Message) error {
	st := status.New(code, err.Error())
	if with, derr := st.WithDetails(protoadapt.MessageV1Of(detail)); derr == nil {
		st = with
	}
	return st.Err()
}

func problemsToProto(problems scenario.Problems) *pb.ScenarioProblems {
	m := &pb.ScenarioProblems{}
	for _, p := range problems {
		m.Problems = append(m.Problems, &pb.ScenarioProblem{
			File: p.File, Line: int32(p.Line), Column: int32(p.Column), Message: p.Message,
		})
	}
	return m
}

func invalid(format string, args ...any) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf(format, args...))
}
