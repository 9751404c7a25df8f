package grpcload

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"proofload/internal/load/transport"
)

// Call is one call to make.
type Call struct {
	Method   string      // /package.Service/Method
	Session  *Session    // nil: the connections that all share
	Metadata metadata.MD // nil: none; it is not changed
	// Head is that of a unary call, made beforehand; nil: it is made of Method and Metadata.
	Head *Head
	// Began is when the caller began, from which the timeout of a unary call counts; zero: now.
	Began time.Time
	// Timeout is the deadline, of which the server is told; 0: none. With CloseAfter it bounds the wait for the
	// first message instead.
	Timeout time.Duration
	// FromClient and FromServer say which sides send a stream; a unary call has neither.
	FromClient, FromServer bool
	// CloseAfter ends a stream so long after it was opened, which is success; 0: it lasts until it ends.
	CloseAfter time.Duration
	// KeepMessage makes messages that are received available; else they are counted.
	KeepMessage bool
	// KeepMetadata makes the metadata that is received available.
	KeepMetadata bool
}

// Response is what came of a call.
type Response struct {
	Code    string // name of the status that the server sent; empty: there was none
	Text    string // its message
	Message []byte // of a unary call, when it was to be kept; valid until the next use of the Response
	Header  metadata.MD
	Trailer metadata.MD

	Sent     time.Time       // just before the call was given to a connection; zero: it was not
	End      time.Time       // of a unary call: when the answer was complete, or failed; zero: nothing was sent, or it is a stream
	Connect  time.Duration   // 0: the connection was open already
	Parts    transport.Parts // of Connect
	BytesIn  int64           // of a unary call, all of its frames; of a stream, messages with their frames, and heads as far as they are counted
	BytesOut int64

	received received
	unary    unary
}

func (r *Response) reset() {
	r.Code, r.Text, r.Message, r.Header, r.Trailer = "", "", nil, nil, nil
	r.Sent, r.End, r.Connect, r.BytesIn, r.BytesOut = time.Time{}, time.Time{}, 0, 0, 0
	r.Parts = transport.Parts{}
	r.received = received{data: r.received.data}
}

// Size returns how large the message of a unary call is that was received, in bytes.
func (r *Response) Size() int { return r.received.size }

// Trim gives back a large buffer.
func (r *Response) Trim() {
	if cap(r.received.data) > keptSize {
		r.received.data = nil
	}
	if cap(r.unary.frame) > keptSize {
		r.unary.frame = nil
	}
}

// keptSize is how large a buffer may be that is kept while it is not needed.
const keptSize = 16 << 10

// begin makes the context of a call.
func (l *link) begin(ctx context.Context, in *Call) (*call, context.CancelFunc) {
	var inner context.Context
	var cancel context.CancelFunc
	if in.Timeout > 0 && in.CloseAfter == 0 {
		inner, cancel = context.WithTimeout(ctx, in.Timeout)
	} else {
		inner, cancel = context.WithCancel(ctx)
	}
	if len(in.Metadata) > 0 {
		inner = metadata.NewOutgoingContext(inner, in.Metadata)
	}
	return &call{Context: inner, goaways: l.givenUp()}, cancel
}

// finish fills in what is known of a call that has ended, and finds the kind of its error.
func (l *link) finish(ctx context.Context, k *call, err error, r *Response) error {
	k.mu.Lock()
	r.Sent, r.BytesIn, r.BytesOut = k.sent, k.in, k.out
	answered := k.answered
	k.mu.Unlock()
	if r.Connect == 0 && !r.Sent.IsZero() {
		r.Connect, r.Parts = l.takeConnect()
	}
	if errors.Is(err, io.EOF) && !answered {
		err = l.unexplained(k)
	}
	if err == nil || errors.Is(err, io.EOF) { // the latter of a stream: the library returns it as it is
		r.Code = codeNames[0]
		return nil
	}
	st := status.Convert(err)
	if failure := l.classify(ctx, k, st, outcome{answered: answered, sent: !r.Sent.IsZero()}); failure != nil {
		return failure
	}
	r.Code, r.Text = codeName(st.Code()), st.Message()
	return nil
}

// unexplained is the error of a call that ended with neither a status nor an error of the library.
func (l *link) unexplained(k *call) error {
	if l.givenUp() > k.goaways {
		return status.Error(codes.Unavailable, goneAway)
	}
	return status.Error(codes.Unavailable, noStatus)
}

var errTooLate = errors.New("the deadline has passed")

// timeout is the error of a call that was not complete at its deadline.
func timeout() *transport.Error {
	return &transport.Error{Kind: transport.KindTimeout, Op: opCall, Err: errTooLate}
}
