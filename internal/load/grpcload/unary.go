package grpcload

import (
	"context"
	"encoding/binary"
	"time"

	"google.golang.org/grpc/codes"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
)

// unary is what a unary call needs besides what came of it.
type unary struct {
	call   http2load.Call
	answer answer
	frame  []byte
}

// Unary makes a call with one message each way. A nil error means that the server has answered: with a message
// when Code is OK. Otherwise the error is a *transport.Error. It returns at the deadline, or soon after ctx has
// ended. message is not needed any more then.
func (c *Client) Unary(ctx context.Context, in *Call, message []byte, r *Response) error {
	r.reset()
	r.received.keep = in.KeepMessage
	head := in.Head
	if head == nil {
		head = c.NewHead(in.Method, in.Metadata)
	}
	if head.err != nil {
		return head.err
	}
	l, after := c.unaryLink(in.Session)
	defer after()
	u := &r.unary
	u.answer = answer{response: r, keepMetadata: in.KeepMetadata, most: c.opts.MaxMessage}
	u.frame = append(u.frame[:0], 0) // not compressed
	u.frame = binary.BigEndian.AppendUint32(u.frame, uint32(len(message)))
	u.frame = append(u.frame, message...)
	k := &u.call
	k.Request = httpload.Request{Method: "POST", Path: head.path, Headers: head.headers, Body: u.frame, Began: in.Began}
	k.Late, k.To, k.Limit = late, &u.answer, time.Time{}
	if in.Timeout > 0 {
		if k.Request.Began.IsZero() {
			k.Request.Began = time.Now()
		}
		k.Limit = k.Request.Began.Add(in.Timeout)
	}
	err := l.Do(ctx, k)
	r.Sent, r.End, r.BytesIn, r.BytesOut = k.Sent, k.End, k.BytesIn, k.BytesOut
	r.Connect, r.Parts = k.Connect, k.Parts
	if err != nil {
		r.Code, r.Text = "", ""
		return err
	}
	if r.Code != codeNames[codes.OK] {
		r.received.size = 0
	} else if in.KeepMessage {
		r.Message = r.received.data
	}
	return nil
}

// unaryLink returns the connection for a unary call, and what to do with it afterwards.
func (c *Client) unaryLink(s *Session) (l *http2load.Link, after func()) {
	switch {
	case s != nil:
		return s.unary, nothing
	case c.opts.Fresh:
		l := c.fast.NewLink()
		return l, l.Close
	}
	return c.unary[int(c.turn.Add(1)-1)%len(c.unary)], nothing
}
