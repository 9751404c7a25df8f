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

// Server is the public services of one coordinator. It answers for the term in which it leads, and shows
// what it still knows while it is a caretaker.
type Server struct {
	version string

	mu     sync.Mutex
	behind *Backend    // nil while this coordinator does not lead
	kept   *Caretaker  // nil unless its term is over and no other leader is known
	always Cluster     // what it can say of the cluster in any case; nil: nothing
	halter Halter      // nil: what cannot be recorded is refused
	own    wire.Leader // of the term in which it leads
	over   int64       // epoch of its last term that is over
	leader wire.Leader // as it was told last
}

// NewServer returns a server that refuses everything until Lead is called.
func NewServer(version string) *Server { return &Server{version: version} }

// Register adds the services to a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) {
	pb.RegisterRunServiceServer(to, &runService{server: s})
	pb.RegisterFleetServiceServer(to, &fleetService{server: s})
}

// Always makes c answer for the status of the cluster while this coordinator does not lead. It is called
// before the server is used.
func (s *Server) Always(c Cluster) { s.always = c }

// Halts has h pass on the stops that cannot be recorded. It is called before the server is used.
func (s *Server) Halts(h Halter) { s.halter = h }

// Lead makes the server answer from b until the returned function is called. If that is given a caretaker,
// reads are answered from it until a later leader is known or this coordinator leads again.
func (s *Server) Lead(b *Backend, l wire.Leader) (stop func(*Caretaker)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind, s.own, s.kept = b, l, nil
	return func(kept *Caretaker) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.over = max(s.over, l.Epoch)
		if s.behind == b {
			s.behind = nil
			if s.known().Epoch == 0 {
				s.kept = kept
			}
		}
	}
}

// Follow notes who leads, for the answers of a coordinator that does not.
func (s *Server) Follow(l wire.Leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = l
	if s.known().Epoch != 0 {
		s.kept = nil
	}
}

// known returns who leads; the zero Leader when nobody does, or only one whose term is over. The lock is
// held.
func (s *Server) known() wire.Leader {
	if s.behind != nil {
		return s.own
	}
	if s.leader.Epoch <= s.over {
		return wire.Leader{}
	}
	return s.leader
}

// backend returns what answers commands.
func (s *Server) backend() (*Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == nil {
		return nil, s.refusal()
	}
	return s.behind, nil
}

// reader returns what answers reads: of a caretaker too.
func (s *Server) reader() (*Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.behind != nil:
		return s.behind, nil
	case s.kept != nil:
		return s.kept.Backend, nil
	}
	return nil, s.refusal()
}

// cluster returns what answers for the status, and since when it is a caretaker's.
func (s *Server) cluster() (Cluster, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.behind != nil:
		return s.behind.Cluster, time.Time{}, nil
	case s.kept != nil:
		return s.kept.Backend.Cluster, s.kept.Since, nil
	case s.always != nil:
		return s.always, time.Time{}, nil
	}
	return nil, time.Time{}, s.refusal()
}

// refusal is the answer of a coordinator that does not lead. The lock is held.
func (s *Server) refusal() error {
	e := &notLeadingError{leader: s.known()}
	if s.kept != nil {
		e.since = s.kept.Since
	}
	return e
}

func (s *Server) notLeading() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusal()
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
