package fleet

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// errReplaced ends a session that a newer one of the same worker has replaced.
var errReplaced = errors.New("session replaced by a newer one of the same worker")

// session is one attached stream. Its loop is the only sender, its reader the only receiver.
type session struct {
	id     string
	fleet  *Fleet
	box    *mailbox
	worker Worker
	log    hclog.Logger

	once  sync.Once
	ended chan struct{} // closed by end
	cause error         // set before ended is closed
	// replies remembers when the last few heartbeat replies were sent, by number, so that the next
	// heartbeat, which says when the reply arrived, completes the exchange. Only the reader uses it.
	exchanges map[uint64]pending
}

type pending struct{ sent, arrived, replied int64 }

func newSession(f *Fleet) *session {
	return &session{
		id: newSessionID(), fleet: f, box: newMailbox(), log: f.log,
		ended: make(chan struct{}), exchanges: map[uint64]pending{},
	}
}

func (s *session) end(cause error) {
	s.once.Do(func() { s.cause = cause; close(s.ended) })
}

// serve runs an admitted session to its end and returns why it ended; nil when the worker closed
// the stream.
func (s *session) serve(ctx context.Context, stream attachStream) error {
	incoming := make(chan error, 1) // buffered: the reader must never wait for a handler that has left
	go func() { incoming <- s.read(ctx, stream) }()
	for {
		select {
		case <-s.box.wake:
			if err := s.flush(stream); err != nil {
				return err
			}
		case err := <-incoming:
			return err
		case <-s.ended:
			_ = s.flush(stream) // the last words, if they still pass
			return s.cause
		case <-ctx.Done():
			return context.Cause(ctx)
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
		s.receive(ctx, m)
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
	lease := s.fleet.heard(s, func(o *offsets) {
		if known {
			o.add(run.Exchange{Sent: earlier.sent, Received: earlier.arrived, Answered: earlier.replied, Back: h.GetLastReplyReceivedNanos()})
		}
	})
	if len(s.exchanges) > 16 {
		clear(s.exchanges)
	}
	replied := s.fleet.opts.Clock()
	s.exchanges[h.GetNumber()] = pending{sent: h.GetSentNanos(), arrived: arrived, replied: replied}
	s.box.send(&pb.AttachResponse{Payload: &pb.AttachResponse_Heartbeat{Heartbeat: &pb.HeartbeatReply{
		Number: h.GetNumber(), ReceivedNanos: arrived, SentNanos: replied, Lease: durationpb.New(lease),
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
