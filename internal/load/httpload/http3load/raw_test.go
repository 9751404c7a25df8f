package http3load_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http3load"
	"proofload/internal/load/transport"
)

// The header blocks of answers, by the static table of QPACK: nothing of it is compressed otherwise.
const (
	ok        = "\x00\x00\xd9"             // :status: 200
	okWith2   = "\x00\x00\xd9\x54\x01\x32" // and content-length: 2
	okWith0   = "\x00\x00\xd9\x54\x01\x30"
	earlyHint = "\x00\x00\xd8" // :status: 103
)

// The types of frames.
const (
	dataFrame    = 0
	headersFrame = 1
)

func frame(kind uint64, payload string) string {
	return string(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload)))) + payload
}

// serveRaw answers the first request with bytes that no server of HTTP/3 writes, and all others with status 200.
func serveRaw(tb testing.TB, first string) (string, func(*http3load.Options)) {
	tb.Helper()
	cert, roots := certificate(tb)
	l, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{http3.NextProtoH3}, MinVersion: tls.VersionTLS13}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	var requests atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(func() { cancel(); _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.CloseWithError(0, "") }()
				if control, err := c.OpenUniStream(); err == nil {
					_, _ = io.WriteString(control, "\x00\x04\x00") // empty settings
				}
				for st, err := c.AcceptStream(ctx); err == nil; st, err = c.AcceptStream(ctx) {
					answer := frame(headersFrame, ok)
					if requests.Add(1) == 1 {
						answer = first
					}
					_, _ = io.Copy(io.Discard, st)
					_, _ = io.WriteString(st, answer)
					_ = st.Close()
				}
			})
		}
	})
	return "https://" + l.Addr().String(), func(o *http3load.Options) { o.TLS = &tls.Config{RootCAs: roots} }
}

// TestMalformedAnswers: what a server of the library never writes has its kind too, with and without a body in the
// request, which are read in two ways.
func TestMalformedAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		kind   transport.Kind
	}{
		"longer than its content-length, in one frame": {frame(headersFrame, okWith2) + frame(dataFrame, "abc"), transport.KindLength},
		"longer than its content-length, in two":       {frame(headersFrame, okWith2) + frame(dataFrame, "ab") + frame(dataFrame, "c"), transport.KindLength},
		"a body where there is none":                   {frame(headersFrame, okWith0) + frame(dataFrame, "abc"), transport.KindLength},
		"shorter than its content-length":              {frame(headersFrame, okWith2) + frame(dataFrame, "a"), transport.KindLength},
		"a body before the head":                       {frame(dataFrame, "abc"), transport.KindProtocol},
		"a head that is cut":                           {frame(headersFrame, okWith2)[:4], transport.KindProtocol},
		"a head that is none":                          {frame(headersFrame, "\x00\x00\xff\xff\xff\xff"), transport.KindProtocol},
		"nothing":                                      {"", transport.KindProtocol},
		"an oversized head":                            {frame(headersFrame, ok+strings.Repeat("\xd9", httpload.DefaultMaxHeader)), transport.KindProtocol},
		"an oversized head once it is decoded":         {frame(headersFrame, ok+strings.Repeat("\x54\x01\x32", httpload.DefaultMaxHeader/4)), transport.KindProtocol},
		"heads without end":                            {strings.Repeat(frame(headersFrame, earlyHint), 100), transport.KindProtocol},
	} {
		for _, body := range []string{"", "sent"} {
			method := map[bool]string{true: "GET", false: "POST"}[body == ""]
			t.Run(name+", "+method, func(t *testing.T) {
				addr, trust := serveRaw(t, tc.answer)
				c := newClient(t, addr, trust)
				var resp httpload.Response
				req := &httpload.Request{Method: method, Path: "/", Body: []byte(body), Timeout: time.Minute}
				wantKind(t, c.Do(t.Context(), req, &resp), tc.kind)
				if resp.Sent.IsZero() {
					t.Error("it does not count as sent")
				}
				if err := c.Do(t.Context(), req, &resp); err != nil || resp.Status != http.StatusOK {
					t.Errorf("the next: %d, %v", resp.Status, err)
				}
			})
		}
	}
}

// TestNobodyListens: a closed port shows by silence, which is no timeout of the request unless that is shorter.
func TestNobodyListens(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := "https://" + socket.LocalAddr().String()
	_ = socket.Close()
	var resp httpload.Response
	c := newClient(t, target, func(o *http3load.Options) { o.HandshakeIdleTimeout = 50 * time.Millisecond })
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: time.Minute}, &resp), transport.KindConnect)
	if !resp.Sent.IsZero() {
		t.Error("it counts as sent")
	}
	wantKind(t, newClient(t, target).Do(t.Context(), &httpload.Request{Method: "GET", Timeout: 50 * time.Millisecond}, &resp), transport.KindTimeout)
}

// TestGoAway: a server that ends in order answers what it has taken, and what comes after it goes to another connection.
func TestGoAway(t *testing.T) {
	cert, roots := certificate(t)
	var answered, dials atomic.Int64
	var servers [2]*http3.Server
	var port int
	for i, host := range []string{"127.0.0.1", "127.0.0.2"} {
		socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host), Port: port})
		if err != nil {
			t.Skip("two addresses of loopback with one free port: ", err)
		}
		port = socket.LocalAddr().(*net.UDPAddr).Port
		servers[i] = &http3.Server{
			Handler:   http.HandlerFunc(func(http.ResponseWriter, *http.Request) { answered.Add(1) }),
			TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}),
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = servers[i].Serve(socket) })
		t.Cleanup(func() { _, _ = servers[i].Close(), socket.Close(); wg.Wait() })
	}
	c := newClient(t, "https://"+netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String(), func(o *http3load.Options) {
		o.TLS = &tls.Config{RootCAs: roots, ServerName: "example.com"}
		o.Addresses = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, byte(dials.Add(1))})}, nil
		}
	})
	var good, rejected int64
	var resp httpload.Response
	ask := func() {
		err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/", Timeout: time.Minute}, &resp)
		if err == nil {
			good++
			return
		}
		rejected++ // its stream crossed the farewell, or the rejection of it came before that
		wantKind(t, err, transport.KindStreamReset)
	}
	ask()
	var wg sync.WaitGroup
	wg.Go(func() { _ = servers[0].Shutdown(t.Context()) })
	for dials.Load() == 1 && t.Context().Err() == nil {
		ask()
	}
	ask()
	_ = c.Close()
	wg.Wait()
	if good != answered.Load() || dials.Load() != 2 {
		t.Errorf("%d answers, %d requests were served, %d rejected, over %d connections", good, answered.Load(), rejected, dials.Load())
	}
}
