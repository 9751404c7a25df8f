package http2load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

const (
	// frameHeader is the size of what stands before each frame.
	frameHeader = 9
	// readSize is the read buffer of a connection: any frame that the server may send fits.
	readSize = frameHeader + frameSize
	// What the server may send before it hears that it was read: of one stream, and of all together.
	streamWindow = 16 << 20
	connWindow   = 1 << 30
	// defaultWindow is what either side may send as long as nothing else was said.
	defaultWindow = 64<<10 - 1
	// frameSize is the payload of a frame, at most, as long as nothing else was said.
	frameSize = 16 << 10
	// encoderTable bounds the memory of the compression of what we send.
	encoderTable = 4 << 10
)

var (
	// errUntouched says that the server has not looked at a request, so that it may go out again.
	errUntouched = errors.New("the server did not take the request")
	// errUnsent says that nothing of a request was written, because its connection had just ended.
	errUnsent = errors.New("the connection has ended")
)

// conn is one connection. A goroutine reads and hands out what comes; another one writes what requests have left
// to be written, so that a server that does not read holds up nobody beyond the timeout of the request. What
// many requests have to say at the same time goes out at once.
type conn struct {
	client  *Client
	dialled net.Conn // as it was dialled
	net     net.Conn // what is read and written: with TLS the session above it

	// Of the reader.
	in     *bufio.Reader
	came   time.Time // when what is in the buffer came
	framer *http2.Framer
	decode decoder
	block  []byte // of a header in several frames
	parts  int
	ends   bool      // which ends its stream
	ended  []*stream // by frames that came together; their callers are to be woken

	limit atomic.Int32 // streams at once that the server allows
	gone  atomic.Bool  // takes no new stream

	wake     chan struct{} // holds one value when the writer has something to do
	spare    []byte        // of the writer
	deadline time.Time     // of writes; of the writer

	mu       sync.Mutex // given back with unlock
	woken    bool       // the writer knows of what there is to be written
	out      []byte     // frames that are to be written
	frames   *http2.Framer
	encode   encoder
	full     bool      // somebody waits until out is written
	batch    []*stream // those whose header is in out
	streams  crowd
	next     uint32
	window   int64 // what may be sent on the whole connection
	initial  int64 // and on a new stream
	frame    int   // payload of a frame that is sent, at most
	unread   int64 // bytes of the connection that the server has not heard of as read
	away     bool  // the server takes no new stream
	aside    error // what it said to that
	failure  *transport.Error
	bye      bool // what is in out at the end is to be written
	watch    watch
	batching bool // the reader takes frames that came together

	most     int       // streams at once, of those that wait for their turn
	waiting  []*stream // for their turn, who came first stands first
	admitted int       // those whose turn it is and who have not begun
}

func newConn(c *Client, dialled, nc net.Conn) *conn {
	cn := &conn{
		client: c, dialled: dialled, net: nc, wake: make(chan struct{}, 1), next: 1, window: defaultWindow, initial: defaultWindow, frame: frameSize, most: math.MaxInt32,
	}
	cn.limit.Store(httpload.CarriedAtOnce)
	cn.in = bufio.NewReaderSize(arrivals{cn}, readSize)
	cn.framer = http2.NewFramer(nil, cn.in)
	cn.framer.SetReuseFrames()
	cn.framer.SetMaxReadFrameSize(frameSize)
	cn.frames = http2.NewFramer(queue{cn}, nil)
	cn.encode.init()
	cn.decode.init()
	return cn
}

// arrivals reads from the connection, and notes when something came.
type arrivals struct{ c *conn }

// Read implements io.Reader.
func (a arrivals) Read(b []byte) (int, error) {
	n, err := a.c.net.Read(b)
	a.c.came = time.Now()
	return n, err
}

// queue adds frames to what is to be written. The connection's lock must be held.
type queue struct{ c *conn }

// Write implements io.Writer.
func (q queue) Write(b []byte) (int, error) {
	q.c.out = append(q.c.out, b...)
	return len(b), nil
}

