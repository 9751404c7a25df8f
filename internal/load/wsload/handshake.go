package wsload

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"proofload/internal/load/transport"
)

// maxHead is the size in bytes from which the head of the server's answer is refused.
const maxHead = 64 << 10

// handshake is the http.RoundTripper of one opening: it connects, writes the request and reads the head
// of the answer. net/http's own would keep a buffer of its own for as long as the connection lives, and could
// not say when it wrote.
type handshake struct {
	client  *Client
	got     *Opened
	limit   time.Time
	outer   context.Context // of the whole conversation; a RoundTripper has no other way to be given one
	link    *link           // nil: not connected
	failure *transport.Error
}

// RoundTrip implements http.RoundTripper.
func (h *handshake) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, failure := h.exchange(req)
	if failure == nil {
		return resp, nil
	}
	h.failure = failure
	if h.link != nil {
		h.link.close()
	}
	return nil, failure
}

func (h *handshake) exchange(req *http.Request) (*http.Response, *transport.Error) {
	if failure := h.connect(); failure != nil {
		return nil, failure
	}
	h.link.watch.Over(h.outer, h.link.net)
	h.link.arm(h.limit)
	head := heads.Get().(*bytes.Buffer)
	defer heads.Put(head)
	head.Reset()
	if err := req.Write(head); err != nil {
		return nil, &transport.Error{Kind: transport.KindRequest, Op: opOpen, Err: err}
	}
	h.got.Sent = time.Now()
	if _, err := h.link.Write(head.Bytes()); err != nil {
		return nil, h.link.fail(opOpen, err)
	}
	return h.answer(req)
}

// connect opens the connection, TLS included.
func (h *handshake) connect() *transport.Error {
	ctx, cancel := context.WithDeadline(h.outer, h.limit)
	defer cancel()
	opened, failure := h.client.opener.Open(h.outer, ctx)
	if failure != nil {
		return failure
	}
	h.got.Parts = opened.Parts
	h.link = newLink(opened.Conn)
	return nil
}

// Buffers of the handshake, which are given back when it is over.
var (
	heads   = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
)

// maxInformational bounds how many answers may come before the one that counts.
const maxInformational = 8

// answer reads the head of the server's answer. What came behind it is kept for the connection.
func (h *handshake) answer(req *http.Request) (*http.Response, *transport.Error) {
	bounded := &io.LimitedReader{R: h.link, N: maxHead}
	br := readers.Get().(*bufio.Reader)
	br.Reset(bounded)
	defer func() {
		br.Reset(nil)
		readers.Put(br)
	}()
	if failure := h.listen(br); failure != nil {
		return nil, failure
	}
	for range maxInformational {
		resp, err := http.ReadResponse(br, req)
		if err != nil {
			return nil, h.unread(err, bounded.N <= 0)
		}
		switch h.got.Status = resp.StatusCode; {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			rest, _ := br.Peek(br.Buffered())
			h.link.pending = bytes.Clone(rest)
			resp.Body = h.link
			return resp, nil
		case resp.StatusCode >= http.StatusOK:
			h.link.close()
			resp.Body = http.NoBody
			return resp, nil
		}
	}
	return nil, &transport.Error{Kind: transport.KindProtocol, Op: opOpen, Err: errors.New("more informational answers than allowed")}
}

// listen looks at how the answer begins as it comes: a server that speaks something else may wait after that.
func (h *handshake) listen(br *bufio.Reader) *transport.Error {
	for n := range len(transport.HTTP1) {
		start, err := br.Peek(n + 1)
		if !transport.BeginsHTTP(start) {
			start, _ = br.Peek(br.Buffered())
			return &transport.Error{Kind: transport.KindNotSpoken, Op: opOpen, Err: fmt.Errorf("what came is not HTTP/1.x: %w", transport.QuoteStart(start, 40))}
		}
		if err != nil {
			return h.link.fail(opOpen, err)
		}
	}
	return nil
}

// unread says why there is no answer that can be read.
func (h *handshake) unread(err error, tooLong bool) *transport.Error {
	failure := h.link.fail(opOpen, err)
	if tooLong {
		failure = &transport.Error{Kind: transport.KindProtocol, Op: opOpen, Err: fmt.Errorf("the head of the answer is longer than %d bytes", maxHead)}
	}
	return failure
}

// fail turns the error of an opening into the caller's.
func (h *handshake) fail(err error) *transport.Error {
	switch {
	case h.failure != nil:
		return h.failure
	case h.got.Status >= 200 && h.got.Status < 300: // it took the request for one of HTTP, as RFC 9110 (7.8) has it
		return &transport.Error{Kind: transport.KindNotSpoken, Op: opOpen, Err: fmt.Errorf("the server answered with status %d and took no notice that WebSocket was asked for", h.got.Status)}
	case h.got.Status != 0 && h.got.Status != http.StatusSwitchingProtocols:
		return &transport.Error{Kind: transport.KindHandshake, Op: opOpen, Err: fmt.Errorf("the server answered with status %d and did not switch to WebSocket", h.got.Status)}
	}
	if h.link != nil {
		h.link.close()
	}
	return &transport.Error{Kind: transport.KindProtocol, Op: opOpen, Err: err}
}
