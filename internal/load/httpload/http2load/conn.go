package http2load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

const (
	// readSize is the read buffer of a connection, from which frames are taken.
	readSize = 16 << 10
	// What the server may send before it hears that it was read: of one stream, and of all together.
	streamWindow = 16 << 20
	connWindow   = 1 << 30
	// defaultWindow is what either side may send as long as nothing else was said.
	defaultWindow = 64<<10 - 1
	// frameSize is the payload of a frame, at most, as long as nothing else was said.
	frameSize = 16 << 10
	// writeLimit is how long a write may take; it is renewed when less than half of it is left.
	writeLimit = time.Minute
	// encoderTable bounds the memory of the compression of what we send.
	encoderTable = 4 << 10
)

var (
	// errUntouched says that the server has not looked at a request, so that it may go out again.
	errUntouched = errors.New("the server did not take the request")
	// errUnsent says that nothing of a request was written, because its connection had just ended.
	errUnsent = errors.New("the connection has ended")
)

// conn is one connection. Its reader, a goroutine, hands out what comes; requests write for themselves.
type conn struct {
	client *Client
	net    net.Conn
	framer *http2.Framer // reads
	header *hpack.Decoder
	block  []byte // of a header in several frames
	ends   bool   // which ends its stream
	fields fields

	limit atomic.Int32 // streams at once that the server allows
	gone  atomic.Bool  // takes no new stream

	// The lock of writing is taken before mu.
	writing  sync.Mutex
	out      bytes.Buffer // frames that are to be written
	spare    bytes.Buffer
	frames   *http2.Framer // writes to out
	encoder  *hpack.Encoder
	encoded  bytes.Buffer
	flushing bool      // somebody writes, and will write what is added
	deadline time.Time // of writes

	mu      sync.Mutex
	streams map[uint32]*stream
	next    uint32
	window  int64 // what may be sent on the whole connection
	initial int64 // and on a new stream
	frame   int   // payload of a frame that is sent, at most
	unread  int64 // bytes of the connection that the server has not heard of as read
	away    bool  // the server takes no new stream
	aside   error // what it said to that
	failure *transport.Error
}

func newConn(c *Client, nc net.Conn) *conn {
	cn := &conn{
		client: c, net: nc, streams: map[uint32]*stream{}, next: 1, window: defaultWindow, initial: defaultWindow, frame: frameSize,
	}
	cn.limit.Store(httpload.CarriedAtOnce)
	cn.framer = http2.NewFramer(nil, bufio.NewReaderSize(nc, readSize))
	cn.framer.SetReuseFrames()
	cn.framer.SetMaxReadFrameSize(frameSize)
	cn.frames = http2.NewFramer(&cn.out, nil)
	cn.encoder = hpack.NewEncoder(&cn.encoded)
	cn.encoder.SetMaxDynamicTableSizeLimit(encoderTable)
	cn.header = hpack.NewDecoder(4<<10, nil)
	cn.header.SetMaxStringLength(httpload.DefaultMaxHeader)
	cn.header.SetEmitFunc(cn.fields.add)
	return cn
}

// open says hello and waits for the server's settings.
func (c *conn) open() *transport.Error {
	c.out.WriteString(http2.ClientPreface)
	_ = c.frames.WriteSettings( // into memory
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: httpload.DefaultMaxHeader},
	)
	_ = c.frames.WriteWindowUpdate(0, connWindow-defaultWindow)
	if _, err := c.net.Write(c.out.Bytes()); err != nil {
		return transport.NewError(opOpen, err, transport.KindReset)
	}
	c.out.Reset()
	f, err := c.framer.ReadFrame()
	if err != nil {
		if isNetwork(err) {
			return transport.NewError(opOpen, err, transport.KindReset)
		}
		return &transport.Error{Kind: transport.KindNotSpoken, Op: opOpen, Err: fmt.Errorf("the server answers with something else than HTTP/2: %w", err)}
	}
	s, ok := f.(*http2.SettingsFrame)
	if !ok || s.IsAck() {
		return &transport.Error{Kind: transport.KindNotSpoken, Op: opOpen, Err: errors.New("the server answers with something else than settings of HTTP/2")}
	}
	if failure := c.settings(s); failure != nil {
		return failure
	}
	return c.flush(func() { _ = c.frames.WriteSettingsAck() })
}

