package grpcload

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"

	"proofload/internal/load/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client returns a client with one connection to an address.
func client(t *testing.T, scheme, addr string, change ...func(*Options)) *Client {
	t.Helper()
	opts := Options{Target: &url.URL{Scheme: scheme, Host: addr}, Connections: 1}
	for _, f := range change {
		f(&opts)
	}
	c, err := NewClient(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// serve hands every connection to f, and waits for it at the end of the test.
func serve(t *testing.T, f func(nc *net.TCPConn)) string {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.AcceptTCP()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
				f(nc)
				_ = nc.Close()
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// wire is a server that speaks HTTP/2 as far as a test wants it to.
type wire struct {
	*http2.Framer
	nc   *net.TCPConn
	head bytes.Buffer
	enc  *hpack.Encoder
}

// speak serves connections whose calls are given to f, by the ids of their streams.
func speak(t *testing.T, f func(w *wire, stream uint32)) string {
	t.Helper()
	return serveFrames(t, func(w *wire, frame http2.Frame) {
		if x, ok := frame.(*http2.HeadersFrame); ok {
			f(w, x.StreamID)
		}
	})
}

// serveFrames serves connections whose frames, but the settings, are given to f.
func serveFrames(t *testing.T, f func(w *wire, frame http2.Frame)) string {
	t.Helper()
	return serve(t, func(nc *net.TCPConn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(nc, preface); err != nil {
			return
		}
		w := &wire{Framer: http2.NewFramer(nc, nc), nc: nc}
		w.enc = hpack.NewEncoder(&w.head)
		_ = w.WriteSettings()
		for {
			frame, err := w.ReadFrame()
			if err != nil {
				return
			}
			if x, ok := frame.(*http2.SettingsFrame); !ok {
				f(w, frame)
			} else if !x.IsAck() {
				_ = w.WriteSettingsAck()
			}
		}
	})
}

// headers writes a head of pairs of name and value.
func (w *wire) headers(stream uint32, end bool, pairs ...string) {
	w.head.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = w.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.head.Bytes(), EndHeaders: true, EndStream: end})
}

func (w *wire) reset() {
	_ = w.nc.SetLinger(0)
	_ = w.nc.Close()
}

// Every way in which a server can fail has its kind, of a unary call as of a stream.
func TestMisbehavingServers(t *testing.T) {
	t.Parallel()
	ok := []string{":status", "200", "content-type", "application/grpc"}
	for name, c := range map[string]struct {
		serve func(t *testing.T) string
		kind  transport.Kind
		sent  bool
	}{
		"nobody listens": {func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			return l.Addr().String()
		}, transport.KindConnect, false},
		"HTTP/1.1": {func(t *testing.T) string {
			s := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(s.Close)
			return s.Listener.Addr().String()
		}, transport.KindNotSpoken, false},
		"something else than HTTP": {func(t *testing.T) string {
			return serve(t, func(nc *net.TCPConn) {
				_, _ = io.WriteString(nc, "220 mail.example ESMTP and more than nine bytes of it\r\n")
				_, _ = io.Copy(io.Discard, nc)
			})
		}, transport.KindNotSpoken, false},
		"closes at once": {func(t *testing.T) string {
			return serve(t, func(nc *net.TCPConn) {
				_ = nc.CloseWrite()
				_, _ = io.Copy(io.Discard, nc)
			})
		}, transport.KindClosed, false},
		"HTTP/2 without gRPC": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				w.headers(id, false, ":status", "404", "content-type", "text/html")
				_ = w.WriteData(id, true, []byte("<h1>not here</h1>"))
			})
		}, transport.KindNotSpoken, true},
		"reset": {func(t *testing.T) string {
			return speak(t, func(w *wire, _ uint32) { w.reset() })
		}, transport.KindReset, true},
		"closed": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				w.headers(id, false, ok...)
				_ = w.nc.CloseWrite()
				_, _ = io.Copy(io.Discard, w.nc)
			})
		}, transport.KindClosed, true},
		"stream reset": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) { _ = w.WriteRSTStream(id, http2.ErrCodeInternal) })
		}, transport.KindStreamReset, true},
		"stream refused, again and again": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) { _ = w.WriteRSTStream(id, http2.ErrCodeRefusedStream) })
		}, transport.KindStreamReset, true},
		"stream cancelled": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) { _ = w.WriteRSTStream(id, http2.ErrCodeCancel) })
		}, transport.KindStreamReset, true},
		"goaway, and gone": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				_ = w.WriteGoAway(id, http2.ErrCodeEnhanceYourCalm, []byte("slow down"))
				_ = w.nc.CloseWrite()
				_, _ = io.Copy(io.Discard, w.nc)
			})
		}, transport.KindGoAway, true},
		"goaway before the call": {func(t *testing.T) string {
			return speak(t, func(w *wire, _ uint32) { _ = w.WriteGoAway(0, http2.ErrCodeNo, nil) })
		}, transport.KindGoAway, true},
		"no status at the end": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				w.headers(id, false, ok...)
				_ = w.WriteData(id, true, []byte{0, 0, 0, 0, 0})
			})
		}, transport.KindClosed, true},
		"frames that are none": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				w.headers(id, false, ok...)
				_ = w.WriteRawFrame(http2.FrameData, 0, 0, []byte("on no stream"))
				_, _ = io.Copy(io.Discard, w.nc)
			})
		}, transport.KindProtocol, true},
		"a message that is none": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				w.headers(id, false, ok...)
				_ = w.WriteData(id, false, []byte{9, 0, 0, 0, 1, 'x'}) // compressed in no way that there is
			})
		}, transport.KindProtocol, true},
		"a message that is too large": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				w.headers(id, false, ok...)
				_ = w.WriteData(id, false, []byte{0, 0x7f, 0, 0, 0, 'x'})
			})
		}, transport.KindBody, true},
		"never answers": {func(t *testing.T) string {
			return speak(t, func(*wire, uint32) {})
		}, transport.KindTimeout, true},
		"never speaks": {func(t *testing.T) string {
			return serve(t, func(nc *net.TCPConn) { _, _ = io.Copy(io.Discard, nc) })
		}, transport.KindTimeout, false},
		"endless answer": {func(t *testing.T) string {
			return speak(t, func(w *wire, id uint32) {
				w.headers(id, false, ok...)
				_ = w.WriteData(id, false, []byte{0, 0, 0x10, 0, 0})
				for w.WriteData(id, false, make([]byte, 1000)) == nil {
					time.Sleep(time.Millisecond)
				}
			})
		}, transport.KindTimeout, true},
	} {
		for _, kind := range []string{"unary", "stream"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				addr := c.serve(t)
				cl := client(t, "grpc", addr)
				in := &Call{Method: "/a.B/C", Timeout: 10 * time.Second, KeepMessage: true}
				if c.kind == transport.KindTimeout {
					in.Timeout = 200 * time.Millisecond
				}
				var r Response
				err := attempt(t.Context(), cl, in, kind == "stream", &r)
				e, isError := errors.AsType[*transport.Error](err)
				if !isError || e.Kind != c.kind {
					t.Fatalf("%v, code %s %q, want kind %s", err, r.Code, r.Text, c.kind)
				}
				if sent := !r.Sent.IsZero(); sent != c.sent && c.kind != transport.KindTimeout { // on a busy machine the deadline may come first
					t.Errorf("sent %v", sent)
				}
			})
		}
	}
}

