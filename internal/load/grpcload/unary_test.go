package grpcload

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"proofload/internal/load/transport"
)

// libraryUnary makes a unary call with the library, to compare it with ours.
func libraryUnary(ctx context.Context, c *Client, in *Call, r *Response) error {
	s, err := c.Open(ctx, in, r)
	if err != nil {
		return err
	}
	defer s.End()
	_ = s.Send([]byte{})
	s.CloseSend()
	m, err := s.Receive()
	if errors.Is(err, ErrEnded) || err != nil {
		if errors.Is(err, ErrEnded) {
			err = nil
		}
		return err
	}
	r.Message = bytes.Clone(m)
	if _, err = s.Receive(); errors.Is(err, ErrEnded) {
		err = nil
	}
	return err
}

// details is a google.rpc.Status of a code below 128 with a message.
func details(code codes.Code, text string) string {
	b := append([]byte{8, byte(code), 18, byte(len(text))}, text...)
	return base64.RawStdEncoding.EncodeToString(b)
}

// TestUnaryAsTheLibrary: what a server answers is the same to our unary calls as to the library's.
func TestUnaryAsTheLibrary(t *testing.T) {
	t.Parallel()
	grpc := []string{":status", "200", "content-type", "application/grpc"}
	headed := func(f func(w *wire, id uint32)) func(*wire, uint32) {
		return func(w *wire, id uint32) {
			w.headers(id, false, grpc...)
			f(w, id)
		}
	}
	trailersOnly := func(pairs ...string) func(*wire, uint32) {
		return func(w *wire, id uint32) { w.headers(id, true, append(grpc[:4:4], pairs...)...) }
	}
	message := []byte{0, 0, 0, 0, 2, 8, 1}
	for name, answer := range map[string]func(w *wire, id uint32){
		"well": headed(func(w *wire, id uint32) {
			_ = w.WriteData(id, false, message)
			w.headers(id, true, "grpc-status", "0", "x-end", "a", "x-end", "b")
		}),
		"byte by byte": headed(func(w *wire, id uint32) {
			for _, b := range message {
				_ = w.WriteData(id, false, []byte{b})
			}
			w.headers(id, true, "grpc-status", "0")
		}),
		"another subtype": func(w *wire, id uint32) {
			w.headers(id, false, ":status", "200", "content-type", "application/grpc+proto", "x-some-bin", "AQI", "x-some-bin", "AQI=")
			_ = w.WriteData(id, false, message)
			w.headers(id, true, "grpc-status", "0")
		},
		"a compression that is not used": func(w *wire, id uint32) {
			w.headers(id, false, append(grpc[:4:4], "grpc-encoding", "gzip")...)
			_ = w.WriteData(id, false, message)
			w.headers(id, true, "grpc-status", "0")
		},
		"an interim response": func(w *wire, id uint32) {
			w.headers(id, false, ":status", "103")
			w.headers(id, true, append(grpc[:4:4], "grpc-status", "5")...)
		},
		"an interim response that is the end": func(w *wire, id uint32) { w.headers(id, true, ":status", "103") },
		"an empty message": headed(func(w *wire, id uint32) {
			_ = w.WriteData(id, false, make([]byte, 5))
			w.headers(id, true, "grpc-status", "0")
		}),
		"no message":            headed(func(w *wire, id uint32) { w.headers(id, true, "grpc-status", "0") }),
		"no message, no header": trailersOnly("grpc-status", "0"),
		"half a message": headed(func(w *wire, id uint32) {
			_ = w.WriteData(id, false, message[:6])
			w.headers(id, true, "grpc-status", "0")
		}),
		"half a prefix": headed(func(w *wire, id uint32) {
			_ = w.WriteData(id, false, message[:3])
			w.headers(id, true, "grpc-status", "0")
		}),
		"a message and no success": headed(func(w *wire, id uint32) {
			_ = w.WriteData(id, false, message)
			w.headers(id, true, "grpc-status", "9", "grpc-message", "no")
		}),
		"flags":      headed(func(w *wire, id uint32) { _ = w.WriteData(id, false, []byte{2, 0, 0, 0, 1, 'x'}) }),
		"compressed": headed(func(w *wire, id uint32) { _ = w.WriteData(id, false, []byte{1, 0, 0, 0, 1, 'x'}) }),
		"compressed, in a known way": func(w *wire, id uint32) {
			w.headers(id, false, append(grpc[:4:4], "grpc-encoding", "gzip")...)
			_ = w.WriteData(id, false, []byte{1, 0, 0, 0, 1, 'x'})
		},
		"no status": headed(func(w *wire, id uint32) {
			_ = w.WriteData(id, false, message)
			w.headers(id, true, "x-a", "b")
		}),
		"a status that is no number":  trailersOnly("grpc-status", "fine"),
		"a status that is too large":  trailersOnly("grpc-status", "99999999999"),
		"a status that is negative":   trailersOnly("grpc-status", "-1"),
		"a percent sign":              trailersOnly("grpc-status", "3", "grpc-message", "100%25 wrong: %C3%BC %zz %4"),
		"details":                     trailersOnly("grpc-status", "3", "grpc-message", "a", "grpc-status-details-bin", details(codes.InvalidArgument, "b")),
		"details twice":               trailersOnly("grpc-status", "3", "grpc-message", "a", "grpc-status-details-bin", details(1, "b"), "grpc-status-details-bin", details(1, "b")),
		"details that are none":       trailersOnly("grpc-status", "3", "grpc-message", "a", "grpc-status-details-bin", "AAAA"),
		"metadata that is not base64": trailersOnly("grpc-status", "3", "x-a-bin", "!"),
		"a header in the middle":      headed(func(w *wire, id uint32) { w.headers(id, false, "x-a", "b") }),
		"no content type":             func(w *wire, id uint32) { w.headers(id, true, ":status", "200", "grpc-status", "0") },
		"another content type":        func(w *wire, id uint32) { w.headers(id, true, ":status", "200", "content-type", "application/grpcx") },
		"unavailable, says a proxy":   func(w *wire, id uint32) { w.headers(id, true, ":status", "503", "content-type", "text/plain") },
		"unavailable, says gRPC": func(w *wire, id uint32) {
			w.headers(id, true, ":status", "503", "content-type", "application/grpc", "grpc-status", "14")
		},
		"a status that HTTP has not":    func(w *wire, id uint32) { w.headers(id, true, ":status", "abc") },
		"reset after the header":        headed(func(w *wire, id uint32) { _ = w.WriteRSTStream(id, http2.ErrCodeNo) }),
		"goaway with an error, not yet": func(w *wire, _ uint32) { _ = w.WriteGoAway(0, http2.ErrCodeInternal, nil) },
		"its own deadline":              trailersOnly("grpc-status", "4"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := client(t, "grpc", speak(t, answer))
			in := &Call{Method: "/a.B/C", Timeout: 10 * time.Second, KeepMessage: true, KeepMetadata: true}
			var ours, theirs Response
			err, want := cl.Unary(t.Context(), in, []byte{}, &ours), libraryUnary(t.Context(), cl, in, &theirs)
			if err != nil {
				theirs.Code, theirs.Text = "", "" // the end of a stream has one always
			}
			if kind(err) != kind(want) || ours.Code != theirs.Code || !bytes.Equal(ours.Message, theirs.Message) || ours.Code == "OK" && ours.Size() != theirs.Size() {
				t.Errorf("%v, code %s %q, message %v; the library: %v, code %s %q, message %v",
					err, ours.Code, ours.Text, ours.Message, want, theirs.Code, theirs.Text, theirs.Message)
			}
			if ours.Code != "INTERNAL" && ours.Text != theirs.Text { // what the client itself says of it is in its own words
				t.Errorf("text %q, of the library %q", ours.Text, theirs.Text)
			}
			if err == nil && (fmt.Sprint(ours.Header) != fmt.Sprint(theirs.Header) || fmt.Sprint(ours.Trailer) != fmt.Sprint(theirs.Trailer)) {
				t.Errorf("metadata %v and %v, of the library %v and %v", ours.Header, ours.Trailer, theirs.Header, theirs.Trailer)
			}
			if err == nil && (ours.End.Before(ours.Sent) || ours.BytesIn == 0 || ours.BytesOut == 0) {
				t.Errorf("%+v", ours)
			}
		})
	}
}

