package fleet

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// errReplaced ends a session that a newer one of the same worker has replaced.
var errReplaced = errors.New("session replaced by a newer one of the same worker")

// errRenewed ends a session whose worker shall say once more what it has.
var errRenewed = errors.New("session is to be opened again: the coordinator has taken a run over")

// errBacklog ends a session whose worker asks without reading the answers.
var errBacklog = errors.New("session has too many unread answers: the worker does not read its stream")

// session is one attached stream. One goroutine sends, one receives, and the handler waits for
// whatever ends the session first; its return unblocks the other two.
type session struct {
	id     string
	fleet  *Fleet
	box    *mailbox
	worker Worker
	log    hclog.Logger

	once  sync.Once
	ended chan struct{} // closed by end
	over  chan struct{} // closed when it has ended and the handler has been told
	cause error         // set before ended is closed
	// replies remembers when the last few heartbeat replies were sent, by number, so that the next
	// heartbeat, which says when the reply arrived, completes the exchange. Only the reader uses it.
	exchanges map[uint64]pending
}

type pending struct{ sent, arrived, replied int64 }

func newSession(f *Fleet) *session {
	return &session{
		id: newSessionID(), fleet: f, box: newMailbox(), log: f.log,
		ended: make(chan struct{}), over: make(chan struct{}), exchanges: map[uint64]pending{},
	}
}

func (s *session) end(cause error) {
	s.once.Do(func() { s.cause = cause; close(s.ended) })
}

// serve runs an admitted session to its end and returns why it ended; nil when the worker closed
// the stream.
func (s *session) serve(ctx context.Context, stream attachStream) error {
	// Nobody waits for these two: both end when the handler returns, which is what unblocks a Recv, and
	// a Send to a worker that does not read. Buffered, so that neither waits for a handler that has left.
	var streaming sync.WaitGroup
	ended := make(chan error, 2)
	quit := make(chan struct{})
	defer close(quit)
	streaming.Go(func() { ended <- s.read(ctx, stream) })
	streaming.Go(func() { ended <- s.write(quit, stream) })
	select {
	case err := <-ended:
		return err
	case <-s.ended:
		return s.cause
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write sends what is posted until quit is closed or sending fails.
func (s *session) write(quit <-chan struct{}, stream attachStream) error {
	for {
		select {
		case <-s.box.wake:
			if err := s.flush(stream); err != nil {
				return err
			}
		case <-quit:
			return nil
		}
	}
}

// flush sends everything that waits.
func (s *session) flush(stream attachStream) error {
	for {
		batch := s.box.take()
		if batch == nil {
			return nil
		}
		for _, m := range batch {
			m.Epoch = s.fleet.opts.Leader.Epoch
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
}

// read receives until the stream ends or the worker says goodbye.
func (s *session) read(ctx context.Context, stream attachStream) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := validate(m); err != nil {
			return err
		}
		if g := m.GetGoodbye(); g != nil {
			return &goodbyeError{g.GetReason()}
		}
		if m.GetHello() != nil {
			return status.Error(codes.InvalidArgument, "hello must be the first message of a worker session and the only one")
		}
		s.receive(ctx, m)
		if s.box.crowded() {
			return errBacklog
		}
	}
}

// goodbyeError ends a session that the worker ended on purpose.
type goodbyeError struct{ reason string }

func (e *goodbyeError) Error() string { return "worker left: " + e.reason }

func (s *session) receive(ctx context.Context, m *pb.AttachRequest) {
	handler := s.fleet.opts.Handler
	switch p := m.GetPayload().(type) {
	case *pb.AttachRequest_Heartbeat:
		s.heartbeat(p.Heartbeat)
		return
	case *pb.AttachRequest_Status:
		handler.Received(s.worker, *wire.StatusFromProto(p.Status))
	case *pb.AttachRequest_Metrics:
		handler.Received(s.worker, wire.SealedFromProto(p.Metrics))
	case *pb.AttachRequest_Final:
		handler.Received(s.worker, wire.FinalFromProto(p.Final))
	case *pb.AttachRequest_TaskResult:
		handler.Received(s.worker, wire.TaskResultFromProto(p.TaskResult))
	case *pb.AttachRequest_Leave:
		s.fleet.leaving(s, p.Leave.GetReason())
	case *pb.AttachRequest_File:
		s.file(ctx, p.File)
	}
	s.fleet.heard(s, nil)
}

// heartbeat answers one heartbeat with the leader's clock and the lease, and completes the exchange
// of the one before.
func (s *session) heartbeat(h *pb.Heartbeat) {
	arrived := s.fleet.opts.Clock()
	earlier, known := s.exchanges[h.GetLastReplyNumber()]
	lease, caretaker := s.fleet.heard(s, func(m *member) {
		m.told(h)
		if known {
			m.clock.add(run.Exchange{Sent: earlier.sent, Received: earlier.arrived, Answered: earlier.replied, Back: h.GetLastReplyReceivedNanos()})
		}
	})
	if len(s.exchanges) > 16 {
		clear(s.exchanges)
	}
	replied := s.fleet.opts.Clock()
	s.exchanges[h.GetNumber()] = pending{sent: h.GetSentNanos(), arrived: arrived, replied: replied}
	s.box.send(&pb.AttachResponse{Payload: &pb.AttachResponse_Heartbeat{Heartbeat: &pb.HeartbeatReply{
		Number: h.GetNumber(), ReceivedNanos: arrived, SentNanos: replied, Lease: durationpb.New(lease), Caretaker: caretaker,
	}}})
}

// fileTimeout bounds one read of the blob store for a worker.
const fileTimeout = 30 * time.Second

func (s *session) file(ctx context.Context, r *pb.FileRequest) {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	data, err := s.fleet.opts.File(ctx, r.GetDigest())
	if err == nil && r.GetOffset() > int64(len(data)) {
		err = errors.New("offset beyond the end of the file")
	}
	if err != nil {
		s.log.Warn("file not served", "digest", r.GetDigest(), "error", err)
		s.box.send(&pb.AttachResponse{Payload: &pb.AttachResponse_File{File: &pb.FileChunk{Digest: r.GetDigest(), Error: err.Error()}}})
		return
	}
	s.box.transfer(&transfer{digest: r.GetDigest(), data: data, offset: int(r.GetOffset())})
}

func nackMessage(n wire.Nack) *pb.AttachResponse {
	return &pb.AttachResponse{Payload: &pb.AttachResponse_Nack{Nack: wire.NackToProto(n)}}
}

func taskMessage(t wire.Task) *pb.AttachResponse {
	return &pb.AttachResponse{Payload: &pb.AttachResponse_Task{Task: wire.TaskToProto(t)}}
}

func drainMessage(reason string) *pb.AttachResponse {
	return &pb.AttachResponse{Payload: &pb.AttachResponse_Drain{Drain: &pb.Drain{Reason: reason}}}
}
