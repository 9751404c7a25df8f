package transport

import (
	"context"
	"net"
	"time"
)

// LongAgo is a deadline that makes every read and write return at once.
var LongAgo = time.Unix(1, 0)

// Watch makes the end of a context interrupt a connection, by a deadline in the past. The zero value watches over
// nothing. It belongs to who owns the connection, whose deadlines it knows nothing of: after one was set, Heed makes
// up for an interruption that it has overwritten.
type Watch struct {
	done  <-chan struct{}
	stop  func() bool
	fired chan struct{} // closed when the interruption has been made
}

// Over watches over ctx from here on, for nc, in place of the context before. It stays when that is the same one:
// setting it costs an allocation. It reports whether the connection has not been interrupted.
func (w *Watch) Over(ctx context.Context, nc net.Conn) (calm bool) {
	done := ctx.Done()
	if w.stop != nil && done == w.done {
		return !w.Ended()
	}
	if !w.End() {
		return false
	}
	if w.done = done; done == nil {
		return true
	}
	fired := make(chan struct{})
	w.fired = fired
	w.stop = context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = nc.SetDeadline(LongAgo) // fails only on a closed connection, which is just as good
	})
	return true
}

// End ends the watch, and reports whether the connection has not been interrupted. If it has, that is over when End
// returns. Ended goes on telling of the context: an error may be looked at when the connection is closed.
func (w *Watch) End() (calm bool) {
	if w.stop == nil {
		return true
	}
	if calm = w.stop(); !calm {
		<-w.fired
	}
	w.stop = nil
	return calm
}

// Ended reports whether the context has ended that was watched over last.
func (w *Watch) Ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// Heed interrupts nc if the context has ended.
func (w *Watch) Heed(nc net.Conn) {
	if w.Ended() {
		_ = nc.SetDeadline(LongAgo) // as in Over
	}
}
