package http2load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// readLoop takes what comes until the connection ends.
func (c *conn) readLoop() {
	for {
		failure, taken := c.readPlain()
		if !taken {
			failure = c.readFrame()
		}
		if failure != nil {
			c.fail(failure)
			return
		}
	}
}

// readPlain takes the frame that is next if it is a plain one, and those that follow it and are plain and there
// already, with one hold of the lock. Whose streams they have ended is woken afterwards: woken at once by another
// processor, it would wait for the lock. Everything else is left to the library.
func (c *conn) readPlain() (failure *transport.Error, taken bool) {
	h, err := c.in.Peek(frameHeader)
	if err != nil {
		return c.broken(err), true // it is told once
	}
	f := frameOf(h)
	if !f.plain() || len(c.block) > 0 {
		return nil, false
	}
	if _, err = c.in.Peek(frameHeader + f.size); err != nil {
		return c.broken(err), true
	}
	c.mu.Lock()
	c.batching = true
	for there := true; there && err == nil; f, there = c.plainThere() {
		err = c.takePlain(f)
	}
	c.batching = false
	c.unlock()
	c.wakeEnded()
	if err != nil {
		return c.broken(err), true
	}
	return nil, true
}

// frame is the beginning of one.
type frame struct {
	size  int
	kind  http2.FrameType
	flags http2.Flags
	id    uint32
}

func frameOf(h []byte) frame {
	_ = h[frameHeader-1]
	return frame{
		size: int(h[0])<<16 | int(h[1])<<8 | int(h[2]), kind: http2.FrameType(h[3]), flags: http2.Flags(h[4]),
		id: binary.BigEndian.Uint32(h[5:]) &^ (1 << 31),
	}
}

// plain reports whether a frame is of the kinds that almost all are: a part of a body, or a whole header, without
// padding and priority.
func (f frame) plain() bool {
	switch {
	case f.size > frameSize || f.id == 0:
		return false
	case f.kind == http2.FrameData:
		return !f.flags.Has(http2.FlagDataPadded)
	case f.kind == http2.FrameHeaders:
		return f.flags&(http2.FlagHeadersPadded|http2.FlagHeadersPriority|http2.FlagHeadersEndHeaders) == http2.FlagHeadersEndHeaders
	}
	return false
}

// plainThere returns the frame that is next if it is plain and has come as a whole.
func (c *conn) plainThere() (f frame, there bool) {
	n := c.in.Buffered()
	if n < frameHeader {
		return f, false
	}
	h, _ := c.in.Peek(frameHeader) // it is in the buffer, as is all below
	f = frameOf(h)
	return f, n >= frameHeader+f.size && f.plain()
}

// takePlain takes a plain frame where it lies. An error ends the connection. The lock must be held.
func (c *conn) takePlain(f frame) (err error) {
	all, _ := c.in.Peek(frameHeader + f.size)
	payload, end := all[frameHeader:], f.flags.Has(http2.FlagDataEndStream) // the same one for a header
	if f.kind == http2.FrameData {
		c.takeData(f.id, payload, f.size, end)
	} else {
		err = c.takeBlock(f.id, payload, frameHeader+f.size, end)
	}
	_, _ = c.in.Discard(len(all))
	return err
}

// wakeEnded wakes those whose streams have ended with the last frames.
func (c *conn) wakeEnded() {
	for i, st := range c.ended {
		c.ended[i] = nil
		st.done <- struct{}{}
	}
	c.ended = c.ended[:0]
}

// readFrame takes the frame that is next, whatever it is.
func (c *conn) readFrame() *transport.Error {
	f, err := c.framer.ReadFrame()
	if err == nil {
		return c.take(f)
	}
	if e, ok := errors.AsType[http2.StreamError](err); ok {
		c.mu.Lock()
		defer c.unlock()
		if st := c.streams.get(e.StreamID); st != nil {
			c.finish(st, protocolError("%w", err), c.came)
		}
		_ = c.frames.WriteRSTStream(e.StreamID, e.Code)
		return nil
	}
	return c.broken(err)
}

// broken is why nothing more can be read.
func (c *conn) broken(err error) *transport.Error {
	if isNetwork(err) {
		return transport.NewError(opRead, err, transport.KindReset)
	}
	code := http2.ErrCodeProtocol
	if e, ok := errors.AsType[http2.ConnectionError](err); ok {
		code = http2.ErrCode(e)
	}
	failure := protocolError("%w", err)
	_ = c.net.SetWriteDeadline(time.Now().Add(byeLimit)) // fails only on a closed connection
	c.mu.Lock()
	if c.failure == nil {
		_ = c.frames.WriteGoAway(0, code, nil)
		c.bye = true
		c.failLocked(failure)
	}
	c.unlock()
	return failure
}

