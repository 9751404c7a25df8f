package httpload

import (
	"math"
	"sync"
	"time"
)

// pool holds the idle connections of one target. The one used last is taken first: the others age
// and are closed, so that the number of open connections follows the load. The lock is held for a
// few instructions and never over a system call.
type pool struct {
	max int // idle connections kept

	mu     sync.Mutex
	idle   []*conn // idle[head:], by the time they were put back
	head   int
	puts   int
	closed bool
}

// pruneStep is how many expired connections one put closes: more than come in, and bounded.
const pruneStep = 2

// otherStep is after how many puts another pool is pruned.
const otherStep = 16

// get takes the connection that was used last, or nil if there is none that may still be used.
func (p *pool) get(now time.Time) *conn {
	for {
		p.mu.Lock()
		if len(p.idle) == p.head {
			p.idle, p.head = p.idle[:0], 0
			p.mu.Unlock()
			return nil
		}
		last := len(p.idle) - 1
		c := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		p.mu.Unlock()
		if now.Before(c.expires) {
			return c
		}
		c.close()
	}
}

// put gives a connection back. If the pool is full the oldest is closed for it. It reports now and then that a pool
// which is not in use should be pruned, too.
func (p *pool) put(c *conn, now time.Time) (others bool) {
	var out [pruneStep]*conn
	p.mu.Lock()
	if p.closed || p.max <= 0 {
		p.mu.Unlock()
		c.close()
		return false
	}
	n := p.outdated(now, p.max, out[:])
	if p.head > 0 && len(p.idle) == cap(p.idle) {
		kept := copy(p.idle, p.idle[p.head:])
		clear(p.idle[kept:])
		p.idle, p.head = p.idle[:kept], 0
	}
	p.idle = append(p.idle, c)
	p.puts++
	others = p.puts%otherStep == 0
	p.mu.Unlock()
	for _, c := range out[:n] {
		c.close()
	}
	return others
}

// outdated takes out those that were put back first, as long as they have expired or the pool has room for no further
// one. The lock must be held.
func (p *pool) outdated(now time.Time, room int, out []*conn) (n int) {
	for ; n < len(out) && p.head < len(p.idle); n++ {
		oldest := p.idle[p.head]
		if len(p.idle)-p.head < room && now.Before(oldest.expires) {
			break
		}
		out[n] = oldest
		p.idle[p.head] = nil
		p.head++
	}
	return n
}

// prune closes some that have expired.
func (p *pool) prune(now time.Time) {
	var out [pruneStep]*conn
	p.mu.Lock()
	n := p.outdated(now, math.MaxInt, out[:])
	p.mu.Unlock()
	for _, c := range out[:n] {
		c.close()
	}
}

// drain closes what is idle; with final set, what is put back later is closed, too.
func (p *pool) drain(final bool) {
	p.mu.Lock()
	p.closed = p.closed || final
	idle := p.idle[p.head:]
	p.idle, p.head = nil, 0
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// isClosed reports whether the pool was closed for good.
func (p *pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