// isNetwork tells errors of the connection from those of what came over it.
func isNetwork(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// settings takes over what the server wants.
func (c *conn) settings(s *http2.SettingsFrame) *transport.Error {
	err := s.ForeachSetting(func(one http2.Setting) error {
		if err := one.Valid(); err != nil {
			return err
		}
		switch one.ID {
		case http2.SettingMaxConcurrentStreams:
			c.limit.Store(int32(min(one.Val, 1<<20)))
		case http2.SettingMaxFrameSize:
			c.mu.Lock()
			c.frame = int(one.Val)
			c.mu.Unlock()
		case http2.SettingHeaderTableSize:
			c.writing.Lock()
			c.encoder.SetMaxDynamicTableSize(min(one.Val, encoderTable))
			c.writing.Unlock()
		case http2.SettingInitialWindowSize:
			c.mu.Lock()
			change := int64(one.Val) - c.initial
			c.initial += change
			for _, st := range c.streams {
				st.window += change
				st.stir()
			}
			c.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return &transport.Error{Kind: transport.KindProtocol, Op: opRead, Err: err}
	}
	return nil
}

// flush adds frames to what is to be written, and writes unless somebody is writing already, who then writes
// them as well: what many requests have to say at the same time goes out at once.
func (c *conn) flush(add func()) *transport.Error {
	c.writing.Lock()
	add()
	return c.flushLocked()
}

// flushLocked writes what there is; it gives the lock of writing back.
func (c *conn) flushLocked() *transport.Error {
	if c.flushing {
		c.writing.Unlock()
		return nil
	}
	c.flushing = true
	for c.out.Len() > 0 {
		c.out, c.spare = c.spare, c.out
		if now := time.Now(); c.deadline.Sub(now) < writeLimit/2 {
			c.deadline = now.Add(writeLimit)
			_ = c.net.SetWriteDeadline(c.deadline) // fails only on a closed connection; the write says so
		}
		c.writing.Unlock()
		_, err := c.net.Write(c.spare.Bytes())
		c.writing.Lock()
		c.spare.Reset()
		if c.spare.Cap() > 1<<20 {
			c.spare = bytes.Buffer{}
		}
		if err != nil {
			c.flushing = false
			c.out.Reset()
			c.writing.Unlock()
			failure := transport.NewError(opWrite, err, transport.KindReset)
			c.fail(failure)
			return failure
		}
	}
	c.flushing = false
	c.writing.Unlock()
	return nil
}

// fail ends the connection and all that it carries. Only the first failure counts.
func (c *conn) fail(failure *transport.Error) {
	c.gone.Store(true)
	c.mu.Lock()
	if c.failure == nil {
		if c.aside != nil && failure.Kind != transport.KindCancelled {
			failure = &transport.Error{Kind: transport.KindGoAway, Op: failure.Op, Err: c.aside}
		}
		c.failure = failure
		for id, st := range c.streams {
			delete(c.streams, id)
			st.finish(failure)
		}
	}
	c.mu.Unlock()
	_ = c.net.Close() // there is nobody to tell
}

// Room implements httpload.Carrier.
func (c *conn) Room() int { return int(c.limit.Load()) }

// Gone implements httpload.Carrier.
func (c *conn) Gone() bool { return c.gone.Load() }

// Valid implements httpload.Carrier.
func (c *conn) Valid() bool { return c.client.opts.Valid == nil || c.client.opts.Valid(c.net) }

// Leave implements httpload.Carrier.
func (c *conn) Leave() {
	c.fail(&transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed})
}

// exchange sends a request over one stream and waits for its response.
func (c *conn) exchange(ctx context.Context, k *call) error {
	st := newStream(k)
	defer st.free()
	if failure := c.send(st, k); failure != nil {
		return failure
	}
	rest := k.req.Body[st.sent:]
	for len(rest) > 0 && st.open() {
		n := c.sendBody(st, rest)
		if rest = rest[n:]; n > 0 {
			continue
		}
		if failure := st.await(ctx, k, true); failure != nil {
			return c.abandon(st, failure)
		}
	}
	if failure := st.await(ctx, k, false); failure != nil {
		return c.abandon(st, failure)
	}
	if len(rest) > 0 { // the server has answered before it had heard all
		_ = c.reset(st.id, http2.ErrCodeNo)
	}
	if st.untouched {
		return errUntouched
	}
	if st.failure != nil {
		return st.failure
	}
	return nil
}

// abandon takes a stream out of the hands of the reader and tells the server. If its answer has come meanwhile
// the failure stays, for it was too late.
func (c *conn) abandon(st *stream, failure *transport.Error) error {
	c.mu.Lock()
	_, open := c.streams[st.id]
	delete(c.streams, st.id)
	c.mu.Unlock()
	if open {
		_ = c.flush(func() { _ = c.frames.WriteRSTStream(st.id, http2.ErrCodeCancel) }) // the request has failed already
	}
	return failure
}

// send opens the stream: its header goes out, and of the body what the windows take at once.
func (c *conn) send(st *stream, k *call) error {
	c.writing.Lock()
	c.mu.Lock()
	if c.failure != nil || c.away || c.next > 1<<31-1 {
		c.mu.Unlock()
		c.writing.Unlock()
		c.gone.Store(true)
		return errUnsent
	}
	st.id, st.window = c.next, c.initial
	c.next += 2
	c.streams[st.id] = st
	size, frame := c.takeWindow(st, len(k.req.Body)), c.frame
	c.mu.Unlock()
	before := c.out.Len()
	c.client.encode(c, k)
	c.writeHeader(st.id, frame, len(k.req.Body) == 0)
	c.writeData(st.id, k.req.Body[:size], frame, size == len(k.req.Body))
	st.sent = size
	k.resp.BytesOut = int64(c.out.Len() - before)
	k.resp.Sent = time.Now()
	_ = c.flushLocked() // one that fails finishes the stream, unless it had its answer already
	return nil
}

// takeWindow takes as much of both windows as n bytes need. mu must be held.
func (c *conn) takeWindow(st *stream, n int) int {
	size := max(min(int64(n), st.window, c.window), 0)
	st.window -= size
	c.window -= size
	return int(size)
}

// sendBody sends more of the body; 0 says that the windows are closed.
func (c *conn) sendBody(st *stream, rest []byte) int {
	c.mu.Lock()
	size, frame := c.takeWindow(st, len(rest)), c.frame
	c.mu.Unlock()
	if size == 0 {
		return 0
	}
	_ = c.flush(func() { // as for send
		before := c.out.Len()
		c.writeData(st.id, rest[:size], frame, size == len(rest))
		st.more += int64(c.out.Len() - before)
	})
	return size
}

// writeHeader writes the header that was encoded. The lock of writing must be held, as for writeData.
func (c *conn) writeHeader(id uint32, frame int, end bool) {
	block := c.encoded.Bytes()
	first := block[:min(len(block), frame)]
	block = block[len(first):]
	_ = c.frames.WriteHeaders(http2.HeadersFrameParam{ // into memory
		StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0,
	})
	for len(block) > 0 {
		part := block[:min(len(block), frame)]
		block = block[len(part):]
		_ = c.frames.WriteContinuation(id, len(block) == 0, part)
	}
}

func (c *conn) writeData(id uint32, p []byte, frame int, end bool) {
	for len(p) > 0 {
		part := p[:min(len(p), frame)]
		p = p[len(part):]
		_ = c.frames.WriteData(id, end && len(p) == 0, part) // into memory
	}
}
