package httpload

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"proofload/internal/load/transport"
)

// MostUnsent is over how many connections a request tries to leave that end before it could: those that were idle
// may have been closed long ago, but a server that ends each new one at once is not asked without end.
const MostUnsent = 32

// Carrier is a connection that carries several requests at once, as those of HTTP/2 and HTTP/3 do.
type Carrier interface {
	// Room is how many requests it may carry at once.
	Room() int
	// Gone reports whether it takes no new request.
	Gone() bool
	// Valid reports whether it leads to an address that is still one of the target's.
	Valid() bool
	// Leave closes it, also more than once.
	Leave()
}

// Group is carriers that are used together. The one that was opened first is filled before the next. The empty
// one is ready for use; it may be used by any number of goroutines.
type Group[C Carrier] struct {
	front atomic.Pointer[Seat[C]] // the first of seats; nil: there is none, or none may be taken

	mu     sync.Mutex
	seats  []*Seat[C]
	dials  []*dialing
	closed bool
}

// Seat is a carrier in a group.
type Seat[C Carrier] struct {
	Conn C

	// active is how many requests it carries. It becomes 0, and more than that, only with the group's lock held, so
	// that what carries nothing can be closed under it.
	active atomic.Int64

	// Guarded by the group's lock.
	idle    time.Time
	retired bool // is closed when it carries nothing
}

// dialing is a carrier that is being opened, with those who wait for it.
type dialing struct {
	waiting int
	done    chan struct{}
	failure error // set before done is closed
}

// CarriedAtOnce is how many requests wait for one carrier to be opened: what most servers allow.
const CarriedAtOnce = 100

// Acquire returns a carrier with room, of which the caller has a part until Release. When there is none, dial
// opens one. limit is when the request has failed by timeout.
func (g *Group[C]) Acquire(ctx context.Context, limit time.Time, dial func() (C, error)) (seat *Seat[C], reused bool, err error) {
	for {
		if seat := g.front.Load(); seat != nil && seat.join() {
			return seat, true, nil
		}
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			return nil, false, errEnded
		}
		if seat := g.takeLocked(); seat != nil {
			g.mu.Unlock()
			return seat, true, nil
		}
		d := g.dialLocked()
		if d == nil {
			d = &dialing{done: make(chan struct{})}
			g.dials = append(g.dials, d)
			g.mu.Unlock()
			seat, err := g.open(d, dial)
			return seat, false, err
		}
		g.mu.Unlock()
		if err := d.wait(ctx, limit); err != nil {
			return nil, false, err
		}
	}
}

var errEnded = &transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed}

// join takes a part of a carrier that is in use, without the lock: one that carries something is not closed.
func (s *Seat[C]) join() bool { return !s.Conn.Gone() && s.Conn.Valid() && s.take(1) }

// take takes a part of a carrier that has room and carries at least so many requests.
func (s *Seat[C]) take(least int64) bool {
	for n := s.active.Load(); n >= least && n < int64(s.Conn.Room()); n = s.active.Load() {
		if s.active.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// part gives back a part of a carrier that carries more than that, without the lock.
func (s *Seat[C]) part() bool {
	for n := s.active.Load(); n > 1; n = s.active.Load() {
		if s.active.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

// takeLocked takes a part of a carrier with room, and forgets those that take none any more.
func (g *Group[C]) takeLocked() *Seat[C] {
	var found *Seat[C]
	kept := g.seats[:0]
	for _, s := range g.seats {
		empty := s.active.Load() == 0
		if empty && time.Since(s.idle) > DefaultIdleTimeout || s.Conn.Gone() || !s.Conn.Valid() {
			s.retired = true
			if empty {
				s.Conn.Leave()
			}
			continue
		}
		kept = append(kept, s)
		if found == nil && s.take(0) {
			found = s
		}
	}
	clear(g.seats[len(kept):])
	g.seats = kept
	g.frontLocked()
	return found
}

// frontLocked notes which carrier is the first.
func (g *Group[C]) frontLocked() {
	var first *Seat[C]
	if len(g.seats) > 0 {
		first = g.seats[0]
	}
	if g.front.Load() != first {
		g.front.Store(first)
	}
}

func (g *Group[C]) dialLocked() *dialing {
	for _, d := range g.dials {
		if d.waiting < CarriedAtOnce-1 {
			d.waiting++
			return d
		}
	}
	return nil
}

// wait waits until a carrier is open or has failed. One that failed because whoever opened it had no more time
// says nothing about those who wait.
func (d *dialing) wait(ctx context.Context, limit time.Time) error {
	timer := time.NewTimer(time.Until(limit))
	defer timer.Stop()
	select {
	case <-d.done:
	case <-ctx.Done():
		return transport.NewError(transport.OpDial, ctx.Err(), transport.KindCancelled)
	case <-timer.C:
		return transport.NewError(transport.OpDial, context.DeadlineExceeded, transport.KindTimeout)
	}
	if e, ok := errors.AsType[*transport.Error](d.failure); ok && e.Kind != transport.KindCancelled && e.Kind != transport.KindTimeout {
		return e
	}
	return nil
}

// open opens a carrier for who asks and for those who wait.
func (g *Group[C]) open(d *dialing, dial func() (C, error)) (*Seat[C], error) {
	conn, err := dial()
	s := &Seat[C]{Conn: conn}
	s.active.Store(1)
	g.mu.Lock()
	g.dials = slices.DeleteFunc(g.dials, func(one *dialing) bool { return one == d })
	closed := g.closed
	if err == nil && !closed {
		g.seats = append(g.seats, s)
		g.frontLocked()
	}
	g.mu.Unlock()
	d.failure = err
	close(d.done)
	if err == nil && closed {
		conn.Leave()
		return nil, errEnded
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Release gives back what Acquire has returned.
func (g *Group[C]) Release(s *Seat[C]) {
	if s.part() {
		return
	}
	g.mu.Lock()
	empty := s.active.Add(-1) == 0
	leave := empty && (s.retired || g.closed || s.Conn.Gone())
	if empty {
		s.idle = time.Now()
	}
	g.mu.Unlock()
	if leave {
		s.Conn.Leave()
	}
}

// Close closes what carries nothing, and the rest when it does.
func (g *Group[C]) Close() error {
	g.mu.Lock()
	g.closed = true
	seats := g.seats
	g.seats = nil
	g.frontLocked()
	var idle []*Seat[C]
	for _, s := range seats {
		if s.active.Load() == 0 {
			idle = append(idle, s)
		}
	}
	g.mu.Unlock()
	for _, s := range idle {
		s.Conn.Leave()
	}
	return nil
}
