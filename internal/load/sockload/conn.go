package sockload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"proofload/internal/load/transport"
)

// keptSize is how large a buffer a connection keeps that it does not need.
const keptSize = 16 << 10

// ErrQuiet says that nothing came until the time given. The connection can be used on.
var ErrQuiet = errors.New("nothing came")

// Conn is one open connection. It belongs to one goroutine; only the watch over the context touches the
// connection from elsewhere, by setting a deadline in the past.
type Conn struct {
	net, raw  net.Conn // with TLS: the session, and what is below it
	datagrams bool
	secure    bool
	max       int
	valid     func(net.Conn) bool // nil: it always is
	in, out   int64
	rest      []byte    // of TCP: came behind what was expected, or while the connection was held
	came      time.Time // when the last of it did
	limit     time.Time

	watch transport.Watch
}

// Bytes returns how many bytes came and went since the connection was opened or resumed.
func (c *Conn) Bytes() (in, out int64) { return c.in, c.out }

// Resume puts the connection under the watch of another context and counts from 0. It reports whether the
// connection is still usable: it leads where the target is, nothing came that nobody asked for, and its end did not.
func (c *Conn) Resume(ctx context.Context) bool {
	c.in, c.out = 0, 0
	if !c.watch.End() || c.valid != nil && !c.valid(c.raw) || len(c.rest) > 0 || !c.datagrams && stale(c.raw) {
		return false
	}
	c.watch.Over(ctx, c.net)
	return true
}

// arm sets the limit of what follows. The watch may have struck just before: its deadline must not be lost.
func (c *Conn) arm(limit time.Time) {
	c.limit = limit
	_ = c.net.SetDeadline(limit) // fails only on a closed connection; the next read says so
	c.watch.Heed(c.net)
}

// Send sends data, of UDP as one datagram. The error is a *transport.Error.
func (c *Conn) Send(data []byte, limit time.Time) error {
	c.arm(limit)
	n, err := c.net.Write(data)
	c.out += int64(n)
	if err != nil {
		return c.fail(opSend, err)
	}
	return nil
}

// Enough looks at what has come and says how many bytes of it are what is awaited; negative: more has to come.
// An error says that what came can never be it.
type Enough func(came []byte) (int, error)

// Receive awaits bytes until enough says that they are there, or limit, and puts what is awaited into buf, which
// grows if need be, and says when the last of it came. Of UDP it is one datagram, and enough is not asked.
// ErrQuiet says that nothing at all came; the error of enough is returned as it is, with what came; any other
// error is a *transport.Error.
func (c *Conn) Receive(buf []byte, limit time.Time, enough Enough) ([]byte, time.Time, error) {
	c.arm(limit)
	if c.datagrams {
		return c.datagram(buf)
	}
	buf = append(buf[:0], c.rest...)
	at := c.came
	if c.rest = c.rest[:0]; cap(c.rest) > keptSize {
		c.rest = nil
	}
	for {
		if len(buf) > 0 {
			n, err := enough(buf)
			if err != nil {
				return buf, at, err
			}
			if n >= 0 {
				c.rest, c.came = append(c.rest, buf[n:]...), at
				return buf[:n], at, nil
			}
			if len(buf) >= c.max {
				return buf, time.Now(), &transport.Error{Kind: transport.KindBody, Op: opReceive, Err: fmt.Errorf("%d bytes came and what is expected is not among them", len(buf))}
			}
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := c.net.Read(buf[len(buf):min(cap(buf), max(c.max, len(buf)+1))])
		c.in += int64(n)
		buf = buf[:len(buf)+n]
		if n > 0 {
			at = time.Now()
			continue // an error comes again with the next read
		}
		if err != nil {
			return buf, time.Now(), c.silence(buf, err)
		}
	}
}

// silence tells a connection on which nothing came from one that broke off.
func (c *Conn) silence(buf []byte, err error) error {
	if len(buf) == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !c.watch.Ended() {
		return ErrQuiet
	}
	return c.fail(opReceive, err)
}

// maxDatagram is the largest datagram that UDP has.
const maxDatagram = 64 << 10

var datagrams = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// datagram awaits one datagram. The large buffer that it may need is not held while nothing is there: only a
// socket that has something is read into it.
func (c *Conn) datagram(buf []byte) ([]byte, time.Time, error) {
	if err := readable(c.raw); err != nil {
		return buf[:0], time.Now(), c.silence(nil, err)
	}
	large := datagrams.Get().(*[maxDatagram]byte)
	defer datagrams.Put(large)
	n, err := c.net.Read(large[:])
	at := time.Now()
	c.in += int64(n)
	if err != nil {
		return buf[:0], at, c.silence(nil, err)
	}
	return append(buf[:0], large[:n]...), at, nil
}

// Keep keeps a connection of TCP open until a time, and what comes for the next Receive. More than
// Options.MaxBytes together are transport.KindBody. The error is a *transport.Error.
func (c *Conn) Keep(until time.Time) error {
	c.arm(until)
	for {
		if len(c.rest) >= c.max {
			return &transport.Error{Kind: transport.KindBody, Op: opReceive, Err: fmt.Errorf("%d bytes came that nothing has expected yet, and no more are kept", len(c.rest))}
		}
		if len(c.rest) == cap(c.rest) {
			c.rest = append(c.rest, 0)[:len(c.rest)]
		}
		n, err := c.net.Read(c.rest[len(c.rest):min(cap(c.rest), c.max)])
		c.in += int64(n)
		c.rest = c.rest[:len(c.rest)+n]
		switch {
		case n > 0:
			c.came = time.Now() // an error comes again with the next read
		case err != nil:
			if err = c.silence(nil, err); errors.Is(err, ErrQuiet) {
				return nil
			}
			return err
		}
	}
}

// Hold keeps the connection open until a time and drops what comes. came is told of each read that brought
// something. The error is a *transport.Error.
func (c *Conn) Hold(until time.Time, came func(data []byte, at time.Time)) error {
	for {
		data, at, err := c.Receive(nil, until, func(b []byte) (int, error) { return len(b), nil })
		switch {
		case errors.Is(err, ErrQuiet):
			return nil
		case err != nil:
			return err
		}
		came(data, at)
	}
}

// Close ends the connection.
func (c *Conn) Close() {
	c.watch.End()
	_ = c.net.Close() // nothing was buffered in it, and there is nobody to tell
}

// fail turns an error of reading or writing into the caller's.
func (c *Conn) fail(op string, err error) *transport.Error {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.watch.Ended() && time.Now().Before(c.limit) {
		return &transport.Error{Kind: transport.KindCancelled, Op: op, Err: context.Canceled}
	}
	fallback := transport.KindReset
	if c.secure {
		fallback = transport.KindTLS
	}
	return transport.NewError(op, err, fallback)
}
