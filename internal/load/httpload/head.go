package httpload

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"proofload/internal/load/transport"
)

const (
	// maxFields bounds the number of fields of a head or a trailer.
	maxFields = 1000
	// maxInformational bounds the 1xx responses before the final one.
	maxInformational = 16
)

// framing is how the end of a body is found.
type framing uint8

const (
	noBody framing = iota
	fixed
	chunked
	untilClose
)

// message is what a head says about the rest of the response.
type message struct {
	framing   framing
	length    int64 // for fixed
	keepAlive bool
}

// headParser reads one head. It keeps what the framing depends on.
type headParser struct {
	resp     *Response
	spoken   bool // the server has said something in HTTP on this connection before
	status   int
	minor    byte // of HTTP/1.x
	length   int64
	encoded  bool // there was a Transfer-Encoding
	closing  bool // Connection: close
	keeping  bool // Connection: keep-alive
	announce time.Duration
}

var (
	errEmpty       = errors.New("connection closed before a response")
	errLineBreak   = errors.New("line has a carriage return or NUL in it")
	errFolded      = errors.New("header field is folded over several lines")
	errFieldName   = errors.New("header field without a valid name")
	errFieldValue  = errors.New("header field value has a control character")
	errFieldCount  = fmt.Errorf("more than %d header fields", maxFields)
	errTwoLengths  = errors.New("content-length is given twice, and differently")
	errEncoding    = errors.New("transfer-encoding is not chunked")
	errOldChunked  = errors.New("transfer-encoding in an HTTP/1.0 response")
	errInform      = fmt.Errorf("more than %d informational responses", maxInformational)
	errUpgrade     = errors.New("server switched protocols without being asked")
	errStatusLine  = errors.New("status line is not HTTP/1.x with a code of three digits")
	errNotHTTP     = errors.New("what came is not HTTP/1.x")
	errHeadTooLong = errors.New("response head is too large")
)

// recall takes a head that is there and the same as the last one in resp. If nothing is there yet it reads once.
func (c *conn) recall(resp *Response, limit int) bool {
	k := &resp.known
	if k.size > 0 && c.r == c.w && c.fill(limit) != nil { // which the next read finds again
		return false
	}
	if k.size == 0 || k.size > limit || c.w-c.r < k.size || !bytes.Equal(c.buf[c.r:c.r+k.size], resp.head[:k.size]) {
		return false
	}
	c.r += k.size
	c.announced = k.announced
	resp.head, resp.fields, resp.Status = resp.head[:k.size], resp.fields[:k.fields], k.status
	return true
}

// readHead reads heads until the final one, which is left in resp.
func (c *conn) readHead(resp *Response, limit int) (message, *transport.Error) {
	if c.recall(resp, limit) {
		return resp.known.message, nil
	}
	resp.known = known{}
	for i := range maxInformational + 1 {
		p := headParser{resp: resp, spoken: c.used || i > 0, length: -1}
		if failure := c.parseHead(&p, limit); failure != nil {
			resp.ClearFields() // of a head that is not there
			return message{}, failure
		}
		switch {
		case p.status == 101:
			return message{}, protocolError(opHead, errUpgrade)
		case p.status >= 200:
			resp.Status = p.status
			c.announced = p.announce
			m, failure := p.message()
			if failure == nil {
				resp.known = known{len(resp.head), len(resp.fields), p.status, p.announce, m}
			}
			return m, failure
		}
		c.interimEnds()
	}
	return message{}, protocolError(opHead, errInform)
}

// parseHead reads the status line and the fields up to the empty line.
func (c *conn) parseHead(p *headParser, limit int) *transport.Error {
	p.resp.fields = p.resp.fields[:0]
	at, first := 0, true
	for {
		end, failure := c.findLine(p, at, limit, first)
		if failure != nil {
			return failure
		}
		start := at
		at = end + 1
		line := trimCR(c.buf[c.r+start : c.r+end])
		var err error
		switch {
		case first:
			err = p.statusLine(line)
		case len(line) == 0:
			p.resp.head = append(p.resp.head[:0], c.buf[c.r:c.r+at]...)
			c.r += at
			return nil
		default:
			err = p.field(line, start)
		}
		if err != nil {
			return p.wrong(err)
		}
		first = false
	}
}

// wrong is the error of a head that cannot be read: a server that does not speak HTTP at all has its own kind.
func (p *headParser) wrong(err error) *transport.Error {
	if errors.Is(err, errNotHTTP) && !p.spoken {
		return &transport.Error{Kind: transport.KindNotSpoken, Op: opHead, Err: err}
	}
	return protocolError(opHead, err)
}

