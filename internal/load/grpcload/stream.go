package grpcload

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// Stream is a call with several messages one or both ways. Send and CloseSend belong to one goroutine, Receive
// and End to one, which may be another.
type Stream struct {
	in       *Call
	ctx      context.Context // of the caller
	call     *call
	cancel   context.CancelFunc
	link     *link
	after    func()
	stream   grpc.ClientStream
	response *Response

	sending sync.Mutex
	unsent  error // why a message could not be sent

	first  *time.Timer // of the wait for the first message
	last   *time.Timer // of CloseAfter
	ending atomic.Int32
}

// ErrEnded says that a call has ended with an answer.
var ErrEnded = errors.New("the call has ended")

// Why the client has ended a stream.
const (
	endedClosed = 1 + iota // as was asked for
	endedLate              // the first message did not come in time
)

// Open begins a call whose client, server or both send a stream. r is filled in as the call goes on. A Stream
// must be ended with End.
func (c *Client) Open(ctx context.Context, in *Call, r *Response) (*Stream, error) {
	r.reset()
	r.received.keep = in.KeepMessage
	l, after, err := c.link(in.Session)
	if err != nil {
		return nil, err
	}
	k, cancel := l.begin(ctx, in)
	s := &Stream{in: in, ctx: ctx, call: k, cancel: cancel, link: l, after: after, response: r}
	if in.CloseAfter > 0 && in.Timeout > 0 {
		s.first = time.AfterFunc(in.Timeout, func() { s.stop(endedLate) })
	}
	if s.stream, err = s.link.conn.NewStream(k, &grpc.StreamDesc{ClientStreams: in.FromClient, ServerStreams: in.FromServer}, in.Method); err != nil {
		defer s.release()
		return nil, s.fail(err)
	}
	if in.CloseAfter > 0 {
		s.last = time.AfterFunc(in.CloseAfter, func() { s.stop(endedClosed) })
	}
	k.mu.Lock()
	r.Sent = k.sent
	k.mu.Unlock()
	r.Connect, r.Parts = s.link.takeConnect()
	return s, nil
}

// stop ends the stream from outside; the first reason counts.
func (s *Stream) stop(why int32) {
	if s.ending.CompareAndSwap(0, why) {
		s.cancel()
	}
}

// fail returns the error of a stream that has ended with err; nil: with an answer.
func (s *Stream) fail(err error) error {
	switch s.ending.Load() {
	case endedClosed:
		if s.ctx.Err() == nil {
			s.account()
			s.response.Code = codeNames[0]
			return nil
		}
	case endedLate:
		s.account()
		return timeout()
	}
	return s.link.finish(s.ctx, s.call, err, s.response)
}

// Send sends a message, which must not be changed any more. ErrEnded says that the call has ended, and Receive
// tells how.
func (s *Stream) Send(message []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	err := s.stream.SendMsg(&message)
	if err == nil {
		return nil
	}
	if !errors.Is(err, io.EOF) {
		s.unsent = err // the library tells it here and nowhere else
	}
	return ErrEnded
}

// CloseSend tells the server that no more messages come.
func (s *Stream) CloseSend() { _ = s.stream.CloseSend() } // what is wrong Receive tells

// Receive waits for a message. Its bytes are there when the call's KeepMessage is set, valid until the next
// Receive. ErrEnded says that the call has ended: the Response's Code tells how. Another error is a
// *transport.Error.
func (s *Stream) Receive() ([]byte, error) {
	err := s.stream.RecvMsg(&s.response.received)
	if err == nil {
		s.begun()
		return s.response.received.data, nil
	}
	if errors.Is(err, io.EOF) && !s.call.hasAnswer() {
		err = s.broken()
	}
	if s.in.KeepMetadata && s.ending.Load() == 0 {
		s.response.Header, _ = s.stream.Header() // it is there, or never comes
		s.response.Trailer = s.stream.Trailer()
	}
	if err := s.fail(err); err != nil {
		return nil, err
	}
	return nil, ErrEnded
}

// broken returns why a stream has ended of which the server said nothing.
func (s *Stream) broken() error {
	s.sending.Lock() // a Send that goes on notices now that there is no stream any more
	defer s.sending.Unlock()
	if s.unsent != nil {
		return s.unsent
	}
	return s.link.unexplained(s.call)
}

// begun notes that a message has come.
func (s *Stream) begun() {
	if s.first != nil {
		s.first.Stop()
	}
	if s.in.KeepMetadata && s.response.Header == nil {
		s.response.Header, _ = s.stream.Header() // it came before the message
	}
}

// Size returns how large the message is that was received last, in bytes.
func (s *Stream) Size() int { return s.response.received.size }

// End ends the call; if it has not ended by itself, that is success.
func (s *Stream) End() {
	if s.response.Code == "" && s.ending.Load() != endedLate {
		s.account()
		s.response.Code = codeNames[0]
	}
	s.release()
}

// account takes over what was counted so far.
func (s *Stream) account() {
	s.call.mu.Lock()
	defer s.call.mu.Unlock()
	s.response.BytesIn, s.response.BytesOut = s.call.in, s.call.out
}

func (s *Stream) release() {
	for _, t := range []*time.Timer{s.first, s.last} {
		if t != nil {
			t.Stop()
		}
	}
	s.cancel()
	s.after()
}
