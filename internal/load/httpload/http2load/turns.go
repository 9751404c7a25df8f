package http2load

import (
	"context"
	"errors"
	"slices"
	"time"

	"proofload/internal/load/transport"
)

// errFull says that a stream has to wait until the server allows one more.
var errFull = errors.New("the server allows no more streams")

// enter reports whether a stream may begin; otherwise it waits for its turn. The lock must be held.
func (c *conn) enter(st *stream) bool {
	if st.turn {
		st.turn = false
		c.admitted--
		return true
	}
	if len(c.waiting) == 0 && c.streams.size+c.admitted < c.most {
		return true
	}
	c.waiting = append(c.waiting, st)
	return false
}

// admit tells those whose turn it is. The lock must be held.
func (c *conn) admit() {
	for len(c.waiting) > 0 && c.streams.size+c.admitted < c.most {
		st := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		st.turn = true
		c.admitted++
		st.stir()
	}
}

// dismiss tells those who wait that they wait in vain. The lock must be held.
func (c *conn) dismiss() {
	for _, st := range c.waiting {
		st.turn = true
		c.admitted++
		st.stir()
	}
	c.waiting = nil
}

// await waits for the turn of a stream that may not begin yet. With an error the stream has given up.
func (c *conn) await(ctx context.Context, st *stream) error {
	late, stop := at(st.limit)
	defer stop()
	var failure *transport.Error
	select {
	case <-st.stirs:
		return nil
	case <-ctx.Done():
		failure = st.cancelled(time.Now())
	case <-late:
		failure = timeoutError()
	}
	c.mu.Lock()
	defer c.unlock()
	if i := slices.Index(c.waiting, st); i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
	if st.turn {
		st.turn = false
		c.admitted--
		c.admit()
	}
	return failure
}
