package http3load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// errUnsent says that nothing of a request was written, because its connection takes no more.
var errUnsent = errors.New("the connection takes no more requests")

// config of all connections: a server that is silent keeps its connection as long as an idle one is kept, and one that
// takes its time for an answer is not taken for gone.
var config = &quic.Config{
	MaxIncomingStreams: -1, MaxIdleTimeout: 2 * httpload.DefaultIdleTimeout, KeepAlivePeriod: httpload.DefaultIdleTimeout / 3,
}

// conn is one connection.
type conn struct {
	client *Client
	socket *net.UDPConn
	quic   *quic.Transport
	conn   *quic.Conn
	http   *http3.ClientConn
	gone   atomic.Bool // takes no new stream
	end    sync.Once
}

// dial opens a connection to the first address that answers.
func (c *Client) dial(ctx, limited context.Context, k *call) (*conn, error) {
	k.resp.Parts = transport.Parts{}
	start := time.Now()
	addrs, err := c.opts.Addresses(k.resp.Parts.Over(limited), c.end.Host)
	if err != nil {
		return nil, transport.NewDialError(ctx, limited, transport.OpDial, err)
	}
	var first error
	for _, a := range addrs {
		cn, err := c.dialTo(limited, a)
		if err == nil {
			if !c.enlist(cn) {
				cn.Leave()
				return nil, &transport.Error{Kind: transport.KindCancelled, Op: opRequest, Err: net.ErrClosed}
			}
			k.resp.Connect = time.Since(start)
			return cn, nil
		}
		if first == nil {
			first = err
		}
		if limited.Err() != nil {
			break
		}
	}
	if limited.Err() != nil {
		return nil, ended(ctx, transport.OpDial, first)
	}
	return nil, classify(transport.OpDial, first)
}

func (c *Client) dialTo(ctx context.Context, a netip.Addr) (*conn, error) {
	a = a.Unmap()
	local := &net.UDPAddr{}
	if c.opts.Source != nil {
		if from := c.opts.Source(a); from.IsValid() {
			local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
	}
	network := "udp4"
	if a.Is6() {
		network = "udp6"
	}
	socket, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	cn := &conn{client: c, socket: socket, quic: &quic.Transport{Conn: socket}}
	cn.conn, err = cn.quic.Dial(ctx, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, c.port)), c.tls, c.quic)
	if err != nil {
		_, _ = cn.quic.Close(), socket.Close()
		return nil, err
	}
	cn.http = c.http.NewClientConn(cn.conn)
	return cn, nil
}

// Room implements httpload.Carrier. The library does not tell what the server allows; beyond it a request waits.
func (c *conn) Room() int { return httpload.CarriedAtOnce }

// Gone implements httpload.Carrier.
func (c *conn) Gone() bool { return c.gone.Load() || c.conn.Context().Err() != nil }

// Valid implements httpload.Carrier.
func (c *conn) Valid() bool {
	return c.client.opts.Valid == nil || c.client.opts.Valid(c.conn.RemoteAddr())
}

// Leave implements httpload.Carrier.
func (c *conn) Leave() {
	c.end.Do(func() {
		_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		_, _ = c.quic.Close(), c.socket.Close() // there is nobody to tell
		c.client.mu.Lock()
		delete(c.client.conns, c)
		c.client.mu.Unlock()
	})
}

