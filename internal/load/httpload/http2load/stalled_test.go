package http2load_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/transport"
)

// stalled is a connection whose writes, once it is stalled, end with the connection and not before: the server has
// stopped to read.
type stalled struct {
	net.Conn
	stop   <-chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (s *stalled) Write(b []byte) (int, error) {
	select {
	case <-s.stop:
		<-s.closed
		return 0, net.ErrClosed
	default:
		return s.Conn.Write(b)
	}
}

func (s *stalled) Close() error {
	err := s.Conn.Close()
	s.once.Do(func() { close(s.closed) })
	return err
}

// TestServerThatDoesNotRead: a write that goes on holds no request beyond its timeout or the end of its context, be
// it the one that began the write or one behind it, and Close ends the write.
func TestServerThatDoesNotRead(t *testing.T) {
	s, _ := serve(t, false, func(http.ResponseWriter, *http.Request) {})
	stop := make(chan struct{})
	c := newClient(t, s.URL, func(o *http2load.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &stalled{Conn: nc, stop: stop, closed: make(chan struct{})}, nil
		}
	})
	var resp httpload.Response
	if err := c.Do(t.Context(), get("/"), &resp); err != nil {
		t.Fatal(err)
	}
	close(stop)
	for range 3 { // the first one begins the write
		req := &httpload.Request{Method: "POST", Body: make([]byte, 100), Timeout: 50 * time.Millisecond}
		wantKind(t, c.Do(t.Context(), req, &resp), transport.KindTimeout)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		timer := time.AfterFunc(20*time.Millisecond, cancel)
		wantKind(t, c.Do(ctx, &httpload.Request{Method: "GET", Timeout: time.Hour}, &resp), transport.KindCancelled)
		timer.Stop()
		cancel()
	}
}
