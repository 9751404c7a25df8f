package fleet

import (
	"errors"
	"sync"

	"buf.build/go/protovalidate"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// attachStream is the server's end of one worker stream.
type attachStream = grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]

// Server serves WorkerService for whichever fleet leads. The zero value is not usable; see NewServer.
type Server struct {
	pb.UnimplementedWorkerServiceServer
	log hclog.Logger

	mu     sync.Mutex
	fleet  *Fleet // nil while this coordinator does not lead
	leader wire.Leader
}

// NewServer returns a server that refuses workers until Lead is called.
func NewServer(logger hclog.Logger) *Server { return &Server{log: logger.Named("fleet")} }

// Register adds the service to a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) { pb.RegisterWorkerServiceServer(to, s) }

// Lead makes the server serve f until the returned function is called, which ends every session
// with the reason that leadership was lost.
func (s *Server) Lead(f *Fleet) (stop func()) {
	s.mu.Lock()
	s.fleet, s.leader = f, f.opts.Leader
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		if s.fleet == f {
			s.fleet, s.leader = nil, wire.Leader{}
		}
		s.mu.Unlock()
		f.Close(s.notLeading())
	}
}

// Follow notes who leads, for the answer to workers that ask the wrong coordinator.
func (s *Server) Follow(l wire.Leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fleet == nil {
		s.leader = l
	}
}

// Attach implements WorkerService.
func (s *Server) Attach(stream attachStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := validate(first); err != nil {
		return err
	}
	if first.GetHello() == nil {
		return status.Error(codes.InvalidArgument, "the first message of a worker session must be hello")
	}
	hello := wire.HelloFromProto(first.GetHello())
	if hello.Protocol != wire.ProtocolVersion {
		return protocolMismatch(hello.Protocol)
	}
	s.mu.Lock()
	f := s.fleet
	s.mu.Unlock()
	if f == nil {
		return s.notLeading()
	}
	return s.session(stream, f, hello)
}

// session admits the worker, welcomes it and serves it to the end.
func (s *Server) session(stream attachStream, f *Fleet, hello wire.Hello) error {
	sess := newSession(f)
	w, err := f.attach(stream.Context(), hello, sess)
	if err != nil {
		return attachStatus(err)
	}
	defer close(sess.over)
	sess.worker = w
	sess.log = f.log.With("worker_id", w.Name, "session_id", sess.id)
	sess.log.Info("worker attached", "incarnation", w.Incarnation, "hostname", w.Hostname, "version", w.Version)
	committed := f.opts.Handler.Attached(w, hello)
	welcome := &pb.AttachResponse{Epoch: f.opts.Leader.Epoch, Payload: &pb.AttachResponse_Welcome{Welcome: &pb.Welcome{
		SessionId: sess.id, Incarnation: w.Incarnation, ClusterId: f.opts.Cluster,
		Leader: wire.LeaderToProto(f.opts.Leader), HeartbeatInterval: durationpb.New(f.opts.Heartbeat),
		Committed: wire.MarksToProto(committed),
	}}}
	// Welcome goes out before anything that the mailbox may hold already.
	if err = stream.Send(welcome); err == nil {
		err = sess.serve(stream.Context(), stream)
	}
	s.left(f, sess, err)
	return sessionStatus(err)
}

// left tells the handler that a worker is gone, unless a newer session has replaced this one.
func (s *Server) left(f *Fleet, sess *session, err error) {
	var bye *goodbyeError
	goodbye := errors.As(err, &bye)
	reason := "stream ended"
	if err != nil {
		reason = err.Error()
	}
	if w, dead, gone := f.detach(sess, goodbye); gone {
		if dead {
			reason, goodbye = deathReason, true
		}
		sess.log.Info("worker detached", "reason", reason)
		f.opts.Handler.Detached(w, reason, goodbye)
	}
}

func (s *Server) notLeading() error {
	s.mu.Lock()
	leader := s.leader
	s.mu.Unlock()
	return withDetail(codes.FailedPrecondition, "this coordinator does not lead", wire.LeaderToProto(leader))
}

func protocolMismatch(got uint32) error {
	return withDetail(codes.FailedPrecondition, "worker and coordinator speak different protocol versions: install the same version of both",
		&pb.ProtocolMismatch{Want: wire.ProtocolVersion, Got: got})
}

// attachStatus turns a refusal into a gRPC status with a typed detail.
func attachStatus(err error) error {
	var taken *NameTakenError
	if errors.As(err, &taken) {
		return withDetail(codes.AlreadyExists, taken.Error(), &pb.WorkerNameTaken{
			Name: taken.Name, HolderHostname: taken.HolderHostname, HolderInstanceId: taken.HolderInstance,
		})
	}
	return status.Error(codes.Unavailable, err.Error())
}

// sessionStatus turns the end of a session into what the worker is told.
func sessionStatus(err error) error {
	var bye *goodbyeError
	switch {
	case err == nil, errors.As(err, &bye):
		return nil
	case errors.Is(err, errReplaced), errors.Is(err, errDead):
		return status.Error(codes.Aborted, err.Error())
	case errors.Is(err, errBacklog):
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}

// withDetail builds a status error that carries a typed detail.
func withDetail(code codes.Code, message string, detail proto.Message) error {
	st := status.New(code, message)
	if with, err := st.WithDetails(protoadapt.MessageV1Of(detail)); err == nil {
		st = with
	}
	return st.Err()
}

// validate checks a message against the rules that stand in the proto file.
func validate(m proto.Message) error {
	if err := protovalidate.Validate(m); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}
