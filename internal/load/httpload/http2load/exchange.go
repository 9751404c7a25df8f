package http2load

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// exchange is one request and its response, into which the reader writes until the stream has finished; whoever
// has called Do waits meanwhile.
type exchange struct {
	stream
	resp    *httpload.Response
	discard bool
	head    bool // the request was HEAD

	began   bool      // the final header has come
	beganAt time.Time // zero: it was none
	length  int64     // announced; -1: it was not
}

// newExchange returns the exchange of a call: the one that its response had for the last call, if it had one.
func newExchange(k *call) *exchange {
	x, ok := k.resp.Kept().(*exchange)
	if !ok {
		x = &exchange{}
		x.done, x.stirs = make(chan struct{}, 1), make(chan struct{}, 1)
		k.resp.Keep(x)
	}
	*x = exchange{
		stream: stream{to: x, done: x.done, stirs: x.stirs, limit: k.limit},
		resp:   k.resp, discard: k.req.Discard, head: k.req.Method == "HEAD", length: -1,
	}
	return x
}

// free makes the exchange ready for the next call. Its stream must have finished, or never have begun.
func (x *exchange) free() {
	select {
	case <-x.stirs:
	default:
	}
	x.resp, x.failure, x.conn = nil, nil, nil // which it would keep from being collected
}

// exchange sends a request over one stream and waits for its response.
func (c *conn) exchange(ctx context.Context, k *call) error {
	x := newExchange(k)
	defer x.free()
	if err := c.begin(ctx, &x.stream, &k.header, k.req.Body); err != nil {
		return err
	}
	rest := c.upload(&x.stream, k.req.Body[x.sent:])
	<-x.done
	if len(rest) > 0 && x.ended { // the server has answered before it had heard all
		c.reset(x.id, http2.ErrCodeNo)
	}
	k.resp.Sent, k.resp.FirstByte, k.resp.End = x.sentAt, x.beganAt, x.endedAt
	k.resp.BytesIn, k.resp.BytesOut = x.bytesIn, x.bytesOut
	return x.result()
}

func protocolError(format string, args ...any) *transport.Error {
	return &transport.Error{Kind: transport.KindProtocol, Op: opRead, Err: fmt.Errorf(format, args...)}
}

func lengthError(format string, args ...any) *transport.Error {
	return &transport.Error{Kind: transport.KindLength, Op: opRead, Err: fmt.Errorf(format, args...)}
}

// header implements receiver.
func (x *exchange) header(b *block, end bool) *transport.Error {
	if x.began { // a trailer
		if !end {
			return protocolError("a header follows the response's header")
		}
		return x.complete()
	}
	a := b.read()
	if a.status == 0 {
		return a.failure
	}
	if a.status < 200 {
		if end || a.status == 101 {
			return protocolError("status %d ends the response", a.status)
		}
		return nil
	}
	x.began = true
	x.resp.SetFields(&a.fields)
	if a.failure != nil {
		return a.failure
	}
	x.length, x.resp.Status, x.beganAt = a.length, a.status, x.conn.came
	if end {
		return x.complete()
	}
	return nil
}

// data implements receiver.
func (x *exchange) data(p []byte, end bool) *transport.Error {
	if !x.began {
		return protocolError("a body comes before its header")
	}
	keep := httpload.DefaultKeepBody
	if x.discard {
		keep = 0
	}
	x.resp.AddBody(p, keep)
	if x.resp.BodySize > httpload.DefaultMaxBody {
		return &transport.Error{Kind: transport.KindBody, Op: opRead, Err: fmt.Errorf("the body is larger than %d bytes", httpload.DefaultMaxBody)}
	}
	if x.length >= 0 && x.resp.BodySize > x.length && !x.bare() {
		return lengthError("the body is longer than its content-length of %d", x.length)
	}
	if end {
		return x.complete()
	}
	return nil
}

// bare reports whether the response has no body whatever its length says.
func (x *exchange) bare() bool { return x.head || x.resp.Status == 304 }

// complete checks a response whose stream has ended.
func (x *exchange) complete() *transport.Error {
	x.resp.Truncated = !x.discard && x.resp.BodySize > int64(len(x.resp.Body))
	if x.length >= 0 && x.resp.BodySize != x.length && !x.bare() {
		return lengthError("the body has %d bytes, its content-length is %d", x.resp.BodySize, x.length)
	}
	return nil
}
