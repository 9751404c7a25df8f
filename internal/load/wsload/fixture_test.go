package wsload

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the server's end of one connection, without any library: it can be as wrong as a test wants.
type peer struct {
	net.Conn
	br  *bufio.Reader
	req *http.Request
}

// serve accepts connections and gives each to handle, which is waited for. It returns the address.
func serve(t testing.TB, handle func(p *peer)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				handle(&peer{Conn: c, br: bufio.NewReader(c)})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// agree reads the handshake and agrees to it, with further lines of its own.
func (p *peer) agree(lines string) bool {
	if !p.request() {
		return false
	}
	sum := sha1.Sum([]byte(p.req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	_, err := fmt.Fprintf(p, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
		base64.StdEncoding.EncodeToString(sum[:]), lines)
	return err == nil
}

func (p *peer) request() bool {
	var err error
	p.req, err = http.ReadRequest(p.br)
	return err == nil
}

// say writes a frame.
func (p *peer) say(first byte, payload string) {
	head := []byte{first, byte(len(payload))}
	switch {
	case len(payload) > 0xffff:
		head = binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(len(payload)))
	case len(payload) > 125:
		head = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(len(payload)))
	}
	_, _ = p.Write(append(head, payload...))
}

// Frames by their first byte: the last fragment of a kind.
const (
	frameText   = 0x81
	frameBinary = 0x82
	frameClose  = 0x88
	framePing   = 0x89
	framePong   = 0x8a
)

// hear reads a frame, which a client masks.
func (p *peer) hear() (first byte, payload string, err error) {
	head := make([]byte, 2)
	if _, err = io.ReadFull(p.br, head); err != nil {
		return 0, "", err
	}
	n := uint64(head[1] & 0x7f)
	if n > 125 {
		more := make([]byte, map[uint64]int{126: 2, 127: 8}[n])
		if _, err = io.ReadFull(p.br, more); err != nil {
			return 0, "", err
		}
		n = binary.BigEndian.Uint64(append(make([]byte, 8-len(more)), more...))
	}
	body := make([]byte, 4+n)
	if _, err = io.ReadFull(p.br, body); err != nil {
		return 0, "", err
	}
	for i := range body[4:] {
		body[4+i] ^= body[i%4]
	}
	return head[0], string(body[4:]), nil
}

// echo sends back what it hears until the client closes, and closes then.
func (p *peer) echo() {
	for {
		first, payload, err := p.hear()
		if err != nil {
			return
		}
		p.say(first, payload)
		if first == frameClose {
			return
		}
	}
}

// closing is the payload of a close frame.
func closing(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

func client(t testing.TB, addr string, change ...func(*Options)) *Client {
	t.Helper()
	target, err := url.Parse("ws://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Target: target}
	for _, c := range change {
		c(&opts)
	}
	c, err := NewClient(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patient is a limit that no test reaches.
func patient() time.Time { return time.Now().Add(30 * time.Second) }

// dial opens a connection, which is dropped when the test ends.
func dial(t testing.TB, addr string, change ...func(*Options)) *Conn {
	t.Helper()
	c, err := client(t, addr, change...).Open(t.Context(), &Opening{Path: "/"}, &Opened{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	return c
}

// Receive awaits a message that begins before until and is complete before limit, and reads it.
func (c *Conn) Receive(buf []byte, until, limit time.Time) (Message, error) {
	if err := c.Await(until, limit.Sub(until)); err != nil {
		return Message{}, err
	}
	return c.Take(buf)
}
