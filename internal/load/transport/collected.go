package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Collected is a connection of a Collector. It belongs to one goroutine at a time; SetDeadline alone may be called
// by others.
type Collected struct {
	owner         *Collector
	fd            int
	local, remote net.Addr
	message       message
	received      time.Time
	dry           bool          // Read has found nothing
	failure       syscall.Errno // that Fetch has found, for Read
	woken         chan error

	// Guarded by the owner's lock while somebody waits.
	deadline time.Time
	since    time.Time // nothing had come by then
	found    time.Time // something had come by then
	place    int       // in waiting; -1: nobody waits
	receiver Receiver  // who waits; nil: who reads or writes
	full     bool      // Post has not written all
	edge     bool      // something may have come since anybody waited, as when no Look has had it yet
	ended    bool      // the other side has ended it
	closed   bool
}

var _ net.Conn = (*Collected)(nil)

// wake ends a wait. The owner's lock must be held.
func (c *Collected) wake(err error) {
	o := c.owner
	last := len(o.waiting) - 1
	moved := o.waiting[last]
	o.waiting[c.place], moved.place = moved, c.place
	o.waiting[last] = nil
	o.waiting, c.place = o.waiting[:last], -1
	o.waits.Add(-1)
	if c.receiver != nil {
		o.told, c.receiver = append(o.told, c.receiver), nil
		return
	}
	c.woken <- err // there is room: nobody is woken twice
}

// await waits until something has come, or there is room again for what is to be sent.
func (c *Collected) await() error {
	o := c.owner
	o.mu.Lock()
	switch {
	case c.closed:
		o.mu.Unlock()
		return net.ErrClosed
	case c.edge:
		c.edge = false
		o.mu.Unlock()
		return nil
	case !c.deadline.IsZero() && c.deadline.Before(o.last):
		o.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	c.enlist()
	o.mu.Unlock()
	return <-c.woken
}

// enlist puts c among those who wait. The owner's lock must be held.
func (c *Collected) enlist() {
	o := c.owner
	c.place = len(o.waiting)
	o.waiting = append(o.waiting, c)
	o.waits.Add(1)
	o.note(c.deadline)
}

// Expect has r told once, by a Tell that comes, when something has come or the deadline is over. It takes the place of
// waiting in Read, and Fetch is what follows.
func (c *Collected) Expect(r Receiver) {
	o := c.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.edge {
		c.edge = false
		o.told = append(o.told, r)
		return
	}
	c.receiver = r
	c.enlist()
}

// Fetch reads what has come, at most once and without waiting. n is 0 if nothing has come, or something that Read has to say.
func (c *Collected) Fetch(p []byte) (n int) {
	n, at, errno := c.message.receive(c.fd, p)
	c.dry = errno == syscall.EAGAIN
	switch errno {
	case 0:
		if n > 0 {
			c.received = c.instant(at)
		}
		return n
	case syscall.EINTR, syscall.EAGAIN, syscall.EBADF:
	default:
		c.failure = errno
	}
	return 0
}

// Read implements net.Conn.
func (c *Collected) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.failure != 0 {
			return 0, c.failed("read", os.NewSyscallError("recvmsg", c.failure))
		}
		if c.dry {
			if err := c.await(); err != nil {
				return 0, c.failed("read", err)
			}
		}
		n, at, errno := c.message.receive(c.fd, p)
		c.dry = errno == syscall.EAGAIN
		switch {
		case errno == syscall.EINTR, errno == syscall.EAGAIN:
		case errno == syscall.EBADF:
			return 0, c.failed("read", net.ErrClosed)
		case errno != 0:
			c.failure = errno
		case n == 0:
			c.received = time.Now() // of an end the kernel does not say when it came
			return 0, io.EOF
		default:
			c.received = c.instant(at)
			return n, nil
		}
	}
}

// instant turns a reading of the wall clock into an instant that does not depend on how that clock is set. It is
// neither later than now, nor earlier than when nothing had come yet: a clock that was set meanwhile misleads by no
// more than that.
func (c *Collected) instant(wall int64) time.Time {
	if ahead := time.Duration(wall - c.found.UnixNano()); wall != 0 && ahead <= 0 {
		return Later(c.found.Add(ahead), c.since)
	}
	now := time.Now()
	if ahead := time.Duration(wall - now.UnixNano()); wall != 0 && ahead <= 0 {
		return Later(now.Add(ahead), c.since)
	}
	return now
}

// Later returns the later one of two instants.
func Later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Received returns when that came which Read has returned last.
func (c *Collected) Received() time.Time { return c.received }

// fresh is how long what Look has found says enough of an idle connection.
const fresh = 100 * time.Microsecond

// Quiet reports whether nothing has come that nobody has read, and the connection has not ended. At the time now it looks
// at the socket, unless the last Look has just done so for all.
func (c *Collected) Quiet(now time.Time) bool {
	o := c.owner
	o.mu.Lock()
	ended, known := c.ended, !c.edge && now.Sub(o.last) < fresh
	c.edge = false
	o.mu.Unlock()
	return !ended && (known || quiet(c.fd))
}

// Write implements net.Conn.
func (c *Collected) Write(p []byte) (written int, err error) {
	for written < len(p) {
		n, errno := WriteNow(c.fd, p[written:])
		switch errno {
		case 0:
			written += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			if err := c.await(); err != nil {
				return written, c.failed("write", err)
			}
		case syscall.EBADF:
			return written, c.failed("write", net.ErrClosed)
		default:
			return written, c.failed("write", os.NewSyscallError("write", errno))
		}
	}
	return written, nil
}

// Post writes as much as the connection takes at once, which may be nothing. It does not say why it takes no more.
func (c *Collected) Post(p []byte) (written int) {
	for {
		n, errno := WriteNow(c.fd, p)
		if errno != syscall.EINTR {
			c.full = n < len(p)
			return max(n, 0)
		}
	}
}

// Close implements net.Conn.
func (c *Collected) Close() error {
	o := c.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	fd := c.fd
	c.gone()
	return os.NewSyscallError("close", syscall.Close(fd))
}

// gone makes the connection none of the collector's. The owner's lock must be held.
func (c *Collected) gone() { c.owner.conns[c.fd], c.fd, c.closed = nil, noFile, true }

// noFile is no descriptor: the system says so of everything that is tried with it.
const noFile = -1

// Leave takes the connection from the collector, and is its end; the one returned is an ordinary one. If it fails the
// connection is closed.
func (c *Collected) Leave() (net.Conn, error) {
	o := c.owner
	fd := c.fd
	o.mu.Lock()
	c.gone()
	o.mu.Unlock()
	o.poll.remove(fd)
	f := os.NewFile(uintptr(fd), "collected")
	nc, err := net.FileConn(f) // of another descriptor
	return nc, errors.Join(err, f.Close())
}

// LocalAddr implements net.Conn.
func (c *Collected) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Collected) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn. A deadline that is over ends a wait at once, and what is still to come at the
// Look that follows it.
func (c *Collected) SetDeadline(t time.Time) error {
	o := c.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	c.deadline = t
	if c.place < 0 {
		return nil
	}
	if o.note(t); !t.IsZero() && !time.Now().Before(t) {
		c.wake(os.ErrDeadlineExceeded)
	}
	return nil
}

// SetReadDeadline is SetDeadline.
func (c *Collected) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline is SetDeadline.
func (c *Collected) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }

func (c *Collected) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
