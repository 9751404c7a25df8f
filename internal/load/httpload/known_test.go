package httpload_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
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

// TestKnownHeads: what a response is read as does not depend on those that its memory has had before, be they the same,
// almost the same, wrong, or of another version of HTTP.
func TestKnownHeads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var data []byte
		var step int
		c, err := httpload.NewClient(httpload.Options{
			Target: &url.URL{Scheme: "http", Host: "known.example"},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				return &script{data: data, step: step}, nil
			},
			Fresh: true,
		})
		if err != nil {
			rt.Fatal(err)
		}
		var used httpload.Response
		for range rapid.IntRange(2, 8).Draw(rt, "responses") {
			step = rapid.IntRange(1, 200).Draw(rt, "step")
			data = []byte(rapid.SampledFrom(responses).Draw(rt, "response"))
			if len(data) > 0 && rapid.IntRange(0, 3).Draw(rt, "changed") == 0 {
				data = bytes.Clone(data)
				data[rapid.IntRange(0, len(data)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "to")
			}
			if rapid.IntRange(0, 5).Draw(rt, "other") == 0 {
				used.Reset()
				used.AddField("another", "client's")
			}
			req := httpload.Request{Method: rapid.SampledFrom([]string{"GET", "HEAD"}).Draw(rt, "method"), Path: "/"}
			var fresh httpload.Response
			want := reads(&fresh, c.Do(t.Context(), &req, &fresh))
			if got := reads(&used, c.Do(t.Context(), &req, &used)); got != want {
				rt.Fatalf("%q\nis read as %s\nand afresh %s", data, got, want)
			}
		}
	})
}
