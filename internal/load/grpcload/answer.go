package grpcload

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"

	"proofload/internal/load/transport"
)

// framePrefix is the length of what stands before each message: whether it is compressed, and how long it is.
const framePrefix = 5

// answer takes what comes as the answer to a unary call, as the document of gRPC over HTTP/2 describes it.
type answer struct {
	response     *Response
	keepMetadata bool
	most         int // bytes of a message

	began    bool
	status   string // of HTTP
	encoding string // of messages
	prefix   [framePrefix]byte
	have     int // bytes of the prefix that have come
	rest     int // bytes of the message that have not
	messages int
}

// ending is what a header says, in the last one of how the call went.
type ending struct {
	kind     string // content type
	metadata metadata.MD
	code     codes.Code
	said     bool
	text     string
	details  string
	several  bool // details
}

// Header implements http2load.Receiver.
func (a *answer) Header(fields []hpack.HeaderField, end bool) *transport.Error {
	if a.began && !end {
		return protocolError("a header comes in the middle of the answer")
	}
	e := ending{code: codes.Unknown}
	for i := range fields {
		if failure := a.field(&fields[i], &e); failure != nil {
			return failure
		}
	}
	spoken := a.began || isGRPC(e.kind)
	switch {
	case !spoken && len(a.status) == 3 && a.status[0] == '1':
		if end {
			return protocolError("status %s ends the answer", a.status)
		}
		return nil // an interim response
	case !spoken:
		return notSpoken(a.status, e.kind)
	case !end:
		a.began, a.response.Header = true, e.metadata
		return nil
	case !e.said && a.status != "200":
		return notSpoken(a.status, e.kind)
	}
	a.response.Trailer = e.metadata
	a.end(&e)
	return nil
}

// field takes one field of a header.
func (a *answer) field(f *hpack.HeaderField, e *ending) *transport.Error {
	value := f.Value
	switch f.Name {
	case ":status":
		a.status = value
		return nil
	case "content-type":
		e.kind = value
	case "grpc-encoding":
		a.encoding = value
	case "grpc-status":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return protocolError("grpc-status is no number")
		}
		e.code, e.said = codes.Code(uint32(n)), true //nolint:gosec // a code that is negative is shown as the large number that it is in the protocol
	case "grpc-message":
		e.text = unescape(value)
	default:
		if strings.HasSuffix(f.Name, binarySuffix) {
			decoded, err := decodeBinary(value)
			if err != nil {
				return protocolError("metadata %s is not in base64", f.Name)
			}
			value = decoded
		}
		if f.Name == "grpc-status-details-bin" {
			e.several = e.details != ""
			e.details = value
		}
	}
	if a.keepMetadata && (f.Name == "content-type" || !reserved(f.Name)) {
		if e.metadata == nil {
			e.metadata = metadata.MD{}
		}
		e.metadata[f.Name] = append(e.metadata[f.Name], value)
	}
	return nil
}

