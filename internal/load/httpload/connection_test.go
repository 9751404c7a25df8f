package httpload_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// TestIdleCloseIsNotSent shows that a connection which the server closed while it was idle costs
// neither an error nor a second request.
func TestIdleCloseIsNotSent(t *testing.T) {
	const rounds = 50
	var requests atomic.Int64
	closed := make(chan struct{})
	s := serveRaw(t, func(c *net.TCPConn) {
		if readRequest(bufio.NewReader(c)) {
			requests.Add(1)
			_, _ = io.WriteString(c, ok200+"Content-Length: 0\r\n\r\n")
			_ = c.Close()
			closed <- struct{}{}
		}
	})
	c := newClient(t, s.url())
	var resp httpload.Response
	for i := range rounds {
		if err := c.Do(t.Context(), &httpload.Request{Method: "POST", Body: []byte("x")}, &resp); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if resp.Reused || resp.Connect == 0 {
			t.Errorf("round %d: reused %v, connect %v", i, resp.Reused, resp.Connect)
		}
		<-closed // on loopback the end of the stream is at the client when Close returns
	}
	if n := requests.Load(); n != rounds {
		t.Errorf("server received %d requests, want %d", n, rounds)
	}
}

// TestCloseAfterRequestIsReported is the other side: the server took the request, so it is not
// sent again, whatever its method.
func TestCloseAfterRequestIsReported(t *testing.T) {
	for _, how := range []string{"close", "reset"} {
		t.Run(how, func(t *testing.T) {
			var requests atomic.Int64
			s := serveRaw(t, func(c *net.TCPConn) {
				r := bufio.NewReader(c)
				for readRequest(r) {
					if requests.Add(1) == 2 {
						if how == "reset" {
							reset(c)
						}
						return
					}
					_, _ = io.WriteString(c, ok200+"Content-Length: 0\r\n\r\n")
				}
			})
			c := newClient(t, s.url())
			var resp httpload.Response
			if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
				t.Fatal(err)
			}
			kind := transport.KindClosed
			if how == "reset" {
				kind = transport.KindReset
			}
			wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), kind)
			if !resp.Reused || resp.Sent.IsZero() || requests.Load() != 2 {
				t.Errorf("reused %v, sent %v, %d requests at the server", resp.Reused, resp.Sent, requests.Load())
			}
		})
	}
}

// TestUnsolicitedBytes: what a server says between two responses must not be taken for the second.
func TestUnsolicitedBytes(t *testing.T) {
	said := make(chan struct{})
	var first atomic.Bool
	s := serveRaw(t, func(c *net.TCPConn) {
		if !readRequest(bufio.NewReader(c)) {
			return
		}
		_, _ = io.WriteString(c, ok200+"Content-Length: 1\r\n\r\nx")
		if first.CompareAndSwap(false, true) {
			<-said
			_, _ = io.WriteString(c, "HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n")
			said <- struct{}{}
		}
		hang(c)
	})
	c := newClient(t, s.url())
	var resp httpload.Response
	if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
		t.Fatal(err)
	}
	said <- struct{}{}
	<-said
	if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil || resp.Status != 200 || resp.Reused {
		t.Errorf("status %d, reused %v, %v", resp.Status, resp.Reused, err)
	}
}

func TestCancel(t *testing.T) {
	for _, scheme := range []string{"fresh", "reused"} {
		t.Run(scheme, func(t *testing.T) {
			reached := make(chan struct{}, 1)
			s := serveRaw(t, func(c *net.TCPConn) {
				r := bufio.NewReader(c)
				for i := 0; readRequest(r); i++ {
					if i == 0 && scheme == "reused" {
						_, _ = io.WriteString(c, ok200+"Content-Length: 0\r\n\r\n")
						continue
					}
					reached <- struct{}{}
				}
			})
			c := newClient(t, s.url())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var resp httpload.Response
			if scheme == "reused" {
				if err := c.Do(ctx, &httpload.Request{Method: "GET"}, &resp); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() { <-reached; cancel() })
			e := wantKind(t, c.Do(ctx, &httpload.Request{Method: "GET", Timeout: time.Minute}, &resp), transport.KindCancelled)
			wg.Wait()
			if !transport.IsGenerator(e.Kind) || resp.Sent.IsZero() {
				t.Errorf("generator %v, sent %v", transport.IsGenerator(e.Kind), resp.Sent)
			}
			wantKind(t, c.Do(ctx, &httpload.Request{Method: "GET"}, &resp), transport.KindCancelled)
			if !resp.Sent.IsZero() {
				t.Error("a request was sent under a context that had ended")
			}
		})
	}
}

// TestContextOfAnother shows that an idle connection does not carry the end of its last context
// into the next request.
func TestContextOfAnother(t *testing.T) {
	s := serveRaw(t, answer(ok200+"Content-Length: 0\r\n\r\n", false))
	c := newClient(t, s.url())
	var resp httpload.Response
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		if err := c.Do(ctx, &httpload.Request{Method: "GET"}, &resp); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			cancel()
		}
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
			t.Fatalf("after the end of another context: %v", err)
		}
		cancel()
	}
	if err := c.Do(context.Background(), &httpload.Request{Method: "GET"}, &resp); err != nil {
		t.Fatal(err)
	}
}

func TestDeadlineOfContext(t *testing.T) {
	s := serveRaw(t, hang)
	c := newClient(t, s.url())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var resp httpload.Response
	wantKind(t, c.Do(ctx, &httpload.Request{Method: "GET", Timeout: time.Minute}, &resp), transport.KindTimeout)
}