// exchange sends a request over one stream and waits for its response.
func (c *conn) exchange(ctx, limited context.Context, k *call, req *http.Request) error {
	once := c.plain
	if len(k.req.Body) > 0 {
		once = c.withBody
	}
	op, err := once(limited, k, req)
	switch {
	case err == nil:
		return nil
	case limited.Err() != nil:
		return ended(ctx, op, err)
	case c.client.isClosed():
		return &transport.Error{Kind: transport.KindCancelled, Op: op, Err: err}
	case op == opOpen:
		c.gone.Store(true)
		k.resp.Sent = time.Time{}
		return errUnsent
	}
	return classify(op, err)
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// plain exchanges a request without a body; op says what failed. It takes no goroutine.
func (c *conn) plain(ctx context.Context, k *call, req *http.Request) (op string, err error) {
	st, err := c.http.OpenRequestStream(ctx)
	if err != nil {
		return opOpen, err
	}
	stop := context.AfterFunc(ctx, func() { cancelStream(st) })
	defer stop()
	k.resp.Sent = time.Now()
	if err := st.SendRequestHeader(req); err != nil {
		cancelStream(st)
		return opWrite, err
	}
	_ = st.Close()          // of what was sent; the answer tells the rest
	resp, err := answer(st) //nolint:bodyclose // the body is the stream, which is read to its end or cancelled
	if err == nil {
		err = c.read(st, k, resp)
	}
	if err != nil {
		cancelStream(st)
	}
	return opRead, err
}

// maxInformational bounds the responses before the final one.
const maxInformational = 16

// answer reads the final response's header.
func answer(st *http3.RequestStream) (*http.Response, error) {
	for range maxInformational {
		resp, err := st.ReadResponse()
		if err != nil || resp.StatusCode >= http.StatusOK {
			return resp, err
		}
	}
	return nil, &transport.Error{Kind: transport.KindProtocol, Op: opRead, Err: errors.New("there is no end of informational responses")}
}

func cancelStream(st *http3.RequestStream) {
	st.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	st.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
}

// withBody exchanges a request with a body, which the library sends while it waits for the answer.
func (c *conn) withBody(ctx context.Context, k *call, req *http.Request) (op string, err error) {
	req = req.WithContext(ctx)
	// The library may go on reading for a moment after an early answer, when the caller uses the memory again.
	sent := &counted{Reader: bytes.NewReader(bytes.Clone(k.req.Body))}
	req.Body = sent
	head := k.resp.BytesOut
	k.resp.Sent = time.Now()
	resp, err := c.http.RoundTrip(req)
	k.resp.BytesOut = head + sent.n.Load()
	if err != nil {
		if strings.HasPrefix(err.Error(), unusable) {
			return opOpen, err
		}
		return opRead, err
	}
	defer func() { _ = resp.Body.Close() }()
	return opRead, c.read(resp.Body, k, resp)
}

// unusable begins the error of a request of which nothing was sent; the library has no type for it.
const unusable = "http3: conn unusable"

// counted is a body that counts what was taken of it.
type counted struct {
	*bytes.Reader
	n atomic.Int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// WriteTo hides that of the reader, which counts nothing.
func (c *counted) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{c}) }

// Close implements io.Closer.
func (c *counted) Close() error { return nil }

// tooMuch is the error of a body that goes on behind its content-length; the library has no type for it.
const tooMuch = "peer sent too much data"

// read takes a response over.
func (c *conn) read(st io.Reader, k *call, resp *http.Response) error {
	out, now := k.resp, time.Now()
	for name, values := range resp.Header {
		for _, v := range values {
			out.BytesIn += int64(len(name) + len(v))
			out.AddField(name, v)
		}
	}
	length := int64(-1)
	if text := resp.Header.Get("Content-Length"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return &transport.Error{Kind: transport.KindProtocol, Op: opRead, Err: errors.New("content-length is not a number")}
		}
		length = n
	}
	out.FirstByte = now
	keep := httpload.DefaultKeepBody
	if k.req.Discard {
		keep = 0
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := st.Read(*buf)
		out.AddBody((*buf)[:n], keep)
		out.BytesIn += int64(n)
		if limit := c.client.opts.MaxBody; out.BodySize > limit {
			return &transport.Error{Kind: transport.KindBody, Op: opRead, Err: fmt.Errorf("the body is larger than %d bytes", limit)}
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) && out.BodySize < length {
			break
		}
		if err != nil && err.Error() == tooMuch {
			return &transport.Error{Kind: transport.KindLength, Op: opRead, Err: fmt.Errorf("the body is longer than its content-length of %d", length)}
		}
		if err != nil {
			return err
		}
	}
	if bare := k.req.Method == http.MethodHead || resp.StatusCode == http.StatusNotModified; length >= 0 && length != out.BodySize && !bare {
		return &transport.Error{Kind: transport.KindLength, Op: opRead, Err: fmt.Errorf("the body has %d bytes, its content-length is %d", out.BodySize, length)}
	}
	out.Status = resp.StatusCode
	out.Truncated = !k.req.Discard && out.BodySize > int64(len(out.Body))
	return nil
}

// buffers are what bodies are read into.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 16<<10)
	return &b
}}
