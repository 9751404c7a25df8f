package http2load

import (
	"bytes"
	"slices"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
)

// header is that of a request.
type header struct {
	client *Client
	*httpload.Request
	length int    // to be announced; -1: none is
	late   []byte // fields in the form of AppendLiteral, which stand behind the others
}

// keptHeaders is how many headers a connection knows by heart.
const keptHeaders = 8

// encoder compresses headers. One that was sent before, and consists of nothing but references to the table of the
// connection by then, is the same bytes as long as the table is the same: it is known by heart. It is guarded by
// the connection's lock.
type encoder struct {
	hpack *hpack.Encoder
	block bytes.Buffer
	known [keptHeaders]knownHeader
	turn  int
	whole []byte // a header with its late fields
}

// knownHeader is a header with its encoding; one without bytes is none.
type knownHeader struct {
	method, path string
	absolute     bool
	length       int
	headers      []httpload.Header
	block        []byte
}

func (e *encoder) init() {
	e.hpack = hpack.NewEncoder(&e.block)
	e.hpack.SetMaxDynamicTableSizeLimit(encoderTable)
}

// resize takes over how large a table the server allows.
func (e *encoder) resize(size uint32) {
	e.hpack.SetMaxDynamicTableSize(size)
	e.forget()
}

func (e *encoder) forget() {
	for i := range e.known {
		e.known[i].block = e.known[i].block[:0]
	}
}

// header returns the encoding, valid until the next call.
func (e *encoder) header(h *header) []byte {
	b := e.early(h)
	if len(h.late) == 0 {
		return b
	}
	e.whole = append(append(e.whole[:0], b...), h.late...)
	return e.whole
}

// AppendLiteral appends a field of a header in the form that leaves the tables of the compression alone, which is
// that for what is different each time. Neither name nor value may be longer than 126 bytes.
func AppendLiteral(b []byte, name string, value []byte) []byte {
	b = append(b, 0, byte(len(name))) // RFC 7541, section 6.2.2
	b = append(b, name...)
	b = append(b, byte(len(value)))
	return append(b, value...)
}

// early encodes what is not late.
func (e *encoder) early(h *header) []byte {
	for i := range e.known {
		if k := &e.known[i]; len(k.block) > 0 && k.is(h) {
			return k.block
		}
	}
	e.block.Reset()
	e.write(h)
	b := e.block.Bytes()
	if !referencesOnly(b) {
		e.forget() // the table is another one now
		return b
	}
	k := &e.known[e.turn]
	e.turn = (e.turn + 1) % keptHeaders
	k.method, k.path, k.absolute, k.length = h.Method, h.Path, h.Absolute, h.length
	k.headers, k.block = append(k.headers[:0], h.Headers...), append(k.block[:0], b...)
	return b
}

func (k *knownHeader) is(h *header) bool {
	return k.path == h.Path && k.method == h.Method && k.absolute == h.Absolute && k.length == h.length && slices.Equal(k.headers, h.Headers)
}

func (e *encoder) write(h *header) {
	c := h.client
	authority, agent := c.end.Authority, httpload.DefaultUserAgent
	for i := range h.Headers {
		switch f := &h.Headers[i]; c.lower(f.Name) {
		case "host":
			authority = f.Value
		case "user-agent":
			agent = ""
		}
	}
	field := func(name, value string) { _ = e.hpack.WriteField(hpack.HeaderField{Name: name, Value: value}) } // into memory
	field(":method", h.Method)
	field(":scheme", c.scheme)
	field(":authority", authority)
	field(":path", c.end.Path(h.Request))
	if agent != "" {
		field("user-agent", agent)
	}
	for i := range h.Headers {
		if name := c.lower(h.Headers[i].Name); name != "host" {
			field(name, h.Headers[i].Value)
		}
	}
	if h.length >= 0 {
		field("content-length", strconv.Itoa(h.length))
	}
}
