package http2load

import (
	"context"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// Receiver takes what comes as the answer to a Call. It is called with the connection's lock held, by one goroutine
// at a time and not after the call has returned, and must not block. What it is given is valid during the call.
// A failure ends the stream.
type Receiver interface {
	// Header takes a header, be it one of an interim response, the final one or a trailer; end says that nothing
	// follows.
	Header(fields []hpack.HeaderField, end bool) *transport.Error
	// Data takes a part of the body.
	Data(p []byte, end bool) *transport.Error
}

// Call is a request over a link.
type Call struct {
	// Request is what is sent: its method, path, headers and body. It is sent as it is, without a look at whether
	// it is one. Began is when the caller began.
	Request httpload.Request
	// Limit is when the call has failed by timeout; zero: never, unless the context has a deadline.
	Limit time.Time
	// Late appends fields with AppendLiteral that are known only when the call begins, such as what is left of
	// the time until Limit. nil: there are none.
	Late func(b []byte, left time.Duration) []byte
	To   Receiver

	// What came of it.
	Sent     time.Time // just before its header was written; zero: it was not
	End      time.Time
	Connect  time.Duration   // 0: the connection was open already, or others have opened it
	Parts    transport.Parts // of Connect
	BytesIn  int64           // of the call's own frames
	BytesOut int64

	late []byte
}

// carried is one call and its stream.
type carried struct {
	stream
	to Receiver
}

var freeCalls = sync.Pool{New: func() any {
	return &carried{stream: stream{done: make(chan struct{}, 1), stirs: make(chan struct{}, 1)}}
}}

// header implements receiver.
func (x *carried) header(b *block, end bool) *transport.Error { return x.to.Header(b.fields, end) }

// data implements receiver.
func (x *carried) data(p []byte, end bool) *transport.Error { return x.to.Data(p, end) }

// call sends a call over one stream and waits for its end.
func (c *conn) call(ctx context.Context, k *Call, left time.Duration) error {
	x := freeCalls.Get().(*carried)
	x.stream = stream{to: x, done: x.done, stirs: x.stirs, limit: k.Limit, patient: true}
	x.to = k.To
	defer x.free()
	h := header{client: c.client, Request: &k.Request, length: -1}
	for {
		if k.Late != nil && !k.Limit.IsZero() {
			k.late = k.Late(k.late[:0], left)
			h.late = k.late
		}
		err := c.begin(ctx, &x.stream, &h, k.Request.Body)
		if err == nil {
			break
		}
		if err != errFull { //nolint:errorlint // it is returned as it is
			return err
		}
		if err = c.await(ctx, &x.stream); err != nil {
			return err
		}
		left = time.Until(k.Limit)
	}
	rest := c.upload(&x.stream, k.Request.Body[x.sent:])
	<-x.done
	if len(rest) > 0 && x.ended { // the server has answered before it had heard all
		c.reset(x.id, http2.ErrCodeNo)
	}
	k.Sent, k.End, k.BytesIn, k.BytesOut = x.sentAt, x.endedAt, x.bytesIn, x.bytesOut
	return x.result()
}

// free gives the stream back, which must have finished or never have begun.
func (x *carried) free() {
	select {
	case <-x.stirs:
	default:
	}
	x.to, x.failure, x.conn = nil, nil, nil
	freeCalls.Put(x)
}
