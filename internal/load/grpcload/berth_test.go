package grpcload

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// addresses are those of a target that moves: connections to where it was are no longer valid.
type addresses struct {
	mu     sync.Mutex
	opened []net.Conn
	moved  int // how many of them were opened before the target moved
}

func (a *addresses) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened = append(a.opened, nc)
	return nc, err
}

func (a *addresses) valid(nc net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Index(a.opened, nc) >= a.moved
}

func (a *addresses) move() (before int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moved = len(a.opened)
	return a.moved
}

// open says which connections are open, by number.
func (a *addresses) open() (numbers []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, nc := range a.opened {
		if nc.SetDeadline(time.Time{}) == nil {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

func (a *addresses) await(t *testing.T, want ...int) {
	t.Helper()
	for range 1000 {
		if slices.Equal(a.open(), want) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("open connections %v, want %v", a.open(), want)
}

// TestTargetThatMoves: calls that begin after the addresses of a target have changed go to the new ones, and a stream
// that is under way ends where it began.
func TestTargetThatMoves(t *testing.T) {
	addr := serveFrames(t, func(w *wire, frame http2.Frame) {
		switch x := frame.(type) {
		case *http2.HeadersFrame:
			w.headers(x.StreamID, false, ":status", "200", "content-type", "application/grpc")
		case *http2.DataFrame:
			if x.StreamEnded() {
				_ = w.WriteData(x.StreamID, false, []byte{0, 0, 0, 0, 2, 8, 1})
				w.headers(x.StreamID, true, "grpc-status", "0")
			}
		}
	})
	for _, own := range []bool{false, true} {
		a := &addresses{}
		cl := client(t, "grpc", addr, func(o *Options) { o.Dial, o.Valid = a.dial, a.valid })
		in := &Call{Method: "/a.B/C", Timeout: 10 * time.Second, FromClient: true, FromServer: true}
		if own {
			in.Session = cl.NewSession()
		}
		begin := func(r *Response) *Stream {
			s, err := cl.Open(t.Context(), in, r)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		finish := func(s *Stream, r *Response) {
			s.CloseSend()
			if _, err := s.Receive(); err != nil {
				t.Error(err)
			}
			if _, err := s.Receive(); !errors.Is(err, ErrEnded) || r.Code != "OK" {
				t.Errorf("%v, code %s", err, r.Code)
			}
			s.End()
		}
		var r1, r2, r3, r4 Response
		first, second := begin(&r1), begin(&r2)
		a.await(t, 0)
		a.move()
		third := begin(&r3)
		a.await(t, 0, 1) // the first two end where they began
		finish(first, &r1)
		finish(third, &r3)
		a.await(t, 0, 1)
		finish(second, &r2)
		a.await(t, 1)
		a.move()
		fourth := begin(&r4) // nothing is under way on the one before
		a.await(t, 2)
		finish(fourth, &r4)

		for want := 3; want < 5; want++ {
			if err := cl.Unary(t.Context(), &Call{Method: "/a.B/C", Timeout: 10 * time.Second, Session: in.Session}, nil, &r1); err != nil || r1.Code != "OK" {
				t.Errorf("unary: %v, code %s", err, r1.Code)
			}
			a.await(t, 2, want)
			if want == 3 {
				a.mu.Lock()
				a.moved = 4 // that of the streams is told when the next one begins
				a.mu.Unlock()
			}
		}
		if in.Session != nil {
			if err := in.Session.Close(); err != nil {
				t.Error(err)
			}
			a.await(t)
		}
	}
}

// gone is a connection that takes nothing any more once its target has moved, as one to a machine that is gone.
type gone struct {
	net.Conn
	addresses *addresses
	release   <-chan struct{}
}

func (g *gone) Write(b []byte) (int, error) {
	if !g.addresses.valid(g.Conn) {
		<-g.release
	}
	return g.Conn.Write(b)
}

// TestTargetThatIsGone: a connection that does not end, for nobody reads it, holds up neither the stream that leaves
// it nor those on the connection after it. Closing waits for it.
func TestTargetThatIsGone(t *testing.T) {
	addr := serveFrames(t, func(w *wire, frame http2.Frame) {
		if x, ok := frame.(*http2.HeadersFrame); ok {
			w.headers(x.StreamID, false, ":status", "200", "content-type", "application/grpc")
			_ = w.WriteData(x.StreamID, false, []byte{0, 0, 0, 0, 2, 8, 1})
		}
	})
	const tooLong = 3 * time.Second
	a, release := &addresses{}, make(chan struct{})
	end := sync.OnceFunc(func() { close(release) })
	defer time.AfterFunc(tooLong, end).Stop()
	cl := client(t, "grpc", addr, func(o *Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := a.dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &gone{nc, a, release}, nil
		}
		o.Valid = func(nc net.Conn) bool { return a.valid(nc.(*gone).Conn) }
	})
	session := cl.NewSession()
	in := &Call{Method: "/a.B/C", Timeout: time.Minute, FromClient: true, FromServer: true, Session: session}
	begin := func() *Stream {
		var r Response
		s, err := cl.Open(t.Context(), in, &r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Receive(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	began := time.Now()
	first := begin()
	a.move()
	second := begin()
	first.End() // its connection is left
	third := begin()
	second.End()
	third.End()
	a.move()
	begin().End() // that of the two before is replaced
	if took := time.Since(began); took >= tooLong {
		t.Fatalf("streams were held up for %v", took)
	}
	a.await(t, 0, 1, 2)

	closed := make(chan error, 1)
	go func() { closed <- session.Close() }()
	select {
	case err := <-closed:
		t.Errorf("closed, %v, while connections end", err)
	case <-time.After(50 * time.Millisecond):
	}
	end()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	a.await(t)
}