// attempt makes a call, unary or with a stream each way, and reads it to its end.
func attempt(ctx context.Context, c *Client, in *Call, stream bool, r *Response) error {
	if !stream {
		return c.Unary(ctx, in, []byte{}, r)
	}
	both := *in
	both.FromClient, both.FromServer = true, true
	s, err := c.Open(ctx, &both, r)
	if err != nil {
		return err
	}
	defer s.End()
	_ = s.Send([]byte{})
	s.CloseSend()
	for {
		if _, err := s.Receive(); errors.Is(err, ErrEnded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// What a server says is an answer, even if it says what would be said of a broken connection.
func TestStatusIsAnAnswer(t *testing.T) {
	for _, text := range []string{
		"error reading from server: EOF", "stream terminated by RST_STREAM with error code: CANCEL", "received prior goaway",
	} {
		addr := speak(t, func(w *wire, id uint32) {
			w.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "14", "grpc-message", text)
		})
		for _, stream := range []bool{false, true} {
			var r Response
			err := attempt(t.Context(), client(t, "grpc", addr), &Call{Method: "/a.B/C", Timeout: 10 * time.Second}, stream, &r)
			if err != nil || r.Code != "UNAVAILABLE" || r.Text != text {
				t.Errorf("%v, %s %q", err, r.Code, r.Text)
			}
		}
	}
	addr := speak(t, func(w *wire, id uint32) {
		w.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "77")
	})
	var r Response
	if err := attempt(t.Context(), client(t, "grpc", addr), &Call{Method: "/a.B/C", Timeout: 10 * time.Second}, false, &r); err != nil || r.Code != "77" {
		t.Errorf("%v, code %q, want 77: a status without a name has its number", err, r.Code)
	}
}

func TestTLSErrors(t *testing.T) {
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.StartTLS()
	defer plain.Close()
	two := httptest.NewUnstartedServer(http.NotFoundHandler())
	two.EnableHTTP2 = true
	two.Config.ErrorLog = log.New(io.Discard, "", 0)
	two.StartTLS()
	defer two.Close()
	trust := func(o *Options) {
		o.TLS = two.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		o.TLS.NextProtos = nil
	}
	for name, c := range map[string]struct {
		addr   string
		change func(*Options)
		kind   transport.Kind
	}{
		"nobody trusts it": {two.Listener.Addr().String(), func(*Options) {}, transport.KindTLSAuthority},
		"no HTTP/2":        {plain.Listener.Addr().String(), trust, transport.KindNotSpoken},
		"no gRPC":          {two.Listener.Addr().String(), trust, transport.KindNotSpoken},
		"another name":     {two.Listener.Addr().String(), func(o *Options) { trust(o); o.TLS.ServerName = "shop.example" }, transport.KindTLSName},
		"no TLS":           {speak(t, func(*wire, uint32) {}), func(*Options) {}, transport.KindNotSpoken},
	} {
		var r Response
		err := attempt(t.Context(), client(t, "grpcs", c.addr, c.change), &Call{Method: "/a.B/C", Timeout: 5 * time.Second}, false, &r)
		if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != c.kind {
			t.Errorf("%s: %v, want kind %s", name, err, c.kind)
		}
	}
}

// What is this side's fault is never the target's.
func TestOwnFaults(t *testing.T) {
	addr := speak(t, func(*wire, uint32) {})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	var r Response
	err := attempt(ctx, client(t, "grpc", addr), &Call{Method: "/a.B/C", Timeout: 10 * time.Second}, false, &r)
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindCancelled {
		t.Errorf("cancelled: %v", err)
	}
	in := &Call{Method: "/a.B/C", Timeout: 10 * time.Second, Metadata: metadata.MD{"x-a": []string{"line\nbreak"}}}
	err = attempt(t.Context(), client(t, "grpc", addr), in, false, &r)
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindRequest || !r.Sent.IsZero() {
		t.Errorf("metadata with a line break: %v", err)
	}
	lost := func(o *Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "shop.example", IsNotFound: true}}
		}
	}
	err = attempt(t.Context(), client(t, "grpc", addr, lost), &Call{Method: "/a.B/C", Timeout: 10 * time.Second}, false, &r)
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindDNS {
		t.Errorf("no such host: %v", err)
	}
}

