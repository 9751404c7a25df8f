package http2load

import (
	"strconv"

	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
)

// encode puts the header of a request into the connection's buffer. The lock of writing must be held.
func (c *Client) encode(cn *conn, k *call) {
	cn.encoded.Reset()
	r := k.req
	authority, agent, length := c.end.Authority, httpload.DefaultUserAgent, false
	for i := range r.Headers {
		switch h := &r.Headers[i]; c.lower(h.Name) {
		case "host":
			authority = h.Value
		case "user-agent":
			agent = ""
		case "content-length":
			length = true
		}
	}
	field := func(name, value string) { _ = cn.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) } // into memory
	field(":method", r.Method)
	field(":scheme", c.scheme)
	field(":authority", authority)
	field(":path", c.end.Path(r))
	if agent != "" {
		field("user-agent", agent)
	}
	for i := range r.Headers {
		if name := c.lower(r.Headers[i].Name); name != "host" {
			field(name, r.Headers[i].Value)
		}
	}
	if !length && r.WantsLength() {
		field("content-length", strconv.Itoa(len(r.Body)))
	}
}
