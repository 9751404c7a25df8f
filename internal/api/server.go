package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// Server is the public services of one coordinator. It answers for the term in which it leads.
type Server struct {
	version string

	mu     sync.Mutex
	behind *Backend // nil while this coordinator does not lead
	leader wire.Leader
}

// NewServer returns a server that refuses everything until Lead is called.
func NewServer(version string) *Server { return &Server{version: version} }

// Register adds the services to a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) {
	pb.RegisterRunServiceServer(to, &runService{server: s})
	pb.RegisterFleetServiceServer(to, &fleetService{server: s})
}

// Lead makes the server answer from b until the returned function is called.
func (s *Server) Lead(b *Backend, l wire.Leader) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind, s.leader = b, l
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.behind == b {
			s.behind, s.leader = nil, wire.Leader{}
		}
	}
}

// Follow notes who leads, for the answers of a coordinator that does not.
func (s *Server) Follow(l wire.Leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == nil {
		s.leader = l
	}
}

func (s *Server) backend() (*Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == nil {
		return nil, &notLeadingError{s.leader}
	}
	return s.behind, nil
}

func (s *Server) notLeading() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &notLeadingError{s.leader}
}

// callTimeout bounds a call whose client named no deadline, or a later one.
const callTimeout = time.Minute

var errTooSlow = fmt.Errorf("no answer within %s, the store may take no writes: the same request again is the same command: %w",
	callTimeout, context.DeadlineExceeded)

// Unary validates every request against the rules in its proto file, and bounds how long it may take: a
// command is answered once it is recorded, which an outage of the store can delay for ever.
func Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := check(req); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errTooSlow)
	defer cancel()
	return next(ctx, req)
}

// Stream validates every message that a stream receives. The worker link checks its own.
func Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if info.FullMethod == pb.WorkerService_Attach_FullMethodName {
		return next(srv, stream)
	}
	return next(srv, &checked{stream})
}

type checked struct{ grpc.ServerStream }

// RecvMsg receives and validates.
func (c *checked) RecvMsg(m any) error {
	if err := c.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return check(m)
}

func check(m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	if err := protovalidate.Validate(msg); err != nil {
		var broken *protovalidate.ValidationError
		if errors.As(err, &broken) {
			return detailed(codes.InvalidArgument, err, broken.ToProto())
		}
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}
