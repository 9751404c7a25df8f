package httpload

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"proofload/internal/load/transport"
	"proofload/internal/scenario"
)

// Header is one field of a request, sent as it stands.
type Header struct {
	Name  string
	Value string
}

// Request is one request. Do only reads it; the same Request may be used by many calls at once.
type Request struct {
	// Method is a token; CONNECT is refused.
	Method string
	// Path is the path with its query, escaped, beginning with / or ?; it is appended to the
	// target's base path. Empty is the base path itself.
	Path string
	// Absolute says that Path is below the target's root and not below its base path.
	Absolute bool
	// Headers are sent in this order. Host and User-Agent replace the client's own; Connection:
	// close is honoured. Content-Length must agree with Body; Transfer-Encoding is refused.
	Headers []Header
	Body    []byte
	// Timeout is the time from Began to the last byte of the response, connecting
	// included; 0 is scenario.DefaultTimeout. An earlier deadline of the context counts, too.
	Timeout time.Duration
	// Session is of Client.NewSession: the request goes out on a connection of the session's own. nil: on one
	// of those that all share.
	Session Session
	// Began is when the caller began with the request; the zero time stands for the call of Do.
	Began time.Time
	// Collect says that nothing waits for the response, so that it may be taken in when the client's Collector
	// comes to it. When it ended is as exact as otherwise. It is of no effect with a Session.
	Collect bool
	// Discard says that the body of the response is read, checked and counted but not kept.
	Discard bool
}

// What a character may be used in.
const (
	inToken  = 1 << iota // a method or a field name
	inTarget             // a request target
	inValue              // a field value
)

// classes says for each byte where it may stand.
var classes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			t[c] |= inToken
		}
		if c > ' ' && c < 0x7f && c != '#' {
			t[c] |= inTarget
		}
		if c == '\t' || (c >= ' ' && c != 0x7f) {
			t[c] |= inValue
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= inToken
	}
	return t
}()

// allIn reports whether every byte of s belongs to the class.
func allIn[T string | []byte](s T, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// traits is what a request's own headers say about the rest of it.
type traits struct {
	host, agent, length, connection, close bool
}

func requestError(format string, args ...any) *transport.Error {
	return &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: fmt.Errorf(format, args...)}
}

// check refuses what cannot be written as one HTTP request. Values are not repeated in the error:
// they may be secrets.
func (r *Request) check() (traits, *transport.Error) {
	var t traits
	if r.Method == "" || !allIn(r.Method, inToken) || r.Method == "CONNECT" {
		return t, requestError("method %q cannot be sent", r.Method)
	}
	if r.Path != "" && r.Path[0] != '/' && r.Path[0] != '?' {
		return t, requestError("path must begin with / or ?")
	}
	if !allIn(r.Path, inTarget) {
		return t, requestError("path has a character that must be escaped: a space, control character, # or one beyond ASCII")
	}
	for i := range r.Headers {
		if err := r.checkHeader(&r.Headers[i], &t); err != nil {
			return t, err
		}
	}
	return t, nil
}

// Check refuses what cannot be written as one HTTP request of any version; the error is an *transport.Error.
func (r *Request) Check() error {
	if _, failure := r.check(); failure != nil {
		return failure
	}
	return nil
}

// Span returns when the request began, which is now unless it says so, and when it has failed by timeout.
func (r *Request) Span(ctx context.Context) (began, limit time.Time) {
	if began = r.Began; began.IsZero() {
		began = time.Now()
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = scenario.DefaultTimeout
	}
	limit = began.Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(limit) {
		limit = d
	}
	return began, limit
}

// WantsLength reports whether a request whose headers give no Content-Length carries one.
func (r *Request) WantsLength() bool { return r.wantsLength(traits{}) }

func (r *Request) checkHeader(h *Header, t *traits) *transport.Error {
	if h.Name == "" || !allIn(h.Name, inToken) {
		return requestError("header name %q is not a token", h.Name)
	}
	if !allIn(h.Value, inValue) {
		return requestError("value of header %s has a line break or another control character", h.Name)
	}
	switch {
	case foldEqual(h.Name, "host"):
		if t.host {
			return requestError("header Host is given twice")
		}
		t.host = true
	case foldEqual(h.Name, "user-agent"):
		t.agent = true
	case foldEqual(h.Name, "connection"):
		t.connection, t.close = true, t.close || hasToken(h.Value, "close")
	case foldEqual(h.Name, "content-length"):
		if n, err := parseLength(h.Value); err != nil || n != int64(len(r.Body)) || t.length {
			return requestError("header Content-Length does not agree with the body of %d bytes", len(r.Body))
		}
		t.length = true
	case foldEqual(h.Name, "transfer-encoding"):
		return requestError("header Transfer-Encoding cannot be set: bodies are sent with Content-Length")
	}
	return nil
}

// wantsLength reports whether the request carries a Content-Length of its own making.
func (r *Request) wantsLength(t traits) bool {
	if t.length {
		return false
	}
	return len(r.Body) > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH"
}

// appendHead appends the request line and the fields, up to and with the empty line.
func (c *Client) appendHead(b []byte, r *Request, t traits) []byte {
	b = append(b, r.Method...)
	b = append(b, ' ')
	base := c.base
	if r.Absolute {
		base = nil
	}
	b = append(b, base...)
	if len(base) == 0 && (r.Path == "" || r.Path[0] == '?') {
		b = append(b, '/')
	}
	b = append(b, r.Path...)
	b = append(b, " HTTP/1.1\r\n"...)
	if !t.host {
		b = append(b, c.hostLine...)
	}
	if !t.agent {
		b = append(b, c.agentLine...)
	}
	if c.opts.Fresh && !t.connection {
		b = append(b, "Connection: close\r\n"...)
	}
	for i := range r.Headers {
		b = append(b, r.Headers[i].Name...)
		b = append(b, ": "...)
		b = append(b, r.Headers[i].Value...)
		b = append(b, "\r\n"...)
	}
	if r.wantsLength(t) {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.Body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// foldEqual compares a field name with a lower-case one, without regard to ASCII case.
func foldEqual[T string | []byte](s T, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// hasToken reports whether a comma-separated list has the lower-case token.
func hasToken[T string | []byte](list T, token string) bool {
	for start := 0; start <= len(list); {
		end := start
		for end < len(list) && list[end] != ',' {
			end++
		}
		from, to := start, end
		for from < to && (list[from] == ' ' || list[from] == '\t') {
			from++
		}
		for to > from && (list[to-1] == ' ' || list[to-1] == '\t') {
			to--
		}
		if foldEqual(list[from:to], token) {
			return true
		}
		start = end + 1
	}
	return false
}

var errLength = errors.New("content-length is not a number")

// maxLengthDigits keeps a length within an int64.
const maxLengthDigits = 18

// parseLength reads a Content-Length: digits and nothing else.
func parseLength[T string | []byte](s T) (int64, error) {
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	if len(s) == 0 || len(s) > maxLengthDigits {
		return 0, errLength
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errLength
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, nil
}
