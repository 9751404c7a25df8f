package http2load

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/load/transport"
)

const (
	// writeLimit is how long a write may take; it is renewed when less than half of it is left.
	writeLimit = time.Minute
	// byeLimit is how long it may take to tell the server why its connection has ended.
	byeLimit = time.Second
	// bodyQueued is from how many bytes on that are to be written bodies wait.
	bodyQueued = 1 << 20
	// mostQueued is how many bytes may be to be written at all.
	mostQueued = 16 << 20
	// keptQueue is how large a buffer may be that is used again.
	keptQueue = 1 << 20
)

// unlock gives the lock back, and wakes the writer if it has something to do.
func (c *conn) unlock() {
	wake := !c.woken && (len(c.out) > 0 || c.failure != nil)
	if wake {
		c.woken = true
	}
	c.mu.Unlock()
	if wake {
		c.wake <- struct{}{}
	}
}

// writeLoop writes what others leave, until the connection ends.
func (c *conn) writeLoop() {
	for range c.wake {
		c.gather()
		now := time.Now()
		c.mu.Lock()
		c.woken = false
		if c.failure != nil {
			c.mu.Unlock()
			c.leave()
			return
		}
		c.swap(now)
		c.mu.Unlock()
		if err := c.write(now); err != nil {
			c.fail(transport.NewError(opWrite, err, transport.KindReset))
			return
		}
	}
}

// gather lets those run who are about to add something: who was woken by one read of the connection has its next
// request go out in one write.
func (c *conn) gather() {
	for before := 0; ; {
		c.mu.Lock()
		size, alone := len(c.out), c.streams.size < 2
		c.mu.Unlock()
		if alone || size == before || size >= readSize {
			return
		}
		before = size
		runtime.Gosched()
	}
}

// swap takes what is to be written. The lock must be held.
func (c *conn) swap(now time.Time) {
	c.out, c.spare = c.spare[:0], c.out
	for i, st := range c.batch {
		st.queued, st.sentAt = false, now
		c.batch[i] = nil
	}
	c.batch = c.batch[:0]
	if c.full {
		c.full = false
		for st := range c.streams.all {
			st.stir()
		}
	}
}

func (c *conn) write(now time.Time) error {
	if c.deadline.Sub(now) < writeLimit/2 {
		c.deadline = now.Add(writeLimit)
		_ = c.net.SetWriteDeadline(c.deadline) // fails only on a closed connection; the write says so
	}
	_, err := c.net.Write(c.spare)
	if cap(c.spare) > keptQueue {
		c.spare = nil
	}
	return err
}

// leave is the end of the writer: it says what is left to say.
func (c *conn) leave() {
	c.mu.Lock()
	bye := c.bye
	c.mu.Unlock()
	if bye {
		_ = c.net.SetWriteDeadline(time.Now().Add(byeLimit)) // the connection has failed already
		_, _ = c.net.Write(c.out)
	}
	_ = c.net.Close()
}

// notRead is the failure of a connection whose server does not read.
func (c *conn) notRead() *transport.Error {
	return &transport.Error{Kind: transport.KindTimeout, Op: opWrite, Err: errors.New("the server does not read what it is sent")}
}

// writeFrame writes a frame. The lock must be held, as for all that write.
func (c *conn) writeFrame(kind http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	n := len(payload)
	c.out = append(c.out, byte(n>>16), byte(n>>8), byte(n), byte(kind), byte(flags))
	c.out = binary.BigEndian.AppendUint32(c.out, id)
	c.out = append(c.out, payload...)
}

// writeHeader writes a header that was encoded.
func (c *conn) writeHeader(id uint32, block []byte, end bool) {
	var flags http2.Flags
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for kind := http2.FrameHeaders; ; kind, flags = http2.FrameContinuation, 0 {
		part := block[:min(len(block), c.frame)]
		if block = block[len(part):]; len(block) == 0 {
			c.writeFrame(kind, flags|http2.FlagHeadersEndHeaders, id, part)
			return
		}
		c.writeFrame(kind, flags, id, part)
	}
}

// writeBody writes as much of a body as the windows and the queue take, and returns how much that was.
func (c *conn) writeBody(st *stream, body []byte) int {
	if len(body) == 0 {
		return 0
	}
	if len(c.out) >= bodyQueued {
		c.full = true
		return 0
	}
	size := int(max(min(int64(len(body)), st.window, c.window, bodyQueued), 0))
	st.window -= int64(size)
	c.window -= int64(size)
	for p := body[:size]; len(p) > 0; {
		part := p[:min(len(p), c.frame)]
		p = p[len(part):]
		var flags http2.Flags
		if len(p) == 0 && size == len(body) {
			flags = http2.FlagDataEndStream
		}
		c.writeFrame(http2.FrameData, flags, st.id, part)
	}
	if size < len(body) && size == bodyQueued {
		c.full = true
	}
	return size
}

// upload writes the rest of a body as windows open, and returns what the server did not want to hear.
func (c *conn) upload(st *stream, rest []byte) []byte {
	for len(rest) > 0 {
		c.mu.Lock()
		if st.finished {
			c.unlock()
			return rest
		}
		before := len(c.out)
		n := c.writeBody(st, rest)
		st.bytesOut += int64(len(c.out) - before)
		c.unlock()
		if rest = rest[n:]; n > 0 {
			continue
		}
		select {
		case <-st.done: // to be seen by who awaits the end
			st.done <- struct{}{}
		case <-st.stirs:
		}
	}
	return nil
}

// reset tells the server to end a stream.
func (c *conn) reset(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	if c.failure == nil {
		_ = c.frames.WriteRSTStream(id, code) // into memory, as all frames
	}
	c.unlock()
}