// TestSlowResolver: a deadline that passes while this machine's resolver is asked is not the target's, of a unary call
// as of a stream; one that passes afterwards is.
func TestSlowResolver(t *testing.T) {
	t.Parallel()
	slow := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-ctx.Done():
		case <-t.Context().Done(): // the lookup outlives who has asked
		}
		return nil, errors.New("no answer")
	}}
	resolved := func(o *Options) {
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			trace := httptrace.ContextClientTrace(ctx)
			trace.DNSStart(httptrace.DNSStartInfo{})
			trace.DNSDone(httptrace.DNSDoneInfo{})
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	asked := func(o *Options) { o.Dial = (&net.Dialer{Resolver: slow}).DialContext }
	for name, c := range map[string]struct {
		change func(*Options)
		kind   transport.Kind
	}{"resolving": {asked, transport.KindResolver}, "resolved": {resolved, transport.KindTimeout}} {
		for _, stream := range []bool{false, true} {
			var r Response
			err := attempt(t.Context(), client(t, "grpc", "shop.example:1", c.change), &Call{Method: "/a.B/C", Timeout: 200 * time.Millisecond}, stream, &r)
			if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != c.kind || !r.Sent.IsZero() {
				t.Errorf("%s, stream %v: %v, sent %v, want kind %s", name, stream, err, r.Sent, c.kind)
			}
		}
	}
}

