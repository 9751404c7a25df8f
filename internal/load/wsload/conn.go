package wsload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"proofload/internal/load/transport"
)

// Conn is one open connection. It belongs to one goroutine.
type Conn struct {
	ws     *websocket.Conn
	link   *link
	max    int64
	kind   websocket.MessageType // of the message that Await has found
	reader io.Reader             // of it
}

// Message is one message that came.
type Message struct {
	Binary bool
	At     time.Time // when it was complete
	Data   []byte    // nil if it was not to be kept
}

// Bytes returns how many bytes came and went since the connection was opened, the handshake included.
func (c *Conn) Bytes() (in, out int64) { return c.link.in, c.link.out }

// Send sends a message. The error is a *transport.Error, after which the connection can only be closed.
func (c *Conn) Send(binary bool, data []byte, limit time.Time) error {
	kind := websocket.MessageText
	if binary {
		kind = websocket.MessageBinary
	}
	c.link.armWrite(limit)
	err := c.ws.Write(context.Background(), kind, data)
	if err != nil {
		return c.fail(opSend, err)
	}
	c.link.armWrite(time.Time{})
	return nil
}

// Await awaits a message that begins before until and is complete within grace after it, and answers pings
// meanwhile; Take reads it. ErrQuiet says that none began: the connection can be used on. Any other error is a
// *transport.Error, after which it can only be closed. What it needs of the stack is kept small: a connection that
// is held open waits here.
func (c *Conn) Await(until time.Time, grace time.Duration) error {
	c.link.armRead(until, grace)
	kind, r, err := c.ws.Reader(context.Background())
	return c.begun(kind, r, err)
}

// begun notes the message that begins, or says why there is none.
func (c *Conn) begun(kind websocket.MessageType, r io.Reader, err error) error {
	switch {
	case err == nil:
		c.kind, c.reader = kind, r
		if !c.link.limit.Equal(c.link.hard) {
			c.link.armRead(c.link.hard, 0)
		}
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.link.watch.Ended() && c.link.frames.between():
		return ErrQuiet
	}
	return c.fail(opReceive, err)
}

// Take reads the message that Await has found. Its data is read into buf, which grows if need be; with a nil buf it
// is dropped. The error is a *transport.Error, after which the connection can only be closed.
func (c *Conn) Take(buf []byte) (Message, error) {
	m := Message{Binary: c.kind == websocket.MessageBinary}
	r := c.reader
	c.reader = nil
	var size int64
	var err error
	if buf == nil {
		size, err = io.Copy(io.Discard, io.LimitReader(r, c.max+1))
	} else {
		m.Data, err = appendAll(buf[:0], r, c.max+1)
		size = int64(len(m.Data))
	}
	m.At = time.Now()
	switch {
	case err != nil:
		return Message{}, c.fail(opReceive, err)
	case size > c.max:
		return Message{}, &transport.Error{Kind: transport.KindBody, Op: opReceive, Err: fmt.Errorf("a message is larger than %d bytes", c.max)}
	case buf != nil && !m.Binary && !utf8.Valid(m.Data):
		return Message{}, &transport.Error{Kind: transport.KindProtocol, Op: opReceive, Err: errors.New("a text message is not valid UTF-8")}
	}
	return m, nil
}

// appendAll appends what r has to buf, up to about most bytes.
func appendAll(buf []byte, r io.Reader, most int64) ([]byte, error) {
	for int64(len(buf)) < most {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// Close sends a close frame, awaits the server's, and ends the connection. It returns the code with which
// the server closed; 0 if it did not. It waits no longer than limit, and a few seconds.
func (c *Conn) Close(code int, reason string, limit time.Time) (theirs int) {
	c.link.arm(limit)
	err := c.ws.Close(websocket.StatusCode(code), reason)
	c.link.close()
	if err == nil {
		return code
	}
	if status := websocket.CloseStatus(err); status != -1 {
		return int(status)
	}
	return 0
}

// Drop ends the connection without a word.
func (c *Conn) Drop() {
	_ = c.ws.CloseNow() // there is nobody to tell
	c.link.close()
}

// fail turns an error of the library into the caller's.
func (c *Conn) fail(op string, err error) *transport.Error {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		return &transport.Error{Kind: transport.KindClosed, Op: op, Err: &ClosedError{Code: int(closed.Code), Reason: closed.Reason}}
	}
	return c.link.fail(op, err)
}
