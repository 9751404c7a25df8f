package httpload_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"proofload/internal/load/httpload"
)

// reads is what a client makes of what a server said.
func reads(resp *httpload.Response, err error) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v; %d %q %d, %d bytes;", err, resp.Status, resp.Body, resp.BodySize, resp.BytesIn)
	for n, v := range resp.Headers() {
		fmt.Fprintf(&s, " %s=%q", n, v)
	}
	return s.String()
}

// kept is a connection on which every request is answered with what is next.
type kept struct {
	script
	next *[]byte
}

func (k *kept) Write(p []byte) (int, error) {
	k.data = *k.next
	return len(p), nil
}

// similar are responses that differ by as little as those of one server do.
var similar = []string{
	ok200 + "Date: 1\r\nContent-Length: 5\r\n\r\nhello",
	ok200 + "Date: 2\r\nContent-Length: 5\r\n\r\nhello",
	ok200 + "Date: 2\r\nContent-Length: 4\r\n\r\nhell",
	ok200 + "Date: 2\r\nContent-Length: 5\r\nA: 1\r\n\r\nhello",
	ok200 + "Date: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 404 No\r\nDate: 1\r\nContent-Length: 5\r\n\r\nhello",
}

// TestKnownHeads: what a response is read as does not depend on those that its memory has had before, be they the same,
// almost the same, wrong, or of another version of HTTP.
func TestKnownHeads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var data []byte
		step := rapid.IntRange(1, 200).Draw(rt, "step")
		client := func() *httpload.Client {
			c, err := httpload.NewClient(httpload.Options{
				Target: &url.URL{Scheme: "http", Host: "known.example"},
				Dial: func(context.Context, string, string) (net.Conn, error) {
					return &kept{script{step: step}, &data}, nil
				},
			})
			if err != nil {
				rt.Fatal(err)
			}
			return c
		}
		one, other := client(), client() // whose connections have the same past
		defer func() { _, _ = one.Close(), other.Close() }()
		var used httpload.Response
		for range rapid.IntRange(2, 12).Draw(rt, "responses") {
			data = []byte(rapid.SampledFrom(slices.Concat(similar, similar, responses)).Draw(rt, "response"))
			if len(data) > 0 && rapid.IntRange(0, 5).Draw(rt, "changed") == 0 {
				data = bytes.Clone(data)
				data[rapid.IntRange(0, len(data)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "to")
			}
			if rapid.IntRange(0, 9).Draw(rt, "other") == 0 {
				used.Reset()
				used.AddField("another", "client's")
			}
			req := httpload.Request{Method: rapid.SampledFrom([]string{"GET", "GET", "HEAD"}).Draw(rt, "method"), Path: "/"}
			var fresh httpload.Response
			want := reads(&fresh, one.Do(t.Context(), &req, &fresh))
			if got := reads(&used, other.Do(t.Context(), &req, &used)); got != want {
				rt.Fatalf("%q\nis read as %s\nand afresh %s", data, got, want)
			}
		}
	})
}

// TestRecall: a head is known when it has the bytes of the one before, and only then.
func TestRecall(t *testing.T) {
	head := ok200 + "Date: 1\r\nContent-Length: 5\r\n\r\n"
	for _, tt := range []struct {
		before, now string
		want        bool
	}{
		{head, head, true},
		{head + "hello", head + "HELLO and more", true},
		{"HTTP/1.1 103 Early Hints\r\n\r\n" + head, head, true},
		{head, strings.Replace(head, "1\r", "2\r", 1), false},
		{head, strings.Replace(head, "200", "201", 1), false},
		{head, head[:len(head)-1], false},
		{head, "HTTP/1.1 103 Early Hints\r\n\r\n" + head, false},
		{ok200 + "Content-Length: x\r\n\r\n", ok200 + "Content-Length: x\r\n\r\n", false},
	} {
		if got := httpload.Recalls(tt.before, tt.now); got != tt.want {
			t.Errorf("%q after %q: %v", tt.now, tt.before, got)
		}
	}
}
