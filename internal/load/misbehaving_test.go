package load

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"proofload/internal/scenario"
)

// serveRaw hands each connection to f, whose end closes it, and returns where. When the test ends so do they all.
func serveRaw(t *testing.T, f func(c *net.TCPConn)) (addr string) {
	t.Helper()
	l := newTally(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for c, err := l.Listener.Accept(); err == nil; c, err = l.Listener.Accept() {
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				f(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// serveClear serves HTTP/1.1 and HTTP/2 in clear text until the test ends, and returns where.
func serveClear(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// gone returns an address at which nobody listens.
func gone(t *testing.T) string {
	t.Helper()
	l := newTally(t)
	_ = l.Close()
	return l.Addr().String()
}

// silence takes what comes and says nothing.
func silence(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

// goodbye ends its side at once, in order: the client's data is read, so that it is no reset.
func goodbye(c *net.TCPConn) {
	_ = c.CloseWrite()
	silence(c)
}

// slam resets the connection once something has come.
func slam(c *net.TCPConn) {
	_, _ = c.Read(make([]byte, 1))
	_ = c.SetLinger(0)
}

// banner is the greeting of a protocol that nobody has asked for.
func banner(c *net.TCPConn) {
	_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.9\r\n")
	silence(c)
}

// says returns a server that says text after each head of a request, and then does as end says; nil: it goes on.
func says(text string, end func(c *net.TCPConn)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for _, err := http.ReadRequest(in); err == nil; _, err = http.ReadRequest(in) {
			if _, err := io.WriteString(c, text); err != nil || end != nil {
				break
			}
		}
		if end != nil {
			end(c)
		}
	}
}

// endless answers with a body that does not end.
func endless(c *net.TCPConn) {
	chunk := append([]byte("100000\r\n"), append(make([]byte, 1<<20), "\r\n"...)...)
	for _, err := c.Write(chunk); err == nil; _, err = c.Write(chunk) {
	}
}

// streams returns a server of HTTP/2 that does as f says with each stream, and goes on.
func streams(f func(p *framing, id uint32)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		p := &framing{Framer: http2.NewFramer(c, c), conn: c}
		_ = p.WriteSettings()
		for came, err := p.ReadFrame(); err == nil; came, err = p.ReadFrame() {
			switch x := came.(type) {
			case *http2.SettingsFrame:
				if !x.IsAck() {
					_ = p.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				f(p, x.StreamID)
			}
		}
	}
}

// framing is a connection of HTTP/2.
type framing struct {
	*http2.Framer
	conn *net.TCPConn
}

// head writes a header of names and values.
func (p *framing) head(id uint32, end bool, pairs ...string) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true})
}

// asking is a request in one protocol, at whatever server.
type asking struct {
	name, scheme, version string
	step                  scenario.Step
}

// protoFile describes the method that is called where no server could be asked for that.
const protoFile = `syntax = "proto3"; package a; message M {} service B { rpc C(M) returns (M); rpc D(M) returns (stream M); }`

// asks is a request in each protocol, by its name.
func asks() map[string]asking {
	ping := "x"
	get := scenario.Step{HTTP: &scenario.HTTP{Method: http.MethodGet, Path: "/"}, ImplyStatus: true}
	socket := scenario.Step{Socket: &scenario.Socket{Script: []scenario.Action{{Send: &scenario.Payload{Text: &ping}}, {Expect: &scenario.Expectation{Text: &ping}}}}}
	call := func(method string) scenario.Step {
		return scenario.Step{ImplyStatus: true, GRPC: &scenario.GRPC{Method: method, Proto: "a.proto", Files: []scenario.FileRef{{Name: "a.proto", Digest: "proto"}}}}
	}
	bytes := scenario.Step{Socket: &scenario.Socket{Script: []scenario.Action{{Send: &scenario.Payload{Text: &ping}}, {Expect: &scenario.Expectation{Size: 1}}}}}
	out := map[string]asking{}
	for _, a := range []asking{
		{"HTTP/1.1", "http", "", get},
		{"HTTPS", "https", "", get},
		{"HTTP/2", "http", "2", get},
		{"HTTP/3", "https", "3", get},
		{"gRPC", "grpc", "", call("a.B/C")},
		{"gRPC, stream", "grpc", "", call("a.B/D")},
		{"WebSocket", "ws", "", scenario.Step{WebSocket: &scenario.WebSocket{Path: "/", CloseCode: 1000, Script: []scenario.Action{{Expect: &scenario.Expectation{Text: &ping}}}}}},
		{"TCP", "tcp", "", bytes},
		{"TLS", "tls", "", bytes},
		{"UDP", "udp", "", socket},
	} {
		a.step.Name, a.step.Target, a.step.Timeout = "s", scenario.DefaultTarget, time.Minute
		out[a.name] = a
	}
	return out
}

// plan asks a server a few times.
func (a asking) plan(addr string) *scenario.Plan {
	phase := openPhase("p", [3]float64{30, 30, 0.1})
	phase.Late = time.Minute // a machine without a free core is no error of this test
	plan := planOf(phase)
	plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: {URL: a.scheme + "://" + addr, HTTP: a.version}}
	plan.Flows["f"] = scenario.Flow{Steps: []scenario.Step{a.step}}
	return plan
}
