package httpload_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// script is a connection that swallows what is written and says data, step bytes at a time, and
// then ends.
type script struct {
	net.Conn
	data []byte
	step int
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.data)
	s.data = s.data[n:]
	return n, nil
}

func (*script) Write(p []byte) (int, error)      { return len(p), nil }
func (*script) Close() error                     { return nil }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

// ours reads data with the client under test.
func ours(tb testing.TB, method string, data []byte, step int) (*httpload.Response, error) {
	tb.Helper()
	c, err := httpload.NewClient(httpload.Options{
		Target: &url.URL{Scheme: "http", Host: "fuzz.example"},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return &script{data: data, step: step}, nil
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	resp := new(httpload.Response)
	err = c.Do(tb.Context(), &httpload.Request{Method: method, Path: "/"}, resp)
	return resp, err
}

// theirs reads data with net/http, past informational responses, and returns the body read whole.
func theirs(method string, data []byte) (*http.Response, []byte, error) {
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, nil, err
		}
		if resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return resp, body, err
	}
}

var responses = []string{
	ok200 + "Content-Length: 5\r\n\r\nhello",
	ok200 + "Content-Length: 5\r\n\r\nhel",
	ok200 + "Content-Length: 2\r\n\r\nhello",
	ok200 + "\r\nuntil the end",
	"HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n" + ok200 + "Content-Length: 1\r\n\r\nx",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\nContent-Length: 1\nX:\t y \n\nx",
	ok200 + "A: 1\r\nA: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
	ok200 + " folded\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n",
	"garbage",
	"",
}

// FuzzResponse compares the parser with that of net/http on any input. Whatever we take for a
// valid response, they must understand in the same way; we may refuse more, but only by name.
func FuzzResponse(f *testing.F) {
	for _, s := range responses {
		f.Add([]byte(s), uint8(0), false)
		f.Add([]byte(s), uint8(1), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, step uint8, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		got, err := ours(t, method, data, 1+int(step))
		want, body, wantErr := theirs(method, data)
		if err != nil {
			var e *transport.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v has no kind", err)
			}
			switch e.Kind {
			case transport.KindProtocol, transport.KindNotSpoken, transport.KindClosed, transport.KindBody, transport.KindLength:
			default:
				t.Fatalf("kind %s for what a server said", e.Kind)
			}
			if wantErr == nil && e.Kind == transport.KindClosed {
				t.Fatalf("we miss the end of %q: %v", data, err)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("we take %q for a response, net/http says %v", data, wantErr)
		}
		compare(t, data, got, want, body)
	})
}

// compare checks that both have read the same.
func compare(t *testing.T, data []byte, got *httpload.Response, want *http.Response, body []byte) {
	t.Helper()
	if got.Status != want.StatusCode || !bytes.Equal(got.Body, body) || got.BodySize != int64(len(body)) {
		t.Fatalf("%q: we read %d %q, net/http %d %q", data, got.Status, got.Body, want.StatusCode, body)
	}
	fields := http.Header{}
	for n, v := range got.Headers() {
		name := http.CanonicalHeaderKey(string(n))
		fields[name] = append(fields[name], string(v))
	}
	for name, values := range want.Header {
		if strings.Join(values, "\n") != strings.Join(fields[name], "\n") {
			t.Fatalf("%q: field %s is %q for us, %q for net/http", data, name, fields[name], values)
		}
	}
}

// TestResponseRoundTrip writes responses of every shape with net/http and reads them back.
func TestResponseRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 20_000).Draw(rt, "body")
		length := rapid.SampledFrom([]int64{int64(len(body)), -1}).Draw(rt, "length")
		resp := http.Response{
			StatusCode: rapid.SampledFrom([]int{200, 201, 302, 404, 500, 599}).Draw(rt, "status"),
			Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header:        http.Header{"X-Value": {rapid.StringMatching(`[!-~]([ -~]{0,30}[!-~])?`).Draw(rt, "value")}},
			Body:          io.NopCloser(bytes.NewReader(body)),
			ContentLength: length,
			Close:         rapid.Bool().Draw(rt, "close"),
		}
		if length < 0 && rapid.Bool().Draw(rt, "chunked") {
			resp.TransferEncoding = []string{"chunked"}
			resp.Trailer = http.Header{"X-Sum": {"1"}}
		}
		var wire bytes.Buffer
		if err := resp.Write(&wire); err != nil {
			rt.Fatal(err)
		}
		got, err := ours(t, "GET", wire.Bytes(), rapid.IntRange(1, 9000).Draw(rt, "step"))
		if err != nil {
			rt.Fatalf("%v\n%q", err, wire.Bytes())
		}
		if v, _ := got.Header("x-value"); got.Status != resp.StatusCode || !bytes.Equal(got.Body, body) || string(v) != resp.Header.Get("X-Value") {
			rt.Fatalf("read %d, %d bytes, %q", got.Status, len(got.Body), v)
		}
	})
}

// FuzzRequest checks that whatever a scenario's values are, what goes out is one request that an
// independent parser reads as the one that was meant, or nothing at all.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b=c", "authorization", "Bearer x", []byte(nil))
	f.Add("POST", "?x", "Host", "shop", []byte("hi"))
	f.Add("GET", "/\r\nX: y", "a", "b\r\nc: d", []byte("x"))
	f.Add("PUT", "", "Content-Length", "1", []byte("x"))
	f.Add("PUT", "//x", "Connection", "close", []byte("x"))
	f.Fuzz(func(t *testing.T, method, path, name, value string, body []byte) {
		wire := &recorder{script: script{data: []byte("HTTP/1.1 204 No Content\r\n\r\n"), step: 100}}
		c, err := httpload.NewClient(httpload.Options{
			Target: &url.URL{Scheme: "http", Host: "fuzz.example", Path: "/base"},
			Dial:   func(context.Context, string, string) (net.Conn, error) { return wire, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		req := httpload.Request{Method: method, Path: path, Headers: []httpload.Header{{Name: name, Value: value}}, Body: body}
		var resp httpload.Response
		err = c.Do(t.Context(), &req, &resp)
		if err != nil {
			var e *transport.Error
			if !errors.As(err, &e) || e.Kind != transport.KindRequest || wire.out.Len() > 0 {
				t.Fatalf("%v, %d bytes written", err, wire.out.Len())
			}
			return
		}
		r := bufio.NewReader(&wire.out)
		got, err := http.ReadRequest(r)
		if err != nil {
			if strings.EqualFold(name, "host") || strings.Contains(path, "%") || strings.Contains(path, "[") {
				return // net/http looks into these, which are sent as the scenario has them
			}
			t.Fatalf("net/http cannot read the request: %v", err)
		}
		sent, err := io.ReadAll(got.Body)
		if err != nil || !bytes.Equal(sent, body) {
			t.Fatalf("body %q, %v; want %q", sent, err, body)
		}
		if got.Method != method || got.RequestURI != "/base"+path {
			t.Fatalf("read %s %s, want %s /base%s", got.Method, got.RequestURI, method, path)
		}
		if r.Buffered() > 0 {
			t.Fatal("there is a second request on the wire")
		}
	})
}

type recorder struct {
	script
	out bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.out.Write(p) }