// findLine returns the offset from c.r of the line feed that ends the line beginning at offset at,
// reading on until it is there. With first set it looks at what comes before the line is complete,
// so that a server that speaks something else, and then waits, is recognised at once.
func (c *conn) findLine(p *headParser, at, limit int, first bool) (int, *transport.Error) {
	from := at
	for {
		if c.w-c.r > from {
			if i := bytes.IndexByte(c.buf[c.r+from:c.w], '\n'); i >= 0 && from+i < limit {
				return from + i, nil
			}
			from = c.w - c.r
			if from >= limit {
				return 0, protocolError(opHead, errHeadTooLong)
			}
			if start := c.buf[c.r:c.w]; first && !transport.BeginsHTTP(start) {
				return 0, p.wrong(fmt.Errorf("%w: %w", errNotHTTP, transport.QuoteStart(start, 40)))
			}
		}
		if err := c.fill(limit); err != nil {
			failure := c.fail(opHead, err)
			if failure.Kind == transport.KindClosed && c.r == c.w {
				failure.Err = errEmpty
			}
			return 0, failure
		}
	}
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// statusLine reads HTTP/1.x SP 3DIGIT [SP reason].
func (p *headParser) statusLine(line []byte) error {
	const code = len(transport.HTTP1) + 2 // behind the minor version and a space
	if !transport.BeginsHTTP(line) {
		return fmt.Errorf("%w: %w", errNotHTTP, transport.QuoteStart(line, 40))
	}
	if len(line) < code+3 || line[code-1] != ' ' || (len(line) > code+3 && line[code+3] != ' ') {
		return fmt.Errorf("%w: %w", errStatusLine, transport.QuoteStart(line, 40))
	}
	p.minor = line[code-2]
	status := 0
	for _, c := range line[code : code+3] {
		if c < '0' || c > '9' {
			return fmt.Errorf("%w: %w", errStatusLine, transport.QuoteStart(line, 40))
		}
		status = status*10 + int(c-'0')
	}
	if p.minor < '0' || p.minor > '9' || status < 100 {
		return fmt.Errorf("%w: %w", errStatusLine, transport.QuoteStart(line, 40))
	}
	if !allIn(line[code+3:], inValue) {
		return errLineBreak
	}
	p.status = status
	return nil
}

// field reads one header field; start is its offset in the head.
func (p *headParser) field(line []byte, start int) error {
	name, value, from, err := splitField(line)
	if err != nil {
		return err
	}
	if len(p.resp.fields) == maxFields {
		return errFieldCount
	}
	p.resp.fields = append(p.resp.fields, field{
		name: int32(start), nameEnd: int32(start + len(name)),
		value: int32(start + from), valueEnd: int32(start + from + len(value)),
	})
	switch len(name) { // most fields are of no concern here, and their length says so
	case len("connection"):
		if foldEqual(name, "connection") {
			p.closing = p.closing || hasToken(value, "close")
			p.keeping = p.keeping || hasToken(value, "keep-alive")
		} else if foldEqual(name, "keep-alive") {
			p.announce = announced(value)
		}
	case len("content-length"):
		if foldEqual(name, "content-length") {
			return p.setLength(value)
		}
	case len("transfer-encoding"):
		if foldEqual(name, "transfer-encoding") {
			if p.encoded || !foldEqual(value, "chunked") {
				return errEncoding
			}
			p.encoded = true
		}
	}
	return nil
}

// setLength takes a Content-Length, which may be given several times, also as a list, as long as it is
// the same each time (RFC 9110, 8.6).
func (p *headParser) setLength(value []byte) error {
	for rest, more := value, true; more; {
		var item []byte
		item, rest, more = bytes.Cut(rest, []byte{','})
		n, err := parseLength(bytes.Trim(item, " \t"))
		if err != nil {
			return fmt.Errorf("%w: %w", err, transport.QuoteStart(value, 40))
		}
		if p.length >= 0 && p.length != n {
			return errTwoLengths
		}
		p.length = n
	}
	return nil
}

// splitField parts name and value, without the blanks around the value; from is where the value
// begins.
func splitField(line []byte) (name, value []byte, from int, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, 0, errFolded
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !allIn(line[:colon], inToken) {
		return nil, nil, 0, errFieldName
	}
	from, to := colon+1, len(line)
	for from < to && (line[from] == ' ' || line[from] == '\t') {
		from++
	}
	for to > from && (line[to-1] == ' ' || line[to-1] == '\t') {
		to--
	}
	if !allIn(line[from:to], inValue) {
		return nil, nil, 0, errFieldValue
	}
	return line[:colon], line[from:to], from, nil
}

// announced reads timeout=N of a Keep-Alive field: how long the server keeps the connection, less
// a margin for the way of the next request. What cannot be read says nothing.
func announced(value []byte) time.Duration {
	for item := range bytes.SplitSeq(value, []byte{','}) {
		name, number, ok := bytes.Cut(bytes.TrimSpace(item), []byte{'='})
		if !ok || !foldEqual(name, "timeout") {
			continue
		}
		if n, err := parseLength(number); err == nil && n < 1e6 {
			keep := time.Duration(n) * time.Second
			return max(keep-time.Second, keep/2, time.Nanosecond)
		}
	}
	return 0
}

// message decides how the body ends (RFC 9112, 6.3) and whether the connection stays. With both a
// transfer coding and a length the coding counts, and the connection is not trusted further.
func (p *headParser) message() (message, *transport.Error) {
	m := message{keepAlive: !p.closing && (p.minor != '0' || p.keeping)}
	switch {
	case p.encoded && p.minor == '0':
		return m, protocolError(opHead, errOldChunked)
	case p.status == 204 || p.status == 304:
		m.framing = noBody
	case p.encoded:
		m.framing = chunked
		m.keepAlive = m.keepAlive && p.length < 0
	case p.length >= 0:
		m.framing, m.length = fixed, p.length
	default:
		m.framing = untilClose
	}
	return m, nil
}
