package http2load

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// maxBlock bounds a header before it is decoded.
const maxBlock = 4 * httpload.DefaultMaxHeader

// readLoop takes what comes until the connection ends.
func (c *conn) readLoop() {
	for {
		f, err := c.framer.ReadFrame()
		var failure *transport.Error
		if err == nil {
			failure = c.take(f)
		} else if e, ok := errors.AsType[http2.StreamError](err); ok {
			c.end(e.StreamID, protocolError("%w", err))
			failure = c.reset(e.StreamID, e.Code)
		} else {
			failure = c.broken(err)
		}
		if failure != nil {
			c.fail(failure)
			return
		}
	}
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
	_ = c.flush(func() { _ = c.frames.WriteGoAway(0, code, nil) }) // the connection has failed already
	return protocolError("%w", err)
}

// take handles a frame. An error ends the connection.
func (c *conn) take(f http2.Frame) *transport.Error {
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.HeadersFrame:
		c.count(f.StreamID, f.Length)
		return c.takeBlock(f.StreamID, f.HeaderBlockFragment(), f.HeadersEnded(), f.StreamEnded())
	case *http2.ContinuationFrame:
		c.count(f.StreamID, f.Length)
		return c.takeBlock(f.StreamID, f.HeaderBlockFragment(), f.HeadersEnded(), false)
	case *http2.RSTStreamFrame:
		c.end(f.StreamID, &transport.Error{Kind: transport.KindStreamReset, Op: opRead, Err: fmt.Errorf("the server reset the stream: %s", f.ErrCode)})
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if failure := c.settings(f); failure != nil {
			return failure
		}
		return c.flush(func() { _ = c.frames.WriteSettingsAck() })
	case *http2.PingFrame:
		if !f.IsAck() {
			data := f.Data
			return c.flush(func() { _ = c.frames.WritePing(true, data) })
		}
	case *http2.GoAwayFrame:
		c.goAway(f)
	case *http2.WindowUpdateFrame:
		return c.opened(f)
	case *http2.PushPromiseFrame:
		return c.broken(errors.New("the server pushes although that was refused"))
	}
	return nil
}

// frameHeader is the size of what stands before each frame.
const frameHeader = 9

// count adds the bytes of a frame to those of its stream.
func (c *conn) count(id uint32, payload uint32) {
	c.mu.Lock()
	if st := c.streams[id]; st != nil {
		st.resp.BytesIn += frameHeader + int64(payload)
	}
	c.mu.Unlock()
}

// takeBlock takes a part of a header, and the header with its last part. It has to be decoded also when nobody
// waits for it any more, for what follows builds on it.
func (c *conn) takeBlock(id uint32, part []byte, last, end bool) *transport.Error {
	if !last || len(c.block) > 0 {
		if len(c.block)+len(part) > maxBlock {
			return c.broken(fmt.Errorf("a header is larger than %d bytes", maxBlock))
		}
		c.block = append(c.block, part...)
		if !last {
			c.ends = c.ends || end // said by the first frame alone
			return nil
		}
		part, end = c.block, c.ends
		c.block, c.ends = c.block[:0], false
	}
	c.fields.reset()
	if _, err := c.header.Write(part); err != nil {
		return c.broken(fmt.Errorf("header: %w", err))
	}
	if err := c.header.Close(); err != nil {
		return c.broken(fmt.Errorf("header: %w", err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams[id]
	if st == nil {
		return nil
	}
	if over, failure := st.header(&c.fields, end); over {
		return c.overLocked(st, failure, end)
	}
	return nil
}

// takeData takes a part of a body, and tells the server now and then how much was read.
func (c *conn) takeData(f *http2.DataFrame) *transport.Error {
	size := int64(f.Length) // padding counts as well
	var more uint32
	c.mu.Lock()
	if c.unread += size; c.unread >= connWindow/4 {
		more, c.unread = uint32(c.unread), 0
	}
	st := c.streams[f.StreamID]
	var failure *transport.Error
	var again uint32
	if st != nil {
		st.resp.BytesIn += frameHeader + size
		over, wrong := st.data(f.Data(), f.StreamEnded())
		if over {
			failure = c.overLocked(st, wrong, f.StreamEnded())
		} else if st.unread += size; st.unread >= streamWindow/2 {
			again, st.unread = uint32(st.unread), 0
		}
	}
	c.mu.Unlock()
	if failure != nil || more == 0 && again == 0 {
		return failure
	}
	return c.flush(func() {
		if more > 0 {
			_ = c.frames.WriteWindowUpdate(0, more)
		}
		if again > 0 {
			_ = c.frames.WriteWindowUpdate(f.StreamID, again)
		}
	})
}

// overLocked finishes a stream. One that is not over for the server is reset; mu is given back meanwhile.
func (c *conn) overLocked(st *stream, failure *transport.Error, ended bool) *transport.Error {
	id := st.id
	delete(c.streams, id)
	st.finish(failure)
	if ended {
		return nil
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	return c.reset(id, http2.ErrCodeCancel)
}

// reset tells the server to end a stream.
func (c *conn) reset(id uint32, code http2.ErrCode) *transport.Error {
	return c.flush(func() { _ = c.frames.WriteRSTStream(id, code) })
}

// end finishes a stream that the server has ended.
func (c *conn) end(id uint32, failure *transport.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.streams[id]; st != nil {
		delete(c.streams, id)
		st.finish(failure)
	}
}

// goAway takes note that the server gives the connection up: it has not looked at streams beyond the last that
// it names.
func (c *conn) goAway(f *http2.GoAwayFrame) {
	c.gone.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
	graceful := f.ErrCode == http2.ErrCodeNo
	if !graceful {
		c.aside = fmt.Errorf("the server gave the connection up: %s", f.ErrCode)
	} else if c.aside == nil {
		c.aside = errors.New("the server gave the connection up")
	}
	for id, st := range c.streams {
		if id <= f.LastStreamID {
			continue
		}
		delete(c.streams, id)
		if st.untouched = graceful; graceful {
			st.finish(nil)
		} else {
			st.finish(&transport.Error{Kind: transport.KindGoAway, Op: opRead, Err: c.aside})
		}
	}
}

// opened takes note of a window that has opened.
func (c *conn) opened(f *http2.WindowUpdateFrame) *transport.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID != 0 {
		if st := c.streams[f.StreamID]; st != nil {
			st.window += int64(f.Increment)
			st.stir()
		}
		return nil
	}
	if c.window += int64(f.Increment); c.window > 1<<31-1 {
		return protocolError("the window of the connection has grown beyond its limit")
	}
	for _, st := range c.streams {
		st.stir()
	}
	return nil
}
