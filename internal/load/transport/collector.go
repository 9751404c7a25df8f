package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Collector takes connections out of the runtime's poller, which wakes the program for each answer that comes, and
// looks for what has come whenever its owner calls Look. The kernel notes when it came (SO_TIMESTAMPNS), so that
// the time of an answer does not depend on when it is collected; only what follows an answer has to wait for that.
//
// Any number of goroutines may use its connections. Look and Tell have one caller at a time.
type Collector struct {
	poll pollSet

	waits atomic.Int64 // connections on which somebody waits

	mu       sync.Mutex
	conns    []*Collected // by descriptor
	waiting  []*Collected
	told     []Receiver // whom the next Tell tells
	spare    []Receiver // told of the one before, to be used again
	soonest  time.Time  // none of those who wait has an earlier deadline; zero: none has one
	previous time.Time  // when Collect was called last, and before that
	last     time.Time
}

// Receiver is told that there is something to receive, or that the time for it is over. It is told by the goroutine
// that calls Tell, and must not keep it.
type Receiver interface{ Ready() }

// Take makes nc, a connection of TCP, one of the collector's, and is then the end of nc; if it fails nc is as it was.
func (o *Collector) Take(nc net.Conn) (*Collected, error) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Collected{owner: o, fd: noFile, local: nc.LocalAddr(), remote: nc.RemoteAddr(), woken: make(chan error, 1), place: -1, edge: true}
	var failure error
	if err := raw.Control(func(fd uintptr) { c.fd, failure = o.poll.adopt(int(fd)) }); err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	c.since = time.Now()
	c.found = c.since
	o.mu.Lock()
	for len(o.conns) <= c.fd {
		o.conns = append(o.conns, nil)
	}
	o.conns[c.fd] = c
	o.mu.Unlock()
	if err := o.poll.add(c.fd); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	_ = nc.Close() // the descriptor of the collector's keeps the connection
	return c, nil
}

// Waiting returns on how many connections somebody waits.
func (o *Collector) Waiting() int64 {
	if o == nil {
		return 0
	}
	return o.waits.Load()
}

// Collect is Look and Tell.
func (o *Collector) Collect() {
	o.Look()
	o.Tell()
}

// Look wakes those for whom something has come, or whose time is over, but for Receivers.
func (o *Collector) Look() {
	if o == nil {
		return
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.previous, o.last = o.last, now
	o.poll.ready(func(fd int, came, ended bool) {
		c := o.conns[fd]
		if c == nil || !came && c.receiver != nil && !c.full { // that it can be written to is no news to who receives
			return
		}
		c.ended = c.ended || ended
		if c.place < 0 {
			c.edge = true
			return
		}
		c.since, c.found = o.previous, now
		c.wake(nil)
	})
	if !o.soonest.IsZero() && !now.Before(o.soonest) {
		o.expire(now)
	}
}

// Tell tells the Receivers for whom Look has found something. It is not called while it goes on.
func (o *Collector) Tell() {
	if o == nil {
		return
	}
	o.mu.Lock()
	told := o.told
	o.told, o.spare = o.spare[:0], told
	o.mu.Unlock()
	for i, r := range told {
		r.Ready()
		told[i] = nil
	}
}

// expire wakes those whose deadline is over. The lock must be held.
func (o *Collector) expire(now time.Time) {
	o.soonest = time.Time{}
	for i := len(o.waiting) - 1; i >= 0; i-- {
		switch c := o.waiting[i]; {
		case c.deadline.IsZero():
		case now.Before(c.deadline):
			o.note(c.deadline)
		default:
			c.wake(os.ErrDeadlineExceeded)
		}
	}
}

// note takes a deadline of one who waits into account.
func (o *Collector) note(deadline time.Time) {
	if !deadline.IsZero() && (o.soonest.IsZero() || deadline.Before(o.soonest)) {
		o.soonest = deadline
	}
}

// Close ends the collector. Its connections must have been closed.
func (o *Collector) Close() error {
	if o == nil {
		return nil
	}
	return o.poll.close()
}