// A stream that the client ends is a success, whenever that is.
func TestClose(t *testing.T) {
	addr := speak(t, func(w *wire, id uint32) {
		w.headers(id, false, ":status", "200", "content-type", "application/grpc", "x-server", "here")
		_ = w.WriteData(id, false, []byte{0, 0, 0, 0, 2, 8, 1})
	})
	var r Response
	in := &Call{Method: "/a.B/C", Timeout: 10 * time.Second, FromClient: true, FromServer: true, CloseAfter: time.Second, KeepMetadata: true, KeepMessage: true}
	s, err := client(t, "grpc", addr).Open(t.Context(), in, &r)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Receive()
	if err != nil || !bytes.Equal(m, []byte{8, 1}) {
		t.Fatalf("%v %v", m, err)
	}
	if _, err = s.Receive(); !errors.Is(err, ErrEnded) || r.Code != "OK" {
		t.Errorf("%v, code %s", err, r.Code)
	}
	s.End()
	if strings.Join(r.Header["x-server"], "") != "here" || r.BytesIn == 0 {
		t.Errorf("%+v", r)
	}

	silent := speak(t, func(*wire, uint32) {})
	in = &Call{Method: "/a.B/C", Timeout: 100 * time.Millisecond, FromServer: true, CloseAfter: time.Minute}
	if s, err = client(t, "grpc", silent).Open(t.Context(), in, &r); err == nil {
		defer s.End()
		_ = s.Send(nil)
		_, err = s.Receive()
	}
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != transport.KindTimeout {
		t.Errorf("no first message in time: %v", err)
	}
}

func TestTargets(t *testing.T) {
	for text, want := range map[string]string{
		"grpc://127.0.0.1": "127.0.0.1:80", "grpcs://h": "h:443", "grpc://[::1]:5": "[::1]:5",
		"grpc://bücher.example": "xn--bcher-kva.example:80", "grpc://h:0": "", "http://h": "", "grpc://h/base": "", "grpc://u@h": "", "grpc://": "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := endpoint(u); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	if _, err := NewClient(Options{}); err == nil {
		t.Error("a client without a target")
	}
}

// Calls share connections, or have one to themselves. Streams and unary calls do not share them with each other.
func TestConnections(t *testing.T) {
	var opened atomic.Int64
	addr := speak(t, func(w *wire, id uint32) {
		w.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5")
	})
	count := func(o *Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			opened.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	for name, c := range map[string]struct {
		change func(*Options)
		own    bool
		want   int64
	}{
		"one":            {func(*Options) {}, false, 1},
		"three":          {func(o *Options) { o.Connections = 3 }, false, 3},
		"each call anew": {func(o *Options) { o.Fresh = true }, false, 6},
		"a user's own":   {func(o *Options) { o.Connections = 3 }, true, 1},
	} {
		opened.Store(0)
		cl := client(t, "grpc", addr, count, c.change)
		in := &Call{Method: "/a.B/C", Timeout: 10 * time.Second}
		if c.own {
			in.Session = cl.NewSession()
		}
		connects := 0
		for i := range 12 {
			var r Response
			if err := attempt(t.Context(), cl, in, i%2 == 1, &r); err != nil || r.Code != "NOT_FOUND" {
				t.Errorf("%s: %v, code %s", name, err, r.Code)
			}
			if r.Connect > 0 {
				connects++
			}
		}
		if got := opened.Load(); got != 2*c.want || int64(connects) != got {
			t.Errorf("%s: %d connections, of which %d calls tell, want %d", name, got, connects, 2*c.want)
		}
		if in.Session != nil {
			if err := in.Session.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
