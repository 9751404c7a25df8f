package http2load

import (
	"context"
	"net"
	"sync"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// group is connections that are used together. The one that was opened first is filled before the next.
type group struct {
	mu     sync.Mutex
	conns  []*conn
	dials  []*dialing
	closed bool
}

// dialing is a connection that is being opened, with those who wait for it.
type dialing struct {
	waiting int
	done    chan struct{}
	failure error // set before done is closed
}

// streamsAtOnce is how many requests wait for one connection to be opened: what most servers allow.
const streamsAtOnce = 100

// acquire returns a connection with one more of its streams taken. It opens one when there is no room.
func (g *group) acquire(ctx context.Context, c *Client, k *call) (*conn, error) {
	for {
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			return nil, &transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed}
		}
		if cn := g.takeLocked(c); cn != nil {
			g.mu.Unlock()
			k.resp.Reused = true
			return cn, nil
		}
		d := g.dialLocked()
		if d == nil {
			d = &dialing{done: make(chan struct{})}
			g.dials = append(g.dials, d)
			g.mu.Unlock()
			return g.dial(ctx, c, k, d)
		}
		g.mu.Unlock()
		if failure := d.wait(ctx, k); failure != nil {
			return nil, failure
		}
	}
}

// takeLocked takes a stream of a connection that has one left, and forgets those that take none any more.
func (g *group) takeLocked(c *Client) *conn {
	now := time.Time{}
	kept := g.conns[:0]
	var found *conn
	for _, cn := range g.conns {
		if cn.gone.Load() { // what it still carries closes it
			if cn.active == 0 {
				cn.leave()
			}
			continue
		}
		if cn.active == 0 {
			if now.IsZero() {
				now = time.Now()
			}
			if now.Sub(cn.idle) > httpload.DefaultIdleTimeout {
				cn.leave()
				continue
			}
		}
		if c.opts.Valid != nil && !c.opts.Valid(cn.net) {
			cn.retire()
			continue
		}
		kept = append(kept, cn)
		if found == nil && cn.active < int(cn.limit.Load()) {
			cn.active++
			found = cn
		}
	}
	clear(g.conns[len(kept):])
	g.conns = kept
	return found
}

func (g *group) dialLocked() *dialing {
	for _, d := range g.dials {
		if d.waiting < streamsAtOnce-1 {
			d.waiting++
			return d
		}
	}
	return nil
}

// wait waits until a connection is open or has failed. One that failed because whoever opened it had no more
// time says nothing about those who wait.
func (d *dialing) wait(ctx context.Context, k *call) error {
	timer := time.NewTimer(time.Until(k.limit))
	defer timer.Stop()
	select {
	case <-d.done:
	case <-ctx.Done():
		return transport.NewError(opDial, ctx.Err(), transport.KindCancelled)
	case <-timer.C:
		return transport.NewError(opDial, context.DeadlineExceeded, transport.KindTimeout)
	}
	if e, ok := d.failure.(*transport.Error); ok && e.Kind != transport.KindCancelled && e.Kind != transport.KindTimeout {
		return e
	}
	return nil
}

// dial opens a connection for who asks and for those who wait.
func (g *group) dial(ctx context.Context, c *Client, k *call, d *dialing) (*conn, error) {
	cn, failure := c.dial(ctx, k)
	g.mu.Lock()
	for i := range g.dials {
		if g.dials[i] == d {
			g.dials = append(g.dials[:i], g.dials[i+1:]...)
			break
		}
	}
	closed := g.closed
	if failure == nil && !closed {
		cn.active = 1
		g.conns = append(g.conns, cn)
	}
	g.mu.Unlock()
	d.failure = failure
	close(d.done)
	if failure == nil && closed {
		failure = &transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed}
		cn.leave()
	}
	if failure != nil {
		return nil, failure
	}
	return cn, nil
}

// release gives a stream back.
func (g *group) release(cn *conn) {
	g.mu.Lock()
	cn.active--
	leave := cn.active == 0 && cn.gone.Load()
	if cn.active == 0 {
		cn.idle = time.Now()
	}
	g.mu.Unlock()
	if leave {
		cn.leave()
	}
}

func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	conns := g.conns
	g.conns = nil
	g.mu.Unlock()
	for _, cn := range conns {
		cn.leave()
	}
}