// take handles a frame. An error ends the connection.
func (c *conn) take(f http2.Frame) *transport.Error {
	switch f := f.(type) {
	case *http2.DataFrame:
		c.mu.Lock()
		defer c.unlock()
		c.takeData(f.StreamID, f.Data(), int(f.Length), f.StreamEnded())
		return nil
	case *http2.HeadersFrame:
		return c.takePart(f.StreamID, f.HeaderBlockFragment(), f.HeadersEnded(), f.StreamEnded())
	case *http2.ContinuationFrame:
		return c.takePart(f.StreamID, f.HeaderBlockFragment(), f.HeadersEnded(), false)
	case *http2.PushPromiseFrame:
		return c.broken(errors.New("the server pushes although that was refused"))
	}
	c.mu.Lock()
	defer c.unlock()
	switch f := f.(type) {
	case *http2.RSTStreamFrame:
		if st := c.streams.get(f.StreamID); st != nil {
			st.untouched = st.patient && f.ErrCode == http2.ErrCodeRefusedStream
			c.finish(st, &transport.Error{Kind: transport.KindStreamReset, Op: opRead, Err: fmt.Errorf("the server reset the stream: %s", f.ErrCode)}, c.came)
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.settings(f)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.frames.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		c.goAway(f)
	case *http2.WindowUpdateFrame:
		return c.opened(f)
	}
	if len(c.out) > mostQueued {
		return c.notRead()
	}
	return nil
}

// takePart takes a part of a header, and the header with its last part.
func (c *conn) takePart(id uint32, part []byte, last, end bool) *transport.Error {
	if len(c.block)+len(part) > maxBlock {
		return c.broken(fmt.Errorf("a header is larger than %d bytes", maxBlock))
	}
	c.block = append(c.block, part...)
	c.parts++
	c.ends = c.ends || end // said by the first frame alone
	if !last {
		return nil
	}
	size := c.parts*frameHeader + len(c.block)
	c.mu.Lock()
	err := c.takeBlock(id, c.block, size, c.ends)
	c.unlock()
	c.block, c.parts, c.ends = c.block[:0], 0, false
	if err != nil {
		return c.broken(err)
	}
	return nil
}

// takeBlock takes a header, which came in frames of size bytes. It has to be decoded also when nobody waits for it
// any more, for what follows builds on it. An error ends the connection. The lock must be held.
func (c *conn) takeBlock(id uint32, part []byte, size int, end bool) error {
	b, err := c.decode.block(part)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	st := c.streams.get(id)
	if st == nil {
		return nil
	}
	st.bytesIn += int64(size)
	var failure *transport.Error
	if b.beyond {
		failure = protocolError("the header is larger than %d bytes", httpload.DefaultMaxHeader)
	} else {
		failure = st.to.header(b, end)
	}
	if end || failure != nil {
		c.over(st, failure, end)
	}
	return nil
}

// takeData takes a part of a body, and tells the server now and then how much was read. The lock must be held.
func (c *conn) takeData(id uint32, data []byte, size int, end bool) {
	if c.unread += int64(size); c.unread >= connWindow/4 { // padding counts as well
		_ = c.frames.WriteWindowUpdate(0, uint32(c.unread))
		c.unread = 0
	}
	st := c.streams.get(id)
	if st == nil {
		return
	}
	st.bytesIn += frameHeader + int64(size)
	failure := st.to.data(data, end)
	if end || failure != nil {
		c.over(st, failure, end)
	} else {
		c.credit(st, int64(size))
	}
}

// credit notes that n bytes of a stream were read, of which the server hears now and then. The lock must be held.
func (c *conn) credit(st *stream, n int64) {
	if st.unread += n; st.unread >= streamWindow/2 {
		_ = c.frames.WriteWindowUpdate(st.id, uint32(st.unread))
		st.unread = 0
	}
}

// over finishes a stream. One that is not over for the server is reset. The lock must be held.
func (c *conn) over(st *stream, failure *transport.Error, ended bool) {
	id := st.id // finished, it is its owner's again
	st.ended = ended
	c.finish(st, failure, c.came)
	if !ended {
		_ = c.frames.WriteRSTStream(id, http2.ErrCodeCancel)
	}
}

// goAway takes note that the server gives the connection up: it has not looked at streams beyond the last that
// it names. The lock must be held.
func (c *conn) goAway(f *http2.GoAwayFrame) {
	c.gone.Store(true)
	c.away = true
	graceful := f.ErrCode == http2.ErrCodeNo
	if !graceful {
		c.aside = fmt.Errorf("the server gave the connection up: %s", f.ErrCode)
	} else if c.aside == nil {
		c.aside = errors.New("the server gave the connection up")
	}
	for st := range c.streams.all {
		if st.id <= f.LastStreamID {
			continue
		}
		if st.untouched = graceful || st.patient; graceful {
			c.finish(st, nil, c.came)
		} else {
			c.finish(st, &transport.Error{Kind: transport.KindGoAway, Op: opRead, Err: c.aside}, c.came)
		}
	}
	c.dismiss()
}

// opened takes note of a window that has opened. The lock must be held.
func (c *conn) opened(f *http2.WindowUpdateFrame) *transport.Error {
	if f.StreamID != 0 {
		if st := c.streams.get(f.StreamID); st != nil {
			st.window += int64(f.Increment)
			st.stir()
		}
		return nil
	}
	if c.window += int64(f.Increment); c.window > 1<<31-1 {
		return protocolError("the window of the connection has grown beyond its limit")
	}
	for st := range c.streams.all {
		st.stir()
	}
	return nil
}