func kind(err error) transport.Kind {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.Kind
	}
	if err != nil {
		return "no kind"
	}
	return ""
}

// TestUnaryBeyondTheLibrary is where ours says more, or the same each time.
func TestUnaryBeyondTheLibrary(t *testing.T) {
	t.Parallel()
	grpc := []string{":status", "200", "content-type", "application/grpc"}
	for name, c := range map[string]struct {
		answer func(w *wire, id uint32)
		kind   transport.Kind
		code   string
		text   string
	}{
		"details of another status": {func(w *wire, id uint32) {
			w.headers(id, true, append(grpc, "grpc-status", "3", "grpc-status-details-bin", details(codes.NotFound, "b"))...)
		}, "", "INTERNAL", "the server says INVALID_ARGUMENT, and NOT_FOUND in the details"},
		"a message before the header": {func(w *wire, id uint32) { _ = w.WriteData(id, false, make([]byte, 5)) }, transport.KindProtocol, "", "before the header"},
		"two messages": {func(w *wire, id uint32) {
			w.headers(id, false, grpc...)
			_ = w.WriteData(id, false, make([]byte, 10))
			w.headers(id, true, "grpc-status", "0")
		}, transport.KindProtocol, "", "more than one message"},
		"no status of gRPC, one of HTTP": {func(w *wire, id uint32) {
			w.headers(id, true, ":status", "429", "content-type", "application/grpc")
		}, transport.KindNotSpoken, "", "HTTP status 429 (Too Many Requests), which stands for UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Response
			err := client(t, "grpc", speak(t, c.answer)).Unary(t.Context(), &Call{Method: "/a.B/C", Timeout: 10 * time.Second}, nil, &r)
			text := r.Text
			if err != nil {
				text = err.Error()
			}
			if kind(err) != c.kind || r.Code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("%v, code %q %q", err, r.Code, r.Text)
			}
		})
	}
}

