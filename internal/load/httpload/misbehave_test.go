package httpload_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// rawServer runs handle for each connection, and counts them.
type rawServer struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func serveRaw(tb testing.TB, handle func(c *net.TCPConn)) *rawServer {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &rawServer{listener: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c.(*net.TCPConn))
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *rawServer) url() string { return "http://" + s.listener.Addr().String() }

func (s *rawServer) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// readRequest reads a request head and reports whether there was one.
func readRequest(r *bufio.Reader) bool {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == "\r\n" {
			return true
		}
	}
}

// answer is a server that says text after each request head and then closes if last is set.
func answer(text string, last bool) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		for readRequest(r) {
			if _, err := io.WriteString(c, text); err != nil || last {
				return
			}
		}
	}
}

// hang waits until the peer is gone.
func hang(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

const ok200 = "HTTP/1.1 200 OK\r\n"

// misbehaviour is what a server does wrong, and what the client makes of it.
type misbehaviour struct {
	name   string
	handle func(*net.TCPConn)
	kind   transport.Kind
	op     string
	status int
}

func misbehaviours() []misbehaviour {
	endless := strings.Repeat("x", 1000)
	return []misbehaviour{
		{"resets at once", func(c *net.TCPConn) { readRequest(bufio.NewReader(c)); reset(c) }, transport.KindReset, "read response", 0},
		{"closes without a word", func(c *net.TCPConn) { readRequest(bufio.NewReader(c)) }, transport.KindClosed, "read response", 0},
		{"never answers", hang, transport.KindTimeout, "read response", 0},
		{"never ends the head", answer(ok200, false), transport.KindTimeout, "read response", 0},
		{"closes in the head", answer(ok200+"A: ", true), transport.KindClosed, "read response", 0},
		{"drips for ever", func(c *net.TCPConn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, ok200+"\r\n")
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}, transport.KindTimeout, "read body", 200},
		{"banner of another protocol, then silence", func(c *net.TCPConn) { _, _ = io.WriteString(c, "SSH-2.0-x"); hang(c) }, transport.KindNotSpoken, "read response", 0},
		{"banner of SSH, and then closed", func(c *net.TCPConn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.9\r\n") }, transport.KindNotSpoken, "read response", 0},
		{"alert of TLS", func(c *net.TCPConn) { _, _ = c.Write([]byte{0x15, 3, 1, 0, 2, 2, 0x46}); hang(c) }, transport.KindNotSpoken, "read response", 0},
		{"settings of HTTP/2", func(c *net.TCPConn) { _, _ = c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}); hang(c) }, transport.KindNotSpoken, "read response", 0},
		{"garbage line", answer("garbage\r\n\r\n", false), transport.KindNotSpoken, "read response", 0},
		{"garbage behind an informational answer", answer("HTTP/1.1 100 Continue\r\n\r\ngarbage\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"http 2", answer("HTTP/2.0 200 OK\r\n\r\n", false), transport.KindNotSpoken, "read response", 0},
		{"status of two digits", answer("HTTP/1.1 20 OK\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"status of four digits", answer("HTTP/1.1 2000\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"empty line first", answer("\r\n"+ok200+"\r\n", false), transport.KindProtocol, "read response", 0},
		{"nul in a value", answer(ok200+"A: b\x00c\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"carriage return in a value", answer(ok200+"A: b\rc\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"blank before the colon", answer(ok200+"A : b\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"field without a colon", answer(ok200+"nothing\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"folded field", answer(ok200+"A: b\r\n c\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"two lengths that differ", answer(ok200+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", false), transport.KindProtocol, "read response", 0},
		{"list of lengths that differ", answer(ok200+"Content-Length: 1, 2\r\n\r\nx", false), transport.KindProtocol, "read response", 0},
		{"list of lengths with a hole", answer(ok200+"Content-Length: 1,\r\n\r\nx", false), transport.KindProtocol, "read response", 0},
		{"negative length", answer(ok200+"Content-Length: -1\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"length with a sign", answer(ok200+"Content-Length: +1\r\n\r\nx", false), transport.KindProtocol, "read response", 0},
		{"length beyond any number", answer(ok200+"Content-Length: 99999999999999999999\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"unknown transfer coding", answer(ok200+"Transfer-Encoding: gzip, chunked\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"chunks in http 1.0", answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false), transport.KindProtocol, "read response", 200},
		{"switches protocols", answer("HTTP/1.1 101 Switching\r\n\r\n", false), transport.KindProtocol, "read response", 0},
		{"early hints for ever", answer(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), false), transport.KindProtocol, "read response", 0},
		{"endless head", func(c *net.TCPConn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, ok200)
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c, "A%d: %s\r\n", i, endless); err != nil {
					return
				}
			}
		}, transport.KindProtocol, "read response", 0},
		{"too many fields", answer(ok200+strings.Repeat("A:b\r\n", 1001)+"\r\n", false), transport.KindProtocol, "read response", 0},
		{"body shorter than its length", answer(ok200+"Content-Length: 10\r\n\r\nhello", true), transport.KindLength, "read body", 200},
		{"body longer than its length", answer(ok200+"Content-Length: 5\r\n\r\nhello, world", false), transport.KindLength, "read body", 200},
		{"body of length 0", answer(ok200+"Content-Length: 0\r\n\r\nhello", true), transport.KindLength, "read body", 200},
		{"reset in the body", func(c *net.TCPConn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, ok200+"Content-Length: 10\r\n\r\nhello")
			time.Sleep(5 * time.Millisecond)
			reset(c)
		}, transport.KindReset, "read body", 200},
		{"length larger than allowed", answer(ok200+"Content-Length: 1000000\r\n\r\nhello", false), transport.KindBody, "read body", 200},
		{"endless body", func(c *net.TCPConn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, ok200+"\r\n")
			for {
				if _, err := io.WriteString(c, endless); err != nil {
					return
				}
			}
		}, transport.KindBody, "read body", 200},
		{"endless chunks", func(c *net.TCPConn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, ok200+"Transfer-Encoding: chunked\r\n\r\n")
			for {
				if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(endless), endless); err != nil {
					return
				}
			}
		}, transport.KindBody, "read body", 200},
		{"chunk larger than allowed", answer(chunks("fffffff\r\n"), false), transport.KindBody, "read body", 200},
		{"chunk size is no number", answer(chunks("x\r\n"), false), transport.KindProtocol, "read body", 200},
		{"chunk size is negative", answer(chunks("-1\r\n"), false), transport.KindProtocol, "read body", 200},
		{"chunk size is empty", answer(chunks("\r\n"), false), transport.KindProtocol, "read body", 200},
		{"chunk size overflows", answer(chunks("ffffffffffffffff1\r\n"), false), transport.KindProtocol, "read body", 200},
		{"chunk line ends in a line feed only", answer(chunks("1\nx\r\n0\r\n\r\n"), false), transport.KindProtocol, "read body", 200},
		{"chunk longer than its size", answer(chunks("1\r\nxy\r\n0\r\n\r\n"), false), transport.KindProtocol, "read body", 200},
		{"endless chunk extension", answer(chunks("1;"+strings.Repeat("x", 10000)), false), transport.KindProtocol, "read body", 200},
		{"closes between chunks", answer(chunks("1\r\nx\r\n"), true), transport.KindClosed, "read body", 200},
		{"closes before the trailer ends", answer(chunks("0\r\nA: b\r\n"), true), transport.KindClosed, "read body", 200},
		{"bad trailer", answer(chunks("0\r\nA b\r\n\r\n"), false), transport.KindProtocol, "read body", 200},
		{"endless trailer", answer(chunks("0\r\n"+strings.Repeat("A: "+endless+"\r\n", 200)), false), transport.KindProtocol, "read body", 200},
	}
}