// TestDeadlineMoves lets a request with a long timeout follow one with a short one, and the other
// way round, on one connection: the deadline that stands from the first must not end the second.
func TestDeadlineMoves(t *testing.T) {
	const short = 50 * time.Millisecond
	s := serveRaw(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		for i := 0; readRequest(r); i++ {
			if i == 1 {
				time.Sleep(2 * short)
			}
			if i == 3 {
				hang(c)
			}
			_, _ = io.WriteString(c, ok200+"Content-Length: 0\r\n\r\n")
		}
	})
	var dials atomic.Int64
	c := newClient(t, s.url(), counting(&dials))
	var resp httpload.Response
	for i, timeout := range []time.Duration{10 * short, time.Minute, time.Minute} {
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: timeout}, &resp); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: short}, &resp), transport.KindTimeout)
	if took := resp.End.Sub(resp.Sent); took < short-time.Millisecond || !resp.Reused || dials.Load() != 1 {
		t.Errorf("gave up after %v, reused %v, %d dials", took, resp.Reused, dials.Load())
	}
}

// TestShortDeadlineIsExtended forces the case that the deadline on the socket, left by an earlier
// request, passes while a later request with a later limit waits. The server lets it pass, so that no
// request has to be quick; the body takes more than one read, and so one of them meets the deadline.
func TestShortDeadlineIsExtended(t *testing.T) {
	body := strings.Repeat("hello", 20<<10)
	dialled := make(chan net.Conn, 2)
	s := serveRaw(t, func(c *net.TCPConn) {
		client := <-dialled
		r := bufio.NewReader(c)
		for i := 0; readRequest(r); i++ {
			if i == 1 {
				_ = client.SetDeadline(time.Unix(1, 0))
			}
			_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", ok200, len(body), body)
		}
	})
	c := newClient(t, s.url(), func(o *httpload.Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
			dialled <- nc
			return nc, err
		}
	})
	var resp httpload.Response
	for i, timeout := range []time.Duration{time.Minute, time.Hour} {
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Timeout: timeout}, &resp); err != nil || string(resp.Body) != body || resp.Reused != (i > 0) {
			t.Fatalf("request %d: body of %d bytes, reused %v, %v", i, len(resp.Body), resp.Reused, err)
		}
	}
}

func TestLargeUpload(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	}))
	defer s.Close()
	c := newClient(t, s.URL)
	var resp httpload.Response
	for i, size := range []int{1, 32 << 10, 32<<10 + 1, 8 << 20, 100, 8 << 20} {
		if err := c.Do(t.Context(), &httpload.Request{Method: "POST", Path: "/", Body: make([]byte, size)}, &resp); err != nil {
			t.Fatal(err)
		}
		if string(resp.Body) != fmt.Sprint(size) || resp.BytesOut <= int64(size) || resp.Reused != (i > 0) {
			t.Errorf("size %d: server got %s, %d bytes out, reused %v", size, resp.Body, resp.BytesOut, resp.Reused)
		}
	}
	_ = c.Close()
}

// TestEarlyResponse: a server may answer, and close or not, before it has read a large body.
func TestEarlyResponse(t *testing.T) {
	const early = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
	cases := map[string]func(*net.TCPConn){
		"and stays, never reading": func(c *net.TCPConn) {
			var b [16]byte
			_, _ = c.Read(b[:])
			_, _ = io.WriteString(c, early)
			time.Sleep(100 * time.Millisecond)
		},
		"and goes on reading": func(c *net.TCPConn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, early)
			hang(c)
		},
		"and stops sending": func(c *net.TCPConn) {
			readRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, early)
			_ = c.CloseWrite()
			hang(c)
		},
	}
	for name, handle := range cases {
		for _, size := range []int{10, 32 << 20} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				s := serveRaw(t, handle)
				c := newClient(t, s.url())
				var resp httpload.Response
				if err := c.Do(t.Context(), &httpload.Request{Method: "POST", Path: "/", Body: make([]byte, size)}, &resp); err != nil {
					t.Fatal(err)
				}
				if resp.Status != 413 || string(resp.Body) != "no" {
					t.Errorf("got %d %q", resp.Status, resp.Body)
				}
			})
		}
	}
}

// strikingConn ends the context while the client is setting the deadline of a request, and lets the
// client's watch over the context strike before that deadline is set.
type strikingConn struct {
	net.Conn
	cancel context.CancelFunc
	once   sync.Once
	struck chan struct{} // closed when the watch has set its deadline
}

func (c *strikingConn) SetDeadline(at time.Time) error {
	if at.After(time.Now()) {
		c.once.Do(func() {
			c.cancel()
			<-c.struck
		})
		return c.Conn.SetDeadline(at)
	}
	err := c.Conn.SetDeadline(at)
	select {
	case <-c.struck:
	default:
		close(c.struck)
	}
	return err
}

// TestCancelledBetweenWatchAndDeadline: a context that ends after the watch over it was set, and before
// the request's own deadline is, ends the request all the same.
func TestCancelledBetweenWatchAndDeadline(t *testing.T) {
	s := serveRaw(t, hang)
	for name, body := range map[string][]byte{"small": nil, "large": make([]byte, 1<<20)} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := newClient(t, s.url(), func(o *httpload.Options) {
				o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
					return &strikingConn{Conn: nc, cancel: cancel, struck: make(chan struct{})}, err
				}
			})
			var resp httpload.Response
			begin := time.Now()
			wantKind(t, c.Do(ctx, &httpload.Request{Method: "POST", Body: body, Timeout: 10 * time.Second}, &resp), transport.KindCancelled)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