// asked is what a server was asked.
type asked struct {
	fields map[string][]string
	body   []byte
}

// hear serves calls with the status NOT_FOUND, and says what it was asked.
func hear(t *testing.T) (addr string, heard func() asked) {
	t.Helper()
	calls := make(chan asked, 16)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header.Clone()
		h[":authority"], h[":path"], h[":method"] = []string{r.Host}, []string{r.RequestURI}, []string{r.Method}
		calls <- asked{h, body}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "5")
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), func() asked { return <-calls }
}

// TestUnaryRequest: what a server is asked is what the protocol wants.
func TestUnaryRequest(t *testing.T) {
	t.Parallel()
	addr, heard := hear(t)
	cl := client(t, "grpc", addr)
	md := metadata.MD{"x-b": {"2", "3"}, "x-a": {"1"}, "x-some-bin": {"\x00\xff"}, "te": {"mine"}, "grpc-timeout": {"1H"}, ":authority": {"mine"}}
	message := bytes.Repeat([]byte("m"), 300_000)
	for range 3 { // the second is known by heart
		var r Response
		if err := cl.Unary(t.Context(), &Call{Method: "/a.B/C", Metadata: md, Timeout: time.Minute}, message, &r); err != nil || r.Code != "NOT_FOUND" {
			t.Fatalf("%v, code %s", err, r.Code)
		}
		got := heard()
		timeout := got.fields["Grpc-Timeout"]
		delete(got.fields, "Grpc-Timeout")
		if len(timeout) != 1 || !strings.HasSuffix(timeout[0], "u") || len(timeout[0]) != len("60000000u") {
			t.Errorf("timeout %q", timeout)
		}
		want := map[string][]string{
			":method": {"POST"}, ":path": {"/a.B/C"}, ":authority": {addr}, "Content-Type": {"application/grpc"}, "Te": {"trailers"},
			"User-Agent": {"proofload"}, "X-A": {"1"}, "X-B": {"2", "3"}, "X-Some-Bin": {"AP8"},
		}
		if fmt.Sprint(got.fields) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got.fields, want)
		}
		if prefix := []byte{0, 0, 4, 0x93, 0xe0}; !bytes.Equal(got.body, append(prefix, message...)) {
			t.Errorf("%d bytes, which begin with %x", len(got.body), got.body[:5])
		}
	}
	var r Response
	if err := cl.Unary(t.Context(), &Call{Method: "/a.B/C"}, nil, &r); err != nil {
		t.Fatal(err)
	}
	if got := heard(); len(got.fields["Grpc-Timeout"]) > 0 {
		t.Errorf("a call without a deadline tells of one: %v", got.fields)
	}
}

