package wsload

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"proofload/internal/load/transport"
)

// link is the connection below a WebSocket: it counts bytes, follows the frames that come, and keeps the
// limit of what is going on. It belongs to one goroutine at a time; only the watch over the context
// touches the connection from elsewhere, by setting a deadline in the past.
type link struct {
	net     net.Conn
	in, out int64
	pending []byte // came behind the handshake and was not read yet
	frames  frames
	meter   bool      // frames are followed: the handshake is over
	limit   time.Time // of what is going on; zero: none
	hard    time.Time // of a frame that has begun when limit comes

	watch  transport.Watch
	closed bool
}

func newLink(nc net.Conn) *link { return &link{net: nc} }

// begin says that from here on what comes is frames.
func (l *link) begin() {
	l.meter = true
	_ = l.net.SetDeadline(time.Time{}) // fails only on a closed connection; the next read says so
	l.limit = time.Time{}
	l.watch.Heed(l.net)
}

// arm sets the limit of reading and writing.
func (l *link) arm(limit time.Time) {
	l.limit = limit
	_ = l.net.SetDeadline(limit)
	l.watch.Heed(l.net)
}

// armRead sets the limit of reading, which is so much later for a frame that has begun by then.
func (l *link) armRead(limit time.Time, grace time.Duration) {
	l.limit, l.hard = limit, limit.Add(grace)
	_ = l.net.SetReadDeadline(limit)
	l.watch.Heed(l.net)
}

// armWrite sets the limit of writing; the zero time is none.
func (l *link) armWrite(limit time.Time) {
	l.limit = limit
	_ = l.net.SetWriteDeadline(limit)
	l.watch.Heed(l.net)
}

// Read implements io.Reader. It is a loop around a read, and all else is elsewhere, to need little of the stack
// while it waits.
func (l *link) Read(p []byte) (int, error) {
	if len(l.pending) > 0 {
		return l.take(p), nil
	}
	for {
		n, err := l.net.Read(p)
		l.came(p, n)
		if err == nil || !l.again(n, err) {
			return n, err
		}
	}
}

// take reads what came behind the handshake.
func (l *link) take(p []byte) int {
	n := copy(p, l.pending)
	if l.pending = l.pending[n:]; len(l.pending) == 0 {
		l.pending = nil
	}
	l.frames.advance(p[:n])
	return n
}

// came counts the n bytes of p that were read.
func (l *link) came(p []byte, n int) {
	l.in += int64(n)
	if l.meter {
		l.frames.advance(p[:n])
	}
}

// again reports whether a read that has failed is to be done again with the later limit: the library would lose
// its place in a frame whose head is cut in two.
func (l *link) again(n int, err error) bool {
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || l.watch.Ended() || l.frames.between() || !l.limit.Before(l.hard) {
		return false
	}
	l.armRead(l.hard, 0)
	return true
}

// Write implements io.Writer.
func (l *link) Write(p []byte) (int, error) {
	n, err := l.net.Write(p)
	l.out += int64(n)
	return n, err
}

// Close implements io.Closer.
func (l *link) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	l.watch.End()
	return l.net.Close()
}

func (l *link) close() { _ = l.Close() } // nothing was buffered in it, and there is nobody to tell

// fail turns an error of reading or writing into the caller's.
func (l *link) fail(op string, err error) *transport.Error {
	if l.watch.Ended() && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed)) && (l.limit.IsZero() || time.Now().Before(l.limit)) {
		return &transport.Error{Kind: transport.KindCancelled, Op: op, Err: context.Canceled}
	}
	return transport.NewError(op, err, transport.KindProtocol)
}
