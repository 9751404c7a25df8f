package wsload

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"proofload/internal/load/transport"
)

func TestConversation(t *testing.T) {
	addr := serve(t, func(p *peer) {
		if p.agree("Sec-WebSocket-Protocol: v2\r\n") {
			p.echo()
		}
	})
	var got Opened
	before := time.Now()
	c, err := client(t, addr).Open(t.Context(), &Opening{Path: "/a?b=c", Subprotocols: []string{"v2", "v1"}}, &got)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Drop()
	if got.Status != 101 || got.Sent.Before(before) || got.Ready.Before(got.Sent) || got.Connect <= 0 || got.In == 0 || got.Out == 0 {
		t.Errorf("opened: %+v", got)
	}
	large := strings.Repeat("x", 100_000)
	for _, text := range []string{"hello", "", large} {
		for _, binary := range []bool{false, true} {
			if err := c.Send(binary, []byte(text), patient()); err != nil {
				t.Fatal(err)
			}
			m, err := c.Receive(make([]byte, 0, 8), patient(), patient())
			if err != nil || string(m.Data) != text || m.Binary != binary || m.At.Before(before) {
				t.Errorf("%d bytes, binary %v: %d bytes, binary %v, %v", len(text), binary, len(m.Data), m.Binary, err)
			}
		}
	}
	if in, out := c.Bytes(); in < got.In+200_000 || out < got.Out+200_000 {
		t.Errorf("%d bytes in, %d out", in, out)
	}
	if code := c.Close(4001, "done", patient()); code != 4001 {
		t.Errorf("closed with %d", code)
	}
}

// TestRequest is what a server sees of an opening.
func TestRequest(t *testing.T) {
	seen := make(chan *peer, 1)
	addr := serve(t, func(p *peer) {
		if p.agree("") {
			seen <- p
			p.echo()
		}
	})
	target, _ := url.Parse("ws://" + addr + "/base/")
	c, err := client(t, addr, func(o *Options) { o.Target = target }).Open(t.Context(), &Opening{
		Path: "/room%20a?b=%26", Headers: []Header{{"x-a", "1"}, {"X-A", "2"}, {"Host", "shop.example"}, {"origin", "https://a"}},
	}, &Opened{})
	if err != nil {
		t.Fatal(err)
	}
	c.Drop()
	r := (<-seen).req
	if r.RequestURI != "/base/room%20a?b=%26" || r.Host != "shop.example" || strings.Join(r.Header.Values("X-A"), ",") != "1,2" ||
		r.Header.Get("Origin") != "https://a" || r.Header.Get("User-Agent") != DefaultUserAgent || r.Header.Get("Sec-Websocket-Protocol") != "" {
		t.Errorf("%s of %s with %v", r.RequestURI, r.Host, r.Header)
	}
}

// TestOpeningFails: a server that does not agree, each way under its own kind.
func TestOpeningFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle func(p *peer)
		kind   transport.Kind
		status int
		text   string
	}{
		{"refused with a status", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
		}, transport.KindHandshake, 403, "status 403"},
		{"an answer of HTTP, as if nothing else was asked for", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
		}, transport.KindNotSpoken, 200, "status 200"},
		{"a redirect", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"))
		}, transport.KindHandshake, 302, "status 302"},
		{"a wrong proof", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"))
		}, transport.KindProtocol, 101, "Sec-WebSocket-Accept"},
		{"a subprotocol that nobody offered", func(p *peer) { p.agree("Sec-WebSocket-Protocol: v9\r\n") }, transport.KindProtocol, 101, "v9"},
		{"an extension that nobody offered", func(p *peer) { p.agree("Sec-WebSocket-Extensions: permessage-deflate\r\n") }, transport.KindProtocol, 101, "extensions"},
		{"no HTTP", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
		}, transport.KindNotSpoken, 0, "SSH-2.0"},
		{"an alert of TLS, and then silence", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte{0x15, 3, 1, 0, 2, 2, 0x46})
			_, _, _ = p.hear()
		}, transport.KindNotSpoken, 0, "is not HTTP"},
		{"a piece of HTTP", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte("HTT"))
		}, transport.KindClosed, 0, ""},
		{"a head without end", func(p *peer) {
			p.request()
			_, _ = p.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n"))
			for range 2000 {
				if _, err := p.Write([]byte("X-A: " + strings.Repeat("a", 64) + "\r\n")); err != nil {
					return
				}
			}
		}, transport.KindProtocol, 0, "longer than"},
		{"informational answers without end", func(p *peer) {
			p.request()
			for range 100 {
				if _, err := p.Write([]byte("HTTP/1.1 103 Early Hints\r\n\r\n")); err != nil {
					return
				}
			}
		}, transport.KindProtocol, 103, "informational"},
		{"an end without an answer", func(p *peer) { p.request() }, transport.KindClosed, 0, ""},
		{"a reset", func(p *peer) {
			p.request()
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
		}, transport.KindReset, 0, ""},
		{"silence", func(p *peer) {
			p.request()
			_, _, _ = p.hear()
		}, transport.KindTimeout, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := serve(t, tt.handle)
			opening := &Opening{Path: "/", Timeout: 10 * time.Second}
			if tt.kind == transport.KindTimeout {
				opening.Timeout = 50 * time.Millisecond
			}
			var got Opened
			_, err := client(t, addr).Open(t.Context(), opening, &got)
			e, ok := errors.AsType[*transport.Error](err)
			if !ok || e.Kind != tt.kind || got.Status != tt.status || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("status %d, %v", got.Status, err)
			}
			if got.Sent.IsZero() || got.Connect != 0 {
				t.Errorf("opened: %+v", got)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var got Opened
	_, err = client(t, addr).Open(t.Context(), &Opening{Path: "/"}, &got)
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindConnect || !got.Sent.IsZero() {
		t.Errorf("%v, sent %v", err, got.Sent)
	}
}

