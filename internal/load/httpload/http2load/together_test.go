package http2load_test

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// answerTogether answers so many requests with what write writes of all of them, in one piece.
func answerTogether(t *testing.T, n int, write func(p *peer, ids []uint32)) *raw {
	return serveRaw(t, func(p *peer) {
		for {
			var ids []uint32
			for len(ids) < n {
				id := p.request()
				if id == 0 {
					return
				}
				ids = append(ids, id)
			}
			var all bytes.Buffer
			p.framer = http2.NewFramer(&all, p.conn)
			write(p, ids)
			if _, err := p.conn.Write(all.Bytes()); err != nil {
				return
			}
		}
	})
}

// TestAnswersTogether: of answers that come together each one is its caller's, who is woken, and what breaks the
// connection after some of them spoils only the others.
func TestAnswersTogether(t *testing.T) {
	const n = 40
	spoil := []byte{0xff, 0xff, 0xff, 0xff, 0xff} // no header block
	for _, tt := range []struct {
		name  string
		good  int
		kind  transport.Kind
		write func(p *peer, ids []uint32)
	}{
		{"all", n, "", func(p *peer, ids []uint32) {
			for _, id := range ids {
				p.ok(id, "ok")
			}
		}},
		{"a ping and a reset between them", n - 1, transport.KindStreamReset, func(p *peer, ids []uint32) {
			for _, id := range ids[1:] {
				_ = p.framer.WritePing(false, [8]byte{})
				p.ok(id, "ok")
			}
			_ = p.framer.WriteRSTStream(ids[0], http2.ErrCodeInternal)
		}},
		{"a header that is none", n / 2, transport.KindProtocol, func(p *peer, ids []uint32) {
			for _, id := range ids[:n/2] {
				p.ok(id, "ok")
			}
			_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: ids[n/2], BlockFragment: spoil, EndHeaders: true})
			for _, id := range ids[n/2+1:] {
				p.ok(id, "ok")
			}
		}},
		{"the end of the connection", n / 2, transport.KindProtocol, func(p *peer, ids []uint32) {
			for _, id := range ids[:n/2] {
				p.ok(id, "ok")
			}
			_ = p.framer.WriteRawFrame(http2.FramePing, 0, 0, []byte("short"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answerTogether(t, n, tt.write)
			c := newClient(t, s.url())
			good, bad := 0, map[transport.Kind]int{}
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					var resp httpload.Response
					err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/", Timeout: 10 * time.Second}, &resp)
					mu.Lock()
					defer mu.Unlock()
					var failure *transport.Error
					switch {
					case err == nil && resp.Status == http.StatusOK && string(resp.Body) == "ok":
						good++
					case errors.As(err, &failure):
						bad[failure.Kind]++
					default:
						t.Errorf("status %d, body %q, %v", resp.Status, resp.Body, err)
					}
				})
			}
			wg.Wait()
			if good != tt.good || bad[tt.kind] != n-tt.good {
				t.Errorf("%d good, bad %v, want %d and %d of %s", good, bad, tt.good, n-tt.good, tt.kind)
			}
		})
	}
}
