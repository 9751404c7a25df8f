package httpload

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"proofload/internal/load/transport"
)

// exchangeStep is how far an exchange on a raw socket has come.
type exchangeStep uint8

const (
	stepProbe exchangeStep = iota
	stepWrite
	stepRead
	stepOver
)

// send writes c.out. With wait set, on a plain socket that was used before, it also waits for and
// reads the first bytes of the response. c.stale is set if the connection was found dead and nothing was written; then
// the error, if any, is of no interest.
func (c *conn) send(k *call, wait bool) *transport.Error {
	resp := k.resp
	c.stale, c.ioErr, c.wrote = false, nil, 0
	resp.Sent = k.instant()
	c.arm(resp.Sent)
	if wait && c.used && c.raw != nil && !c.secure {
		return c.sendRaw(resp)
	}
	if c.used && c.dead(time.Now()) { // what is known of it may be older than the request
		c.stale, resp.Sent = true, time.Time{}
		return nil
	}
	if err := c.write(c.out, &resp.BytesOut); err != nil {
		return c.unsent(err, resp)
	}
	return nil
}

// unsent makes the error of a write that did not succeed. A reused connection that took nothing at
// all was dead before, and the request can go out elsewhere. With TLS, taking nothing means that
// not even the first record went out whole, so that the server could not decode any of it.
func (c *conn) unsent(err error, resp *Response) *transport.Error {
	failure := c.fail(opWrite, err)
	if resp.BytesOut == 0 {
		resp.Sent = time.Time{}
		c.stale = c.used && (failure.Kind == transport.KindReset || failure.Kind == transport.KindClosed)
	}
	return failure
}

// sendRaw does probe, write and the first read within one wait on the socket. This saves the read
// that would only find that the response is not there yet: readiness is armed before the probe, the
// probe finds what came before that, and so the answer cannot be missed while the goroutine goes to
// sleep right after the write. Without the probe it could: the poller tells of each arrival once,
// and bytes that a server sends unasked on a new connection may have been told already.
func (c *conn) sendRaw(resp *Response) *transport.Error {
	c.step = stepProbe
	c.r, c.w = 0, 0
	err := c.raw.Read(c.onReady)
	resp.BytesOut, c.in = int64(c.wrote), int64(c.w)
	if c.stale {
		resp.Sent = time.Time{}
		return nil
	}
	if err == nil {
		err = c.ioErr
	}
	if c.wrote < len(c.out) {
		if err == nil || c.early(err) {
			err = c.write(c.out[c.wrote:], &resp.BytesOut)
		}
		if err != nil {
			return c.unsent(err, resp)
		}
		return nil
	}
	// Whatever else a read found is found again by the next one: nothing was consumed.
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
		return c.fail(opHead, err)
	}
	return nil
}

// ready is called by the poller with the socket until it returns true.
func (c *conn) ready(fd uintptr) bool {
	for {
		var more bool
		switch c.step {
		case stepProbe:
			more = c.tryProbe(int(fd))
		case stepWrite:
			more = c.tryWrite(int(fd))
		default:
			return c.tryRead(int(fd))
		}
		if !more {
			return c.step == stepOver
		}
	}
}

// tryProbe reads without waiting: an idle connection must have nothing to say.
func (c *conn) tryProbe(fd int) (more bool) {
	_, errno := transport.ReadNow(fd, c.buf)
	switch errno {
	case syscall.EINTR:
		return true
	case syscall.EAGAIN:
		c.step = stepWrite
		return true
	}
	c.stale, c.step = true, stepOver
	return false
}

// tryWrite writes as much as the socket takes; what is left goes the ordinary way.
func (c *conn) tryWrite(fd int) (more bool) {
	n, errno := transport.WriteNow(fd, c.out)
	if errno == syscall.EINTR {
		return true
	}
	c.wrote = max(n, 0)
	if c.wrote == len(c.out) {
		c.step = stepRead
		return false // sleep until the socket is readable
	}
	if errno != 0 && errno != syscall.EAGAIN {
		c.ioErr = errno
	}
	c.step = stepOver
	return false
}

func (c *conn) tryRead(fd int) (done bool) {
	for {
		n, errno := transport.ReadNow(fd, c.buf)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		if c.w = max(n, 0); errno != 0 {
			c.ioErr = errno
		}
		return true
	}
}

// dead reports whether an idle connection is of no use, as far as that can be told.
func (c *conn) dead(now time.Time) bool {
	if c.collected != nil {
		return !c.collected.Quiet(now)
	}
	return c.raw != nil && c.probe()
}

// probe reports whether an idle connection is dead: closed by the server, broken, or with bytes
// that nobody asked for. It looks at the socket without taking anything from it.
func (c *conn) probe() (dead bool) {
	err := c.raw.Control(c.onProbe)
	return c.stale || err != nil
}

// peek is probe's look at the socket.
func (c *conn) peek(fd uintptr) {
	_, _, err := syscall.Recvfrom(int(fd), c.buf[:1], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.stale = err != syscall.EAGAIN && err != syscall.EINTR
}
