package httpload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"proofload/internal/load/transport"
)

const (
	// maxChunkLine bounds the line before a chunk: the size and any extensions.
	maxChunkLine = 4 << 10
	// maxChunkDigits keeps the size of a chunk within an int64.
	maxChunkDigits = 15
	// scratchSize is the buffer into which bodies go that are not kept.
	scratchSize = 64 << 10
)

var (
	errChunkSize = errors.New("chunk size is not a hexadecimal number")
	errChunkLine = errors.New("chunk line is too long or does not end in CR LF")
	errChunkEnd  = errors.New("chunk is not followed by CR LF")
	errTrailer   = errors.New("trailer is too large")
)

// scratch is memory for bytes that nobody keeps.
var scratch = sync.Pool{New: func() any { return new([scratchSize]byte) }}

// body reads one body into a response.
type body struct {
	conn       *conn
	resp       *Response
	keep       int // bytes of it that are kept
	max        int64
	maxTrailer int
}

func (b *body) read(m *message) *transport.Error {
	switch m.framing {
	case fixed:
		if m.length > b.max {
			return b.tooLarge()
		}
		return b.readFixed(m.length)
	case chunked:
		return b.readChunks()
	case untilClose:
		return b.readAll()
	default:
		return nil
	}
}

func (b *body) tooLarge() *transport.Error {
	return &transport.Error{Kind: transport.KindBody, Op: opBody, Err: fmt.Errorf("larger than %d bytes", b.max)}
}

func (b *body) fail(err error) *transport.Error {
	failure := b.conn.fail(opBody, err)
	if failure.Kind == transport.KindClosed {
		failure.Err = fmt.Errorf("connection closed after %d bytes of the body: %w", b.resp.BodySize, io.ErrUnexpectedEOF)
	}
	return failure
}

// buffered takes up to n bytes that were read already.
func (b *body) buffered(n int64) int64 {
	c := b.conn
	p := c.buf[c.r:c.w]
	if int64(len(p)) > n {
		p = p[:n]
	}
	b.resp.keepBytes(p, b.keep)
	b.resp.BodySize += int64(len(p))
	c.r += len(p)
	return int64(len(p))
}

// readFixed reads a body of an announced length. What else has come along with it belongs to nothing: the
// length was wrong, or the server answers what nobody asked.
func (b *body) readFixed(n int64) *transport.Error {
	failure := b.readExactly(n)
	switch extra := b.conn.w - b.conn.r; {
	case failure == nil && extra > 0:
		return &transport.Error{Kind: transport.KindLength, Op: opBody, Err: fmt.Errorf("%d bytes more than its Content-Length of %d", extra, n)}
	case failure != nil && failure.Kind == transport.KindClosed:
		failure.Kind = transport.KindLength
		failure.Err = fmt.Errorf("connection closed after %d of %d bytes of the body: %w", b.resp.BodySize, n, io.ErrUnexpectedEOF)
	}
	return failure
}

// readExactly reads n bytes.
func (b *body) readExactly(n int64) *transport.Error {
	for n -= b.buffered(n); n > 0; {
		got, err := b.readSome(n)
		if err != nil {
			return b.fail(err)
		}
		n -= got
	}
	return nil
}

// readAll reads until the server closes the connection.
func (b *body) readAll() *transport.Error {
	b.buffered(int64(b.conn.w - b.conn.r))
	for b.resp.BodySize <= b.max {
		_, err := b.readSome(b.max + 1 - b.resp.BodySize)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return b.fail(err)
		}
	}
	return b.tooLarge()
}

// readSome reads at most n bytes from the connection, past its buffer, which is empty.
func (b *body) readSome(n int64) (int64, error) {
	if p := b.resp.room(n, b.keep); len(p) > 0 {
		got, err := b.conn.read(p)
		b.resp.Body = b.resp.Body[:len(b.resp.Body)+got]
		b.resp.BodySize += int64(got)
		return int64(got), err
	}
	buf, ok := scratch.Get().(*[scratchSize]byte)
	if !ok {
		buf = new([scratchSize]byte)
	}
	defer scratch.Put(buf)
	got, err := b.conn.read(buf[:min(n, scratchSize)])
	b.resp.BodySize += int64(got)
	return int64(got), err
}

// readChunks reads chunks and the trailer.
func (b *body) readChunks() *transport.Error {
	for {
		size, failure := b.chunkSize()
		if failure != nil {
			return failure
		}
		if size == 0 {
			return b.readTrailer()
		}
		if size > b.max-b.resp.BodySize {
			return b.tooLarge()
		}
		if failure := b.readExactly(size); failure != nil {
			return failure
		}
		line, failure := b.line(2, errChunkEnd)
		if failure != nil {
			return failure
		}
		if len(line) != 0 {
			return protocolError(opBody, errChunkEnd)
		}
	}
}

// chunkSize reads the line before a chunk. Extensions are allowed and ignored.
func (b *body) chunkSize() (int64, *transport.Error) {
	line, failure := b.line(maxChunkLine, errChunkLine)
	if failure != nil {
		return 0, failure
	}
	number, extension, _ := bytes.Cut(line, []byte{';'})
	number = bytes.TrimRight(number, " \t")
	for len(number) > 1 && number[0] == '0' {
		number = number[1:]
	}
	if len(number) == 0 || len(number) > maxChunkDigits || !allIn(extension, inValue) {
		return 0, protocolError(opBody, errChunkSize)
	}
	var size int64
	for _, c := range number {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, protocolError(opBody, errChunkSize)
		}
		size = size<<4 | int64(c)
	}
	return size, nil
}

// readTrailer reads and checks the fields behind the last chunk; they are not kept.
func (b *body) readTrailer() *transport.Error {
	left := b.maxTrailer
	for range maxFields + 1 {
		line, failure := b.line(left, errTrailer)
		if failure != nil {
			return failure
		}
		if len(line) == 0 {
			return nil
		}
		left -= len(line) + 2
		if _, _, _, err := splitField(line); err != nil {
			return protocolError(opBody, err)
		}
	}
	return protocolError(opBody, errFieldCount)
}

// line reads up to CR LF, which are not part of the result. A lone line feed is refused here:
// intermediaries disagree about it, and so where a chunk ends would be a guess. The line with its
// end has at most limit bytes, otherwise tooLong is the error.
func (b *body) line(limit int, tooLong error) ([]byte, *transport.Error) {
	c, from := b.conn, 0
	for {
		p := c.buf[c.r:c.w]
		if i := bytes.IndexByte(p[from:], '\n'); i >= 0 {
			end := from + i
			if end >= limit || end == 0 || p[end-1] != '\r' {
				return nil, protocolError(opBody, tooLong)
			}
			c.r += end + 1
			return p[:end-1], nil
		}
		if from = len(p); from >= limit {
			return nil, protocolError(opBody, tooLong)
		}
		if err := c.fill(limit); err != nil {
			return nil, b.fail(err)
		}
	}
}
