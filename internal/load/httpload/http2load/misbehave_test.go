package http2load_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/transport"
)

// TestMisbehavingServer: whatever a server does to a stream or to the connection has its kind, is no success,
// and the next request is answered.
func TestMisbehavingServer(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind transport.Kind
		do   func(p *peer, id uint32)
	}{
		{"stream reset", transport.KindStreamReset, func(p *peer, id uint32) { _ = p.framer.WriteRSTStream(id, http2.ErrCodeInternal) }},
		{"stream refused", transport.KindStreamReset, func(p *peer, id uint32) { _ = p.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream) }},
		{"reset in the body", transport.KindStreamReset, func(p *peer, id uint32) {
			p.header(id, false, ":status", "200")
			_ = p.framer.WriteData(id, false, []byte("abc"))
			_ = p.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}},
		{"goaway with an error", transport.KindGoAway, func(p *peer, _ uint32) {
			_ = p.framer.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil)
			p.hang()
		}},
		{"goaway, then closed in the answer", transport.KindGoAway, func(p *peer, id uint32) {
			_ = p.framer.WriteGoAway(id, http2.ErrCodeNo, nil)
			p.header(id, false, ":status", "200")
			_ = p.conn.Close()
		}},
		{"closed", transport.KindClosed, func(p *peer, _ uint32) { _ = p.conn.Close() }},
		{"reset of the connection", transport.KindReset, func(p *peer, _ uint32) {
			_ = p.conn.(*net.TCPConn).SetLinger(0)
			_ = p.conn.Close()
		}},
		{"no status", transport.KindProtocol, func(p *peer, id uint32) { p.header(id, true, "a", "b") }},
		{"status of two digits", transport.KindProtocol, func(p *peer, id uint32) { p.header(id, true, ":status", "20") }},
		{"a body without a header", transport.KindProtocol, func(p *peer, id uint32) { _ = p.framer.WriteData(id, true, []byte("abc")) }},
		{"end after 100", transport.KindProtocol, func(p *peer, id uint32) { p.header(id, true, ":status", "100") }},
		{"shorter than its length", transport.KindLength, func(p *peer, id uint32) {
			p.header(id, false, ":status", "200", "content-length", "4")
			_ = p.framer.WriteData(id, true, []byte("abc"))
		}},
		{"longer than its length", transport.KindLength, func(p *peer, id uint32) {
			p.header(id, false, ":status", "200", "content-length", "2")
			_ = p.framer.WriteData(id, true, []byte("abc"))
		}},
		{"a length that is none", transport.KindProtocol, func(p *peer, id uint32) { p.header(id, true, ":status", "200", "content-length", "x") }},
		{"a header that is no compressed one", transport.KindProtocol, func(p *peer, id uint32) {
			_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bytes.Repeat([]byte{0xff}, 20), EndHeaders: true})
			p.hang()
		}},
		{"a header beyond all", transport.KindProtocol, func(p *peer, id uint32) {
			pairs := []string{":status", "200", "a", strings.Repeat("z", 3000)}
			for range 40 { // each of a byte, by the table of the compression
				pairs = append(pairs, "a", strings.Repeat("z", 3000))
			}
			p.header(id, true, pairs...)
		}},
		{"a header without end", transport.KindProtocol, func(p *peer, id uint32) {
			_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: make([]byte, 16000)})
			for range 40 {
				_ = p.framer.WriteContinuation(id, false, make([]byte, 16000))
			}
			p.hang()
		}},
		{"a frame of a stream that never was", transport.KindProtocol, func(p *peer, id uint32) {
			_ = p.framer.WriteRawFrame(http2.FrameSettings, 0, id, nil)
			p.hang()
		}},
		{"a push", transport.KindProtocol, func(p *peer, id uint32) {
			_ = p.framer.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
			p.hang()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var first atomic.Bool
			s := serveRaw(t, func(p *peer) {
				for id := p.request(); id != 0; id = p.request() {
					if !first.Swap(true) {
						tt.do(p, id)
						continue
					}
					p.ok(id, "well")
				}
			})
			c := newClient(t, s.url())
			var resp httpload.Response
			err := c.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: 10 * time.Second}, &resp)
			wantKind(t, err, tt.kind)
			if resp.Sent.IsZero() || resp.End.IsZero() {
				t.Errorf("sent %v, end %v", resp.Sent, resp.End)
			}
			if err := c.Do(t.Context(), get("/"), &resp); err != nil || string(resp.Body) != "well" {
				t.Errorf("after that: %q, %v", resp.Body, err)
			}
		})
	}
}

