package httpload_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"proofload/internal/load/httpload"
)

// inParts answers the requests of a connection in parts, and tells when each of them began to go out.
func inParts(parts []string, began chan<- []time.Time) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		for r := bufio.NewReader(c); readRequest(r); {
			var at []time.Time
			for _, part := range parts {
				time.Sleep(10 * time.Millisecond)
				at = append(at, time.Now())
				_, _ = io.WriteString(c, part)
			}
			began <- at
		}
	}
}

// TestFirstByte: a response began when the first bytes of its final head were there, whoever receives it: not before
// they were sent, not with an interim response, and not only when more had come. The kernel begins to note times some
// time after it was asked, and a machine may be busy, so one of several responses has to show the last.
func TestFirstByte(t *testing.T) {
	const head, slack = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", time.Millisecond
	for _, tt := range []struct {
		name  string
		parts []string
		first int // part with which the final response begins
	}{
		{"at once", []string{head + "\r\nok"}, 0},
		{"body later", []string{head + "\r\n", "ok"}, 0},
		{"half a body later", []string{head + "\r\no", "k"}, 0},
		{"fields later", []string{"HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\nok"}, 0},
		{"chunks", []string{ok200 + "Transfer-Encoding: chunked\r\n\r\n", "2\r\nok", "\r\n0\r\n\r\n"}, 0},
		{"behind an interim response", []string{"HTTP/1.1 103 Early Hints\r\n\r\n", head + "\r\n", "ok"}, 1},
		{"behind an interim response in parts", []string{"HTTP/1.1 103 Ear", "ly Hints\r\n\r\n", head, "\r\nok"}, 2},
		{"with the end of an interim response", []string{"HTTP/1.1 103 Ear", "ly Hints\r\n\r\n" + head, "\r\nok"}, 1},
	} {
		began := make(chan []time.Time, 1)
		check := func(resp *httpload.Response) (shown bool) {
			at := <-began
			if resp.FirstByte.Before(resp.Sent) || resp.FirstByte.Before(at[tt.first].Add(-slack)) || resp.End.Before(resp.FirstByte) {
				t.Errorf("sent %v before the first byte, and that was there %v after it was sent and %v before the end",
					resp.FirstByte.Sub(resp.Sent), resp.FirstByte.Sub(at[tt.first]), resp.End.Sub(resp.FirstByte))
			}
			if next := tt.first + 1; next < len(at) {
				return resp.FirstByte.Before(at[next])
			}
			return resp.FirstByte.Equal(resp.End)
		}
		t.Run(tt.name+", as it comes", func(t *testing.T) {
			s := serveRaw(t, inParts(tt.parts, began))
			c := newClient(t, s.url())
			wantShown(t, func() bool {
				var resp httpload.Response
				if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
					t.Fatal(err)
				}
				return check(&resp)
			})
			if s.accepted() != 1 {
				t.Errorf("%d connections", s.accepted())
			}
		})
		t.Run(tt.name+", to a large upload", func(t *testing.T) {
			c := newClient(t, serveRaw(t, inParts(tt.parts, began)).url())
			wantShown(t, func() bool {
				var resp httpload.Response
				if err := c.Do(t.Context(), &httpload.Request{Method: "PUT", Body: []byte(strings.Repeat("x", 100_000))}, &resp); err != nil {
					t.Fatal(err)
				}
				return check(&resp)
			})
		})
		t.Run(tt.name+", collected", func(t *testing.T) {
			p := newPending(t, serveRaw(t, inParts(tt.parts, began)).url())
			p.open(t)
			check(&p.resp)
			wantShown(t, func() bool {
				if !p.send(t.Context(), httpload.Request{Method: "GET"}) {
					t.Fatal("not sent")
				}
				if _, err := p.receive(); err != nil {
					t.Fatal(err)
				}
				return check(&p.resp)
			})
		})
	}
}

// wantShown wants something to show itself in one of several attempts.
func wantShown(t *testing.T, attempt func() bool) {
	t.Helper()
	for range 20 {
		if attempt() {
			return
		}
	}
	t.Error("the response never began before more of it was sent")
}