// TestWhatCannotBeSent: nothing is connected to.
func TestWhatCannotBeSent(t *testing.T) {
	c := client(t, "127.0.0.1:1")
	for _, o := range []Opening{
		{Path: "a"}, {Path: "/%zz"}, {Path: "/a b\x00"}, {Path: "/", Headers: []Header{{"a b", "c"}}}, {Path: "/", Headers: []Header{{"a", "b\r\nc: d"}}},
	} {
		_, err := c.Open(t.Context(), &o, &Opened{})
		if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindRequest {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestServerMisbehaves: what breaks a conversation, each way under its own kind.
func TestServerMisbehaves(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle func(p *peer)
		kind   transport.Kind
		code   int
	}{
		{"closed with a code", func(p *peer) { p.say(frameClose, closing(1011, "down")) }, transport.KindClosed, 1011},
		{"closed normally", func(p *peer) { p.say(frameClose, closing(1000, "")) }, transport.KindClosed, 1000},
		{"closed without a code", func(p *peer) { p.say(frameClose, "") }, transport.KindClosed, CodeNone},
		{"gone", func(*peer) {}, transport.KindClosed, 0},
		{"gone within a message", func(p *peer) { _, _ = p.Write([]byte{frameText, 10, 'a'}) }, transport.KindClosed, 0},
		{"reset", func(p *peer) { _ = p.Conn.(*net.TCPConn).SetLinger(0) }, transport.KindReset, 0},
		{"an opcode that does not exist", func(p *peer) { p.say(0x83, "a") }, transport.KindProtocol, 0},
		{"a reserved bit", func(p *peer) { p.say(frameText|0x40, "a") }, transport.KindProtocol, 0},
		{"a fragment of nothing", func(p *peer) { p.say(0x80, "a") }, transport.KindProtocol, 0},
		{"a message within a message", func(p *peer) { p.say(0x01, "a"); p.say(frameText, "b") }, transport.KindProtocol, 0},
		{"a ping in fragments", func(p *peer) { p.say(0x09, "a") }, transport.KindProtocol, 0},
		{"a close code that does not exist", func(p *peer) { p.say(frameClose, closing(999, "")) }, transport.KindProtocol, 0},
		{"half a close code", func(p *peer) { p.say(frameClose, "a") }, transport.KindProtocol, 0},
		{"a text that is none", func(p *peer) { p.say(frameText, "\xff\xfe") }, transport.KindProtocol, 0},
		{"a message that is too large", func(p *peer) { p.say(frameBinary, strings.Repeat("a", 5000)) }, transport.KindBody, 0},
		{"a message without end", func(p *peer) {
			p.say(0x02, "a")
			for range 10_000 {
				p.say(0x00, strings.Repeat("a", 100))
			}
		}, transport.KindBody, 0},
	} {
		for _, keep := range []bool{true, false} {
			if !keep && tt.name == "a text that is none" {
				continue // nobody looks into what is dropped
			}
			t.Run(tt.name, func(t *testing.T) {
				addr := serve(t, func(p *peer) {
					if p.agree("") {
						tt.handle(p)
						if tt.kind == transport.KindProtocol || tt.kind == transport.KindBody {
							_, _, _ = p.hear() // its end comes from the client
						}
					}
				})
				c := dial(t, addr, func(o *Options) { o.MaxMessage = 4096 })
				var buf []byte
				if keep {
					buf = []byte{}
				}
				_, err := c.Receive(buf, patient(), patient())
				e, ok := errors.AsType[*transport.Error](err)
				if !ok || e.Kind != tt.kind {
					t.Fatalf("%v, want %s", err, tt.kind)
				}
				closed, has := errors.AsType[*ClosedError](err)
				if has != (tt.code != 0) || has && closed.Code != tt.code {
					t.Errorf("%v, want code %d", err, tt.code)
				}
			})
		}
	}
}

// TestQuiet: a limit that passes between two messages costs nothing, wherever the frames around it were cut.
func TestQuiet(t *testing.T) {
	step := make(chan string)
	addr := serve(t, func(p *peer) {
		if !p.agree("") {
			return
		}
		for bytes := range step {
			_, _ = p.Write([]byte(bytes))
		}
	})
	c := dial(t, addr)
	soon := func() time.Time { return time.Now().Add(20 * time.Millisecond) }
	quiet := func() {
		t.Helper()
		if _, err := c.Receive(nil, soon(), patient()); !errors.Is(err, ErrQuiet) {
			t.Fatalf("got %v", err)
		}
	}
	quiet()
	step <- "\x89\x01p"
	quiet()
	step <- "\x81\x01a"
	if m, err := c.Receive([]byte{}, patient(), patient()); err != nil || string(m.Data) != "a" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	quiet()
	// The head of a frame is cut in two: what has begun is awaited beyond the first limit.
	got := make(chan error, 1)
	step <- "\x81"
	go func() {
		m, err := c.Receive([]byte{}, soon(), patient())
		if err == nil && string(m.Data) != "bc" {
			err = errors.New("got " + string(m.Data))
		}
		got <- err
	}()
	time.Sleep(60 * time.Millisecond) // the limit passes, or it does not: the outcome is the same
	step <- "\x02b"
	step <- "c"
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	close(step)
}

// TestHalfAMessage: one that begins and does not go on has a limit, too.
func TestHalfAMessage(t *testing.T) {
	for _, begun := range []string{"\x81", "\x81\x05", "\x81\x05ab", "\x01\x01a", "\x81\x7e\x01"} {
		addr := serve(t, func(p *peer) {
			if p.agree("") {
				_, _ = p.Write([]byte(begun))
				_, _, _ = p.hear()
			}
		})
		c := dial(t, addr)
		_, err := c.Receive([]byte{}, time.Now().Add(10*time.Millisecond), time.Now().Add(40*time.Millisecond))
		if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindTimeout {
			// The first byte may come after the first limit.
			if !errors.Is(err, ErrQuiet) {
				t.Errorf("%x: %v", begun, err)
			}
		}
		c.Drop()
	}
}

// TestPingsAreAnswered also long after the limit of what was sent last.
func TestPingsAreAnswered(t *testing.T) {
	ask, ponged := make(chan bool), make(chan string, 1)
	addr := serve(t, func(p *peer) {
		if !p.agree("") {
			return
		}
		_, _, _ = p.hear()
		<-ask
		p.say(framePing, "are you there")
		first, payload, _ := p.hear()
		if first == framePong {
			ponged <- payload
		}
		p.say(frameText, "go on")
		_, _, _ = p.hear()
	})
	c := dial(t, addr)
	limit := time.Now().Add(time.Second)
	if err := c.Send(false, []byte("hi"), limit); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(limit))
	ask <- true
	if m, err := c.Receive([]byte{}, patient(), patient()); err != nil || string(m.Data) != "go on" {
		t.Errorf("%q, %v", m.Data, err)
	}
	if got := <-ponged; got != "are you there" {
		t.Errorf("pong %q", got)
	}
}

// TestContextEnds: whatever goes on ends with it, and is nobody's failure but ours.
func TestContextEnds(t *testing.T) {
	addr := serve(t, func(p *peer) {
		if p.agree("") {
			_, _, _ = p.hear()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	c, err := client(t, addr).Open(ctx, &Opening{Path: "/"}, &Opened{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Drop()
	time.AfterFunc(10*time.Millisecond, cancel)
	_, receive := c.Receive(nil, patient(), patient())
	send := c.Send(false, []byte("a"), patient()) // by now the connection is closed
	for what, err := range map[string]error{"receive": receive, "send": send} {
		if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindCancelled {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := client(t, addr).Open(ctx, &Opening{Path: "/"}, &Opened{}); err == nil {
		t.Error("opened after the end")
	}
}

// TestClose: however the server takes it, closing ends.
func TestClose(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(p *peer)
		code   int
	}{
		{"the same code", func(p *peer) { p.say(frameClose, closing(1000, "")) }, 1000},
		{"another code", func(p *peer) { p.say(frameClose, closing(1001, "bye")) }, 1001},
		{"words before", func(p *peer) { p.say(frameText, "wait"); p.say(frameClose, closing(1000, "")) }, 1000},
		{"no answer", func(*peer) {}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := serve(t, func(p *peer) {
				if p.agree("") {
					_, _, _ = p.hear()
					tt.answer(p)
				}
			})
			c := dial(t, addr)
			if code := c.Close(1000, "", patient()); code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	for _, bad := range []string{"http://a", "ws://", "ws://a?b", "ws://u@a", "ws://a:0", "ws://a:99999", "ws://a#b"} {
		u, err := url.Parse(bad)
		if err != nil {
			continue
		}
		if _, err := NewClient(Options{Target: u}); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if _, err := NewClient(Options{}); err == nil {
		t.Error("no target was taken")
	}
}