func isGRPC(kind string) bool {
	rest, ok := strings.CutPrefix(kind, contentType)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// httpCodes are the codes for which a status of HTTP stands in an answer that has none of gRPC.
var httpCodes = map[string]codes.Code{
	"400": codes.Internal, "401": codes.Unauthenticated, "403": codes.PermissionDenied, "404": codes.Unimplemented,
	"429": codes.Unavailable, "502": codes.Unavailable, "503": codes.Unavailable, "504": codes.Unavailable,
}

// notSpoken is the failure of a call that was answered by something else than gRPC, such as a proxy.
func notSpoken(status, kind string) *transport.Error {
	n, err := strconv.Atoi(status)
	if err != nil {
		return protocolError("the answer has no valid status of HTTP")
	}
	code, ok := httpCodes[status]
	if !ok {
		code = codes.Unknown
	}
	return &transport.Error{Kind: transport.KindNotSpoken, Op: opCall, Err: fmt.Errorf(
		"the server answers without gRPC: HTTP status %d (%s), which stands for %s, content type %q", n, http.StatusText(n), codeName(code), kind)}
}

// end takes note of the status. An answer with the status OK that is not one message is INTERNAL, as the protocol
// wants it.
func (a *answer) end(e *ending) {
	r := a.response
	if e.details != "" && !e.several {
		e.compare()
	}
	switch {
	case e.code != codes.OK:
	case a.messages == 0:
		e.code, e.text = codes.Internal, "the server sent no message and the status OK"
	case a.rest > 0 || a.have > 0:
		e.code, e.text = codes.Internal, "the server sent a part of a message and the status OK"
	}
	r.Code, r.Text = codeName(e.code), e.text
}

// Numbers of the fields of google.rpc.Status.
const (
	detailsCode    = 1
	detailsMessage = 2
)

// compare takes over what the details of a status say of it. What is no google.rpc.Status is left alone.
func (e *ending) compare() {
	var code uint64
	text := ""
	for b := []byte(e.details); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		switch {
		case number == detailsCode && kind == protowire.VarintType:
			code, n = protowire.ConsumeVarint(b)
		case number == detailsMessage && kind == protowire.BytesType:
			text, n = protowire.ConsumeString(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return
		}
		b = b[n:]
	}
	if codes.Code(uint32(code)) != e.code { //nolint:gosec // an int32, as the protocol has it
		e.text = fmt.Sprintf("the server says %s, and %s in the details", codeName(e.code), codeName(codes.Code(uint32(code)))) //nolint:gosec // the same
		e.code = codes.Internal
		return
	}
	e.text = text
}

// Data implements http2load.Receiver.
func (a *answer) Data(p []byte, end bool) *transport.Error {
	if !a.began {
		return protocolError("a message comes before the header")
	}
	for len(p) > 0 {
		if a.rest == 0 {
			n := copy(a.prefix[a.have:], p)
			a.have += n
			p = p[n:]
			if a.have < framePrefix {
				break
			}
			a.have = 0
			if failure := a.begin(); failure != nil {
				return failure
			}
			continue
		}
		n := min(a.rest, len(p))
		a.rest -= n
		if got := &a.response.received; got.keep {
			got.data = append(got.data, p[:n]...)
		}
		p = p[n:]
	}
	if end {
		return &transport.Error{Kind: transport.KindClosed, Op: opCall, Err: errNoTrailer}
	}
	return nil
}

var errNoTrailer = errors.New("the server closed the stream without sending trailers")

// begin takes note of the prefix of a message.
func (a *answer) begin() *transport.Error {
	size := int64(binary.BigEndian.Uint32(a.prefix[1:]))
	switch flags := a.prefix[0]; {
	case flags > 1:
		return protocolError("a message has the flags %d", flags)
	case flags == 1:
		return protocolError("a message is compressed, with %q, which was not offered", a.encoding)
	case size > int64(a.most):
		return &transport.Error{Kind: transport.KindBody, Op: opCall, Err: fmt.Errorf("the message has %d bytes, more than %d", size, a.most)}
	case a.messages > 0:
		return protocolError("a unary call has more than one message in its answer")
	}
	a.messages++
	a.rest = int(size)
	a.response.received.size, a.response.received.data = a.rest, a.response.received.data[:0]
	return nil
}

func protocolError(format string, args ...any) *transport.Error {
	return &transport.Error{Kind: transport.KindProtocol, Op: opCall, Err: fmt.Errorf(format, args...)}
}

// decodeBinary decodes a value of bytes, with or without padding.
func decodeBinary(value string) (string, error) {
	encoding := base64.RawStdEncoding
	if len(value)%4 == 0 {
		encoding = base64.StdEncoding
	}
	b, err := encoding.DecodeString(value)
	return string(b), err
}

// unescape decodes a message of a status: a % and two hexadecimal digits are a byte. What is not that stands for
// itself.
func unescape(text string) string {
	first := strings.IndexByte(text, '%')
	if first < 0 {
		return text
	}
	b := []byte(text[:first])
	for i := first; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, text[i])
	}
	return string(b)
}
