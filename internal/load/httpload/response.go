package httpload

import (
	"iter"
	"slices"
	"time"

	"proofload/internal/load/transport"
)

// Response is what came back. Its owner passes it to one Do after the other; each call empties it
// first and reuses its memory, so everything it gives out is valid until the next call. When Do
// returns an error, the fields hold what was known by then.
type Response struct {
	// Status is the status code of the final response; 0 if no complete and valid head came.
	Status int
	// Body is the body as sent, without the framing, as far as it was kept.
	Body []byte
	// BodySize is the number of bytes of the body, kept or not.
	BodySize int64
	// Truncated says that Body is not the whole body, because it was larger than Options.KeepBody.
	// It is not set when the request asked to discard the body.
	Truncated bool
	// BytesIn and BytesOut are the bytes of HTTP read and written, heads and framing included, TLS
	// and below not.
	BytesIn, BytesOut int64
	// Connect is the time it took to open the connection, TLS handshake included; 0 if Reused.
	Connect time.Duration
	// Parts is how long parts of that took.
	Parts transport.Parts
	// Reused says that the request went out on a connection that was open already.
	Reused bool
	// Sent is the instant just before the first byte was written, after connecting: when the request began, if it
	// could go out at once. It is zero if nothing was written: then the target cannot have seen the request.
	Sent time.Time
	// FirstByte is the instant after the first bytes of the final response were read, not before Sent; of HTTP/2 and
	// HTTP/3 it is that of its whole head. It is zero if no complete head came.
	FirstByte time.Time
	// End is the instant after the last byte was read, or at which Do gave up.
	End time.Time

	head   []byte
	fields []field
	known  known
	kept   any // of the client
}

// field is the place of one header field in Response.head.
type field struct{ name, nameEnd, value, valueEnd int32 }

// known is what the last head of HTTP/1 has said, which is still in the memory of head and fields: most of a server's
// heads are like the one before, to the second.
type known struct {
	size, fields int // 0: nothing is known
	status       int
	announced    time.Duration
	message      message
}

// reset empties r and keeps its memory.
func (r *Response) reset() {
	*r = Response{Body: r.Body[:0], head: r.head[:0], fields: r.fields[:0], known: r.known, kept: r.kept}
}

// forget drops what was read of a response that is read again from its beginning.
func (r *Response) forget() {
	r.Status, r.Body, r.BodySize, r.Truncated = 0, r.Body[:0], 0, false
	r.ClearFields()
}

// Reset empties r and keeps its memory. It is for the clients of other versions of HTTP.
func (r *Response) Reset() {
	r.reset()
	r.known = known{}
}

// Kept returns what a client has left to be used again by the next Do, perhaps of another client; nil: nothing.
func (r *Response) Kept() any { return r.kept }

// Keep leaves something to be used again. Trim gives it back.
func (r *Response) Keep(v any) { r.kept = v }

// AddField adds a header field.
func (r *Response) AddField(name, value string) {
	r.head, r.fields = appendField(r.head, r.fields, name, value)
}

// ClearFields drops the header fields.
func (r *Response) ClearFields() { r.head, r.fields = r.head[:0], r.fields[:0] }

// AddBody counts a part of the body, and keeps it as far as keep bytes of all of it allow.
func (r *Response) AddBody(p []byte, keep int) {
	r.BodySize += int64(len(p))
	r.keepBytes(p, keep)
}

// Trim gives back the memory of a large body or head. What the last Do has put there is gone.
func (r *Response) Trim() {
	r.Reset()
	r.kept = nil
	if cap(r.Body) > keptSize {
		r.Body = nil
	}
	if cap(r.head) > keptSize {
		r.head = nil
	}
}

// Header returns the value of the first field with that name, without regard to case, and whether
// there is one. The bytes must not be changed.
func (r *Response) Header(name string) (value []byte, ok bool) {
	for i := range r.fields {
		f := &r.fields[i]
		if sameName(r.head[f.name:f.nameEnd], name) {
			return r.head[f.value:f.valueEnd:f.valueEnd], true
		}
	}
	return nil, false
}

// Headers yields the fields in the order in which they came. The bytes must not be changed.
func (r *Response) Headers() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := range r.fields {
			f := &r.fields[i]
			if !yield(r.head[f.name:f.nameEnd:f.nameEnd], r.head[f.value:f.valueEnd:f.valueEnd]) {
				return
			}
		}
	}
}

func sameName(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// bodyStep is by how much room for a body grows at least: a length that a target announces is not
// believed before its bytes come.
const bodyStep = 32 << 10

// room returns free space of at most n bytes behind Body, as far as keep allows; empty if the rest
// is not kept.
func (r *Response) room(n int64, keep int) []byte {
	free := keep - len(r.Body)
	if free <= 0 {
		return nil
	}
	n = min(n, int64(free))
	if spare := cap(r.Body) - len(r.Body); spare == 0 || (int64(spare) < n && spare < bodyStep) {
		r.Body = slices.Grow(r.Body, int(min(n, bodyStep)))
	}
	spare := r.Body[len(r.Body):cap(r.Body)]
	return spare[:min(int64(len(spare)), n)]
}

// keepBytes appends p to the body as far as keep allows.
func (r *Response) keepBytes(p []byte, keep int) {
	if free := keep - len(r.Body); free > 0 {
		r.Body = append(r.Body, p[:min(len(p), free)]...)
	}
}
