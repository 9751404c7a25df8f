package grpcload

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/transport"
)

// Head is the head of unary calls in the form in which it is sent, for calls that have it in common.
type Head struct {
	path    string
	headers []httpload.Header
	err     error // why it cannot be sent
}

const (
	contentType = "application/grpc"
	// binarySuffix is that of names whose values are bytes.
	binarySuffix = "-bin"
)

// NewHead returns the head of calls of a method, /package.Service/Method, with metadata, which is not kept. What is
// wrong with it the calls tell. Names that the protocol has for itself are left out.
func (c *Client) NewHead(method string, md metadata.MD) *Head {
	h := &Head{path: method, headers: []httpload.Header{
		{Name: "host", Value: c.authority},
		{Name: "content-type", Value: contentType},
		{Name: "user-agent", Value: c.opts.UserAgent},
		{Name: "te", Value: "trailers"},
	}}
	for _, name := range slices.Sorted(maps.Keys(md)) {
		for _, value := range md[name] {
			if err := checkField(name, value); err != nil {
				h.err = &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: err}
				return h
			}
			if reserved(name) {
				continue
			}
			if strings.HasSuffix(name, binarySuffix) {
				value = base64.RawStdEncoding.EncodeToString([]byte(value))
			}
			h.headers = append(h.headers, httpload.Header{Name: name, Value: value})
		}
	}
	return h
}

var errNoName = errors.New("metadata without a name")

// checkField tells what metadata may not be.
func checkField(name, value string) error {
	if name == "" {
		return errNoName
	}
	for i := range len(name) {
		switch b := name[i]; {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '-', b == '_', b == '.', b == ':' && i == 0:
		default:
			return fmt.Errorf("metadata %q: a name has a character that is not of [0-9a-z-_.]", name)
		}
	}
	if strings.HasSuffix(name, binarySuffix) {
		return nil
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return fmt.Errorf("metadata %q: the value has a character that is not printable ASCII", name)
		}
	}
	return nil
}

// reserved reports whether a name is none of metadata, but the protocol's.
func reserved(name string) bool {
	switch name {
	case "content-type", "user-agent", "te", "grpc-message-type", "grpc-encoding", "grpc-message", "grpc-status", "grpc-timeout":
		return true
	}
	return strings.HasPrefix(name, ":")
}

// late appends what differs from one call to the next: how much time the server has.
func late(b []byte, left time.Duration) []byte {
	var value [24]byte
	return http2load.AppendLiteral(b, "grpc-timeout", appendTimeout(value[:0], left))
}

// mostDigits is one more than the largest number of a timeout: it has eight digits at most.
const mostDigits = 100_000_000

// appendTimeout appends a timeout in the finest unit that it fits into, rounded up: the server is not to end a call
// for which there is time.
func appendTimeout(b []byte, left time.Duration) []byte {
	unit, letter := time.Duration(1), byte('n')
	for _, next := range []struct {
		unit   time.Duration
		letter byte
	}{{time.Microsecond, 'u'}, {time.Millisecond, 'm'}, {time.Second, 'S'}, {time.Minute, 'M'}, {time.Hour, 'H'}} {
		if (max(left, 1)-1)/unit+1 < mostDigits {
			break
		}
		unit, letter = next.unit, next.letter
	}
	return append(strconv.AppendInt(b, int64((max(left, 1)-1)/unit+1), 10), letter)
}
