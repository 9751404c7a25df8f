package http2load

import (
	"slices"
	"time"

	"proofload/internal/load/transport"
)

// stream is one stream of a connection. What comes goes to its receiver, until it has finished.
type stream struct {
	to    receiver
	conn  *conn
	id    uint32
	limit time.Time     // when it has failed by timeout; zero: never
	done  chan struct{} // gets one value when finished
	stirs chan struct{} // gets one value when a window has opened

	// Guarded by the connection's lock until the stream has finished.
	window   int64 // what may be sent
	sent     int   // of the body, when it began
	unread   int64 // bytes that the server has not heard of as read
	queued   bool  // nothing of it was written
	watched  bool
	stop     func() bool // of its own watch
	bytesIn  int64
	bytesOut int64
	sentAt   time.Time // just before its header was written
	endedAt  time.Time

	// Of one that waits for its turn, and may go out again whatever the server says of it when it has not looked
	// at it.
	patient bool
	turn    bool // it may begin

	finished  bool
	ended     bool // for the server, too
	unsent    bool // the connection has ended before anything was written
	untouched bool // the server says that it has not looked at it
	failure   *transport.Error
}

// receiver takes what comes on a stream. It is called by the connection's reader with the lock held, and must not
// block. A failure ends the stream.
type receiver interface {
	// header takes a header, be it one of an interim response, the final one or a trailer.
	header(h *block, end bool) *transport.Error
	// data takes a part of the body, which is valid during the call.
	data(p []byte, end bool) *transport.Error
}

// finish ends a stream. The lock must be held.
func (c *conn) finish(st *stream, failure *transport.Error, at time.Time) {
	c.streams.remove(st)
	c.watch.leave(st)
	if failure == nil && !st.limit.IsZero() && at.After(st.limit) {
		failure = timeoutError()
	}
	if st.queued { // it still goes out, unless the connection has ended
		st.queued = false
		if i := slices.Index(c.batch, st); i >= 0 {
			c.batch = slices.Delete(c.batch, i, i+1)
		}
		if c.failure == nil {
			st.sentAt = at
		}
	}
	st.finished, st.failure, st.endedAt = true, failure, at
	if len(c.waiting) > 0 {
		c.admit()
	}
	if c.batching {
		c.ended = append(c.ended, st)
		return
	}
	st.done <- struct{}{}
}

// stir wakes who waits for a window.
func (st *stream) stir() {
	select {
	case st.stirs <- struct{}{}:
	default:
	}
}

// result is how a stream that has finished went: nil, errUnsent, one that is errUntouched, or a *transport.Error.
func (st *stream) result() error {
	switch {
	case st.unsent:
		return errUnsent
	case st.untouched && st.failure != nil:
		return &untouchedError{st.failure}
	case st.untouched:
		return errUntouched
	case st.failure != nil:
		return st.failure
	}
	return nil
}