// TestEndlessBody: it ends at the limit of a body.
func TestEndlessBody(t *testing.T) {
	s, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	c := newClient(t, s.URL)
	var resp httpload.Response
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Discard: true}, &resp), transport.KindBody)
}

// TestGoAway: a server that goes away in order has what it did not look at sent again, once, and the rest
// answered; a second time is an error.
func TestGoAway(t *testing.T) {
	s := serveRaw(t, func(p *peer) {
		if id := p.request(); id != 0 {
			p.ok(id, "first")
		}
		if id := p.request(); id != 0 {
			_ = p.framer.WriteGoAway(id-2, http2.ErrCodeNo, nil)
			p.hang()
		}
	})
	c := newClient(t, s.url())
	var resp httpload.Response
	for range 3 { // each but the first of a connection goes out again
		if err := c.Do(t.Context(), get("/"), &resp); err != nil || string(resp.Body) != "first" {
			t.Fatalf("%q, %v", resp.Body, err)
		}
	}
	if n := s.accepted(); n != 3 {
		t.Errorf("%d connections", n)
	}
	never := serveRaw(t, func(p *peer) {
		p.request()
		_ = p.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		p.hang()
	})
	c = newClient(t, never.url())
	wantKind(t, c.Do(t.Context(), get("/"), &resp), transport.KindGoAway)
	if n := never.accepted(); n != 2 {
		t.Errorf("sent over %d connections", n)
	}
}

// TestNotSpoken: a server of HTTP/1.1, in clear text and over TLS.
func TestNotSpoken(t *testing.T) {
	plain := servePlain(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	var resp httpload.Response
	wantKind(t, newClient(t, plain.url()).Do(t.Context(), get("/"), &resp), transport.KindNotSpoken)
	if !resp.Sent.IsZero() {
		t.Error("it counts as sent")
	}
	for _, protos := range [][]string{{"http/1.1"}, nil} {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.TLS = &tls.Config{NextProtos: protos}
		s.StartTLS()
		defer s.Close()
		c := newClient(t, s.URL, func(o *http2load.Options) { o.TLS = &tls.Config{InsecureSkipVerify: true} })
		wantKind(t, c.Do(t.Context(), get("/"), &resp), transport.KindNotSpoken)
	}
}

// TestNoConnection: the kinds of a connection that cannot be opened are those of all protocols.
func TestNoConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var resp httpload.Response
	wantKind(t, newClient(t, "http://"+addr).Do(t.Context(), get("/"), &resp), transport.KindConnect)
	s, _ := serve(t, true, func(http.ResponseWriter, *http.Request) {})
	wantKind(t, newClient(t, s.URL).Do(t.Context(), get("/"), &resp), transport.KindTLSAuthority)
	silent := servePlain(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	c := newClient(t, silent.url())
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: 50 * time.Millisecond}, &resp), transport.KindTimeout)
}

// TestServerThatGivesUpEveryConnection: it is the server that fails, in few connections, and long before the timeout.
func TestServerThatGivesUpEveryConnection(t *testing.T) {
	s := serveRaw(t, func(p *peer) {
		_ = p.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		_ = p.conn.Close()
	})
	c := newClient(t, s.url())
	req := get("/")
	req.Timeout = time.Minute
	var resp httpload.Response
	began := time.Now()
	err := c.Do(t.Context(), req, &resp)
	var failure *transport.Error
	if !errors.As(err, &failure) || failure.Kind == transport.KindTimeout || transport.IsGenerator(failure.Kind) || time.Since(began) >= req.Timeout {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if n := s.accepted(); n == 0 || n > httpload.MostUnsent+1 {
		t.Errorf("%d connections", n)
	}
}
