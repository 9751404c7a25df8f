package grpcload

import (
	"net"

	"golang.org/x/net/http2"
)

// framed is a connection that notes the GOAWAY frames which come. The library may end a call with nothing said
// of why, when a server gives the connection up while the call begins: without this it would look like a stream that
// was reset.
type framed struct {
	net.Conn
	trace *trace
	scan  frameScanner // used by the one goroutine that reads
}

// Read implements net.Conn.
func (f *framed) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	for range f.scan.goaways(b[:n]) {
		f.trace.gaveUp()
	}
	return n, err
}

// frameHeader is the length of the header of a frame: three bytes of the length of what follows it, one of the
// type, flags, and the stream (RFC 9113, section 4.1).
const frameHeader = 9

// frameScanner follows the frames of one direction of a connection, in pieces of any size.
type frameScanner struct {
	header [frameHeader]byte
	have   int // bytes of the header that have come
	rest   int // bytes of the payload that have not
}

// goaways returns how many GOAWAY frames begin in what has come.
func (s *frameScanner) goaways(b []byte) (n int) {
	for len(b) > 0 {
		if s.rest > 0 {
			skip := min(s.rest, len(b))
			s.rest -= skip
			b = b[skip:]
			continue
		}
		taken := copy(s.header[s.have:], b)
		s.have += taken
		b = b[taken:]
		if s.have < frameHeader {
			break
		}
		s.have = 0
		s.rest = int(s.header[0])<<16 | int(s.header[1])<<8 | int(s.header[2])
		if http2.FrameType(s.header[3]) == http2.FrameGoAway {
			n++
		}
	}
	return n
}
