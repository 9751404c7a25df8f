package http2load

import (
	"context"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/load/transport"
)

// watch ends streams at their deadlines and with their contexts, for all of a connection: a timer for the earliest
// deadline, and one look at a context that streams have in common, so that a request costs neither. It is
// guarded by the connection's lock.
type watch struct {
	timer   *time.Timer
	at      time.Time       // when it fires; zero: it does not
	context <-chan struct{} // of those that are watched together
	streams int             // how many that are
	stop    func() bool
}

// watchOver sees to it that a stream ends in time. The lock must be held.
func (c *conn) watchOver(ctx context.Context, st *stream) {
	w := &c.watch
	if !st.limit.IsZero() && (w.at.IsZero() || st.limit.Before(w.at)) {
		c.arm(st.limit)
	}
	done := ctx.Done()
	switch {
	case done == nil:
		return
	case done != w.context && w.streams > 0: // another one: it is watched by itself
		id := st.id
		st.stop = context.AfterFunc(ctx, func() { c.cancelOne(id) })
		return
	case done != w.context:
		if w.stop != nil {
			w.stop()
		}
		w.context, w.stop = done, context.AfterFunc(ctx, func() { c.cancel(done) })
	}
	w.streams++
	st.watched = true
}

func (c *conn) arm(at time.Time) {
	w := &c.watch
	w.at = at
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(at), c.expire)
		return
	}
	w.timer.Reset(time.Until(at))
}

// leave notes that a stream has ended.
func (w *watch) leave(st *stream) {
	if st.watched {
		st.watched = false
		w.streams--
	}
	if st.stop != nil {
		st.stop()
		st.stop = nil
	}
}

// end is the end of the connection.
func (w *watch) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.stop != nil {
		w.stop()
	}
}

// expire ends the streams whose time is over.
func (c *conn) expire() {
	c.mu.Lock()
	defer c.unlock()
	if c.failure != nil {
		return
	}
	var next time.Time
	now := time.Now()
	for st := range c.streams.all {
		switch {
		case st.limit.IsZero():
		case !st.limit.After(now):
			c.abandon(st, timeoutError(), now)
		case next.IsZero() || st.limit.Before(next):
			next = st.limit
		}
	}
	if c.watch.at = next; !next.IsZero() {
		c.arm(next)
	}
}

// cancel ends the streams whose context has ended.
func (c *conn) cancel(context <-chan struct{}) {
	c.mu.Lock()
	defer c.unlock()
	if c.watch.context != context || c.failure != nil {
		return
	}
	now := time.Now()
	for st := range c.streams.all {
		if st.watched {
			c.abandon(st, st.cancelled(now), now)
		}
	}
	c.watch.context, c.watch.stop = nil, nil
}

// cancelOne ends a stream if it has not ended.
func (c *conn) cancelOne(id uint32) {
	c.mu.Lock()
	defer c.unlock()
	if st := c.streams.get(id); st != nil {
		now := time.Now()
		c.abandon(st, st.cancelled(now), now)
	}
}

// cancelled is the failure of a stream whose context has ended, be it by its deadline.
func (st *stream) cancelled(now time.Time) *transport.Error {
	if !st.limit.IsZero() && !now.Before(st.limit) {
		return timeoutError()
	}
	return transport.NewError(opRead, context.Canceled, transport.KindCancelled)
}

func timeoutError() *transport.Error {
	return transport.NewError(opRead, context.DeadlineExceeded, transport.KindTimeout)
}

// abandon ends a stream and tells the server. The lock must be held.
func (c *conn) abandon(st *stream, failure *transport.Error, now time.Time) {
	id := st.id // finished, it is its owner's again
	c.finish(st, failure, now)
	_ = c.frames.WriteRSTStream(id, http2.ErrCodeCancel)
}
