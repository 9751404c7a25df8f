package fleet

import (
	"context"
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
	log     hclog.Logger
	cluster uint64

	mu     sync.Mutex
	fleet  *Fleet      // nil while this coordinator does not lead
	kept   *Fleet      // of a term that is over, while this coordinator is its caretaker
	over   int64       // epoch of the last term of this coordinator that is over
	leader wire.Leader // as it was told last
}

// NewServer returns a server that refuses workers until Lead is called. cluster is the identity of the
// etcd cluster in which it stands for election.
func NewServer(logger hclog.Logger, cluster uint64) *Server {
	return &Server{log: logger.Named("fleet"), cluster: cluster}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) { pb.RegisterWorkerServiceServer(to, s) }

// Lead makes the server serve f until one of the returned functions is called. stop ends every session:
// leadership was given up. keep leaves the workers their sessions although leadership was lost: this
// coordinator is their caretaker until it is told of a later leader, leads again, or is told to Release.
func (s *Server) Lead(f *Fleet) (stop, keep func()) {
	s.mu.Lock()
	before := s.kept
	s.fleet, s.kept = f, nil
	s.mu.Unlock()
	if before != nil {
		before.Close(s.notLeading(f.opts.Leader))
	}
	stop = func() {
		f.Close(s.notLeading(s.end(f, false)))
	}
	keep = func() {
		f.caretake()
		if later := s.end(f, true); later.Epoch != 0 {
			s.Release() // somebody leads already
		}
	}
	return stop, keep
}

// caretake keeps the sessions beyond the end of the term. From now on no worker is told anything but that:
// no lease, no ack and no command, whoever asks for it.
func (f *Fleet) caretake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caretaker = true
}

// end ends the term of f and returns who leads now, as far as is known.
func (s *Server) end(f *Fleet, keep bool) wire.Leader {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = max(s.over, f.opts.Leader.Epoch)
	if s.fleet == f {
		s.fleet = nil
		if keep {
			s.kept = f
		}
	}
	return s.known()
}

// Follow notes who leads, for the answer to workers that ask the wrong coordinator. Workers that were kept
// are sent to a later leader.
func (s *Server) Follow(l wire.Leader) {
	s.mu.Lock()
	s.leader = l
	later := s.known().Epoch != 0
	s.mu.Unlock()
	if later {
		s.Release()
	}
}

// Release ends the sessions of workers that were kept.
func (s *Server) Release() {
	s.mu.Lock()
	f, leader := s.kept, s.known()
	s.kept = nil
	s.mu.Unlock()
	if f != nil {
		f.Close(s.notLeading(leader))
	}
}

// known returns who leads; the zero Leader when nobody does, or only one whose term is over. The lock is
// held.
func (s *Server) known() wire.Leader {
	if s.fleet != nil {
		return s.fleet.opts.Leader
	}
	if s.leader.Epoch <= s.over {
		return wire.Leader{}
	}
	return s.leader
}

// FindLeader implements WorkerService.
func (s *Server) FindLeader(context.Context, *pb.FindLeaderRequest) (*pb.FindLeaderResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &pb.FindLeaderResponse{Leader: wire.LeaderToProto(s.known()), Leading: s.fleet != nil, ClusterId: s.cluster}, nil
}

// Attach implements WorkerService.
func (s *Server) Attach(stream attachStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetHello() == nil {
		return status.Error(codes.InvalidArgument, "the first message of a worker session must be hello")
	}
	// The version comes before the rules: what else another one says may be right by rules of its own.
	if got := first.GetHello().GetProtocolVersion(); got != wire.ProtocolVersion {
		return protocolMismatch(got)
	}
	if err := validate(first); err != nil {
		return err
	}
	hello := wire.HelloFromProto(first.GetHello())
	s.mu.Lock()
	f, leader := s.fleet, s.known()
	s.mu.Unlock()
	if f == nil {
		return s.notLeading(leader)
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
	s.left(stream.Context(), sess, err)
	return sessionStatus(err)
}

// left tells the handler that a worker is gone, unless a newer session has replaced this one.
func (s *Server) left(ctx context.Context, sess *session, err error) {
	var bye *goodbyeError
	goodbye := errors.As(err, &bye)
	reason := parting(ctx, err)
	f := sess.fleet
	if w, dead, gone := f.detach(sess, goodbye); gone {
		if dead {
			reason, goodbye = deathReason, true
		}
		sess.log.Info("worker detached", "reason", reason)
		f.opts.Handler.Detached(w, reason, goodbye)
	}
}

// notLeading names who leads to a worker that is to go there.
func (s *Server) notLeading(leader wire.Leader) error {
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