// TestUnaryEndsItsStream: the server hears of a call that has ended here.
func TestUnaryEndsItsStream(t *testing.T) {
	t.Parallel()
	begun, resets := make(chan uint32, 100), make(chan http2.ErrCode, 100)
	addr := serveFrames(t, func(_ *wire, frame http2.Frame) {
		switch x := frame.(type) {
		case *http2.HeadersFrame:
			begun <- x.StreamID
		case *http2.RSTStreamFrame:
			resets <- x.ErrCode
		}
	})
	cl := client(t, "grpc", addr)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var r Response
	go func() { ended <- cl.Unary(ctx, &Call{Method: "/a.B/C", Timeout: time.Minute}, nil, &r) }()
	<-begun
	cancel()
	if err := <-ended; kind(err) != transport.KindCancelled {
		t.Errorf("cancelled: %v", err)
	}
	if code := <-resets; code != http2.ErrCodeCancel {
		t.Errorf("cancelled: the server hears %s", code)
	}
	if err := cl.Unary(t.Context(), &Call{Method: "/a.B/C", Timeout: 50 * time.Millisecond}, nil, &r); kind(err) != transport.KindTimeout || r.Sent.IsZero() {
		t.Errorf("deadline: %v, sent %v", err, r.Sent)
	}
	if code := <-resets; code != http2.ErrCodeCancel {
		t.Errorf("deadline: the server hears %s", code)
	}
}

// FuzzAnswer: no answer, in whatever pieces it comes, is a success unless it is one message and the status OK.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1}, uint8(3), "0", "text", "AAAA")
	f.Add([]byte{0, 0, 0, 0, 0}, uint8(1), "0", "%41%", "CAMSAWI")
	f.Add([]byte{1, 0, 0, 0, 9, 1}, uint8(0), "x", "", "!")
	f.Fuzz(func(t *testing.T, body []byte, piece uint8, status, text, details string) {
		r := &Response{received: received{keep: true}}
		a := &answer{response: r, most: 1 << 10}
		failure := a.Header([]hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}}, false)
		for rest := body; len(rest) > 0 && failure == nil; {
			n := min(max(int(piece), 1), len(rest))
			failure = a.Data(rest[:n], false)
			rest = rest[n:]
		}
		if failure == nil {
			failure = a.Header([]hpack.HeaderField{
				{Name: "grpc-status", Value: status}, {Name: "grpc-message", Value: text}, {Name: "grpc-status-details-bin", Value: details},
			}, true)
		}
		whole := len(body) >= framePrefix && body[0] == 0 && len(body) == framePrefix+int(body[1])<<24+int(body[2])<<16+int(body[3])<<8+int(body[4])
		if failure == nil && r.Code == "OK" && (!whole || !bytes.Equal(r.received.data, body[framePrefix:])) {
			t.Errorf("%x is taken for %x", body, r.received.data)
		}
		if failure == nil && r.Code == "" {
			t.Error("an answer without a code")
		}
	})
}