// open says hello and waits for the server's settings.
func (c *conn) open() *transport.Error {
	c.out = append(c.out, http2.ClientPreface...)
	_ = c.frames.WriteSettings( // into memory
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: httpload.DefaultMaxHeader},
	)
	_ = c.frames.WriteWindowUpdate(0, connWindow-defaultWindow)
	if _, err := c.net.Write(c.out); err != nil {
		return transport.NewError(opOpen, err, transport.KindReset)
	}
	c.out = c.out[:0]
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
	c.mu.Lock()
	defer c.unlock() // the writer, when there is one, begins with the answer
	return c.settings(s)
}

// isNetwork tells errors of the connection from those of what came over it.
func isNetwork(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// settings takes over what the server wants. The lock must be held.
func (c *conn) settings(s *http2.SettingsFrame) *transport.Error {
	err := s.ForeachSetting(func(one http2.Setting) error {
		if err := one.Valid(); err != nil {
			return err
		}
		switch one.ID {
		case http2.SettingMaxConcurrentStreams:
			c.limit.Store(int32(min(one.Val, 1<<20)))
			c.most = int(min(one.Val, math.MaxInt32))
			c.admit()
		case http2.SettingMaxFrameSize:
			c.frame = int(one.Val)
		case http2.SettingHeaderTableSize:
			c.encode.resize(min(one.Val, encoderTable))
		case http2.SettingInitialWindowSize:
			change := int64(one.Val) - c.initial
			c.initial += change
			for st := range c.streams.all {
				st.window += change
				st.stir()
			}
		}
		return nil
	})
	if err != nil {
		return &transport.Error{Kind: transport.KindProtocol, Op: opRead, Err: err}
	}
	_ = c.frames.WriteSettingsAck() // into memory
	return nil
}

// fail ends the connection and all that it carries. Only the first failure counts.
func (c *conn) fail(failure *transport.Error) {
	c.mu.Lock()
	c.failLocked(failure)
	c.unlock()
	_ = c.net.Close() // there is nobody to tell
}

// failLocked is fail without the end of the connection, which is left to the writer.
func (c *conn) failLocked(failure *transport.Error) {
	c.gone.Store(true)
	if c.failure != nil {
		return
	}
	if c.aside != nil && failure.Kind != transport.KindCancelled {
		failure = &transport.Error{Kind: transport.KindGoAway, Op: failure.Op, Err: c.aside}
	}
	c.failure = failure
	c.watch.end()
	now := time.Now()
	for st := range c.streams.all {
		st.unsent = st.queued && failure.Kind != transport.KindCancelled
		c.finish(st, failure, now)
	}
	c.dismiss()
}

// Room implements httpload.Carrier.
func (c *conn) Room() int { return int(c.limit.Load()) }

// Gone implements httpload.Carrier.
func (c *conn) Gone() bool { return c.gone.Load() }

// Valid implements httpload.Carrier.
func (c *conn) Valid() bool { return c.client.opts.Valid == nil || c.client.opts.Valid(c.dialled) }

// Leave implements httpload.Carrier.
func (c *conn) Leave() {
	c.fail(&transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed})
}

// begin opens a stream: its header and, as far as the windows allow, its body are left to be written. With an
// error, errUnsent, errFull or a *transport.Error, there is no stream.
func (c *conn) begin(ctx context.Context, st *stream, h *header, body []byte) error {
	c.mu.Lock()
	if c.failure != nil || c.away || c.next > 1<<31-1 {
		c.gone.Store(true)
		c.unlock()
		return errUnsent
	}
	if len(c.out) > mostQueued {
		c.unlock()
		failure := c.notRead()
		c.fail(failure)
		return failure
	}
	if st.patient && !c.enter(st) {
		c.unlock()
		return errFull
	}
	st.conn, st.id, st.window = c, c.next, c.initial
	c.next += 2
	c.streams.add(st)
	st.queued = true
	c.batch = append(c.batch, st)
	before := len(c.out)
	c.writeHeader(st.id, c.encode.header(h), len(body) == 0)
	st.sent = c.writeBody(st, body)
	st.bytesOut = int64(len(c.out) - before)
	c.watchOver(ctx, st)
	c.unlock()
	return nil
}