// limits are those with which misbehaviours can be found in little time.
func limits(o *httpload.Options) { o.MaxBody, o.MaxHeader = 100_000, 16<<10 }

func TestMisbehavingServer(t *testing.T) {
	for _, tt := range misbehaviours() {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, tt.handle)
			c := newClient(t, s.url(), limits)
			req := httpload.Request{Method: "GET", Path: "/", Timeout: 30 * time.Second}
			if tt.kind == transport.KindTimeout {
				req.Timeout = 20 * time.Millisecond
			}
			var resp httpload.Response
			err := wantKind(t, c.Do(t.Context(), &req, &resp), tt.kind)
			if err.Op != tt.op {
				t.Errorf("op = %q, want %q (%v)", err.Op, tt.op, err)
			}
			if resp.Status != tt.status {
				t.Errorf("status = %d, want %d", resp.Status, tt.status)
			}
			if resp.Sent.IsZero() || resp.End.Before(resp.Sent) || resp.BytesOut == 0 {
				t.Errorf("sent %v, end %v, %d bytes out: the request was written", resp.Sent, resp.End, resp.BytesOut)
			}
			if n := s.accepted(); n != 1 {
				t.Errorf("%d connections, want 1: a failure must not be tried again in secret", n)
			}
			if c.Idle() != 0 {
				t.Errorf("a broken connection was kept")
			}
		})
	}
}

func chunks(s string) string { return ok200 + "Transfer-Encoding: chunked\r\n\r\n" + s }

func wantKind(t *testing.T, err error, kind transport.Kind) *transport.Error {
	t.Helper()
	var e *transport.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want kind %s", err, kind)
	}
	if e.Kind != kind {
		t.Fatalf("kind = %s (%v), want %s", e.Kind, err, kind)
	}
	return e
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	c := newClient(t, "http://"+l.Addr().String())
	var resp httpload.Response
	e := wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindConnect)
	if e.Op != "dial" || !resp.Sent.IsZero() || resp.BytesOut != 0 || resp.End.IsZero() {
		t.Errorf("op %q, sent %v, out %d, end %v", e.Op, resp.Sent, resp.BytesOut, resp.End)
	}
}
