package sockload

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"proofload/internal/load/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve accepts connections of TCP and gives each to handle, which is waited for.
func serve(t testing.TB, handle func(c *net.TCPConn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return "tcp://" + l.Addr().String()
}

// serveUDP answers each datagram with what answer returns; nil is a lost one.
func serveUDP(t testing.TB, answer func(in []byte) [][]byte) string {
	t.Helper()
	c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, out := range answer(bytes.Clone(buf[:n])) {
				_, _ = c.WriteTo(out, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		wg.Wait()
	})
	return "udp://" + c.LocalAddr().String()
}

func client(t testing.TB, target string) *Client {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(Options{Target: u, MaxBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func dial(t testing.TB, target string) *Conn {
	t.Helper()
	var got Opened
	c, err := client(t, target).Open(t.Context(), 0, &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Connect <= 0 || got.Ready.IsZero() {
		t.Errorf("opened: %+v", got)
	}
	t.Cleanup(c.Close)
	return c
}

func patient() time.Time { return time.Now().Add(30 * time.Second) }

// size awaits so many bytes.
func size(n int) Enough {
	return func(came []byte) (int, error) {
		if len(came) < n {
			return -1, nil
		}
		return n, nil
	}
}

func wants(t *testing.T, err error, kind transport.Kind) {
	t.Helper()
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != kind {
		t.Errorf("got %v, want %s", err, kind)
	}
}

func TestBytesHaveNoBounds(t *testing.T) {
	c := dial(t, serve(t, func(c *net.TCPConn) {
		for _, b := range []string{"he", "llo wor", "ld"} {
			_, _ = c.Write([]byte(b))
		}
		_, _ = c.Read(make([]byte, 1))
	}))
	for _, want := range []string{"hello", " ", "world"} {
		got, at, err := c.Receive(nil, patient(), size(len(want)))
		if err != nil || string(got) != want || at.IsZero() {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	if _, _, err := c.Receive(nil, time.Now().Add(time.Millisecond), size(1)); !errors.Is(err, ErrQuiet) {
		t.Errorf("nothing came: %v", err)
	}
	if err := c.Send([]byte("x"), patient()); err != nil {
		t.Error(err)
	}
	if in, out := c.Bytes(); in != 11 || out != 1 {
		t.Errorf("%d in, %d out", in, out)
	}
	_, _, err := c.Receive(nil, patient(), size(1))
	wants(t, err, transport.KindClosed)
}

func TestPeerMisbehaves(t *testing.T) {
	for name, tt := range map[string]struct {
		handle func(c *net.TCPConn)
		kind   transport.Kind
	}{
		"gone":               {func(*net.TCPConn) {}, transport.KindClosed},
		"gone in the middle": {func(c *net.TCPConn) { _, _ = c.Write([]byte("ab")) }, transport.KindClosed},
		"reset":              {func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)); _ = c.SetLinger(0) }, transport.KindReset},
		"without end": {func(c *net.TCPConn) {
			for {
				if _, err := c.Write(bytes.Repeat([]byte("a"), 1000)); err != nil {
					return
				}
			}
		}, transport.KindBody},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, serve(t, tt.handle))
			if name == "reset" {
				_ = c.Send([]byte("x"), patient())
			}
			_, _, err := c.Receive(nil, patient(), size(100_000))
			wants(t, err, tt.kind)
			c.Close()
		})
	}
	t.Run("half of it", func(t *testing.T) {
		c := dial(t, serve(t, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("a"))
			_, _ = c.Read(make([]byte, 1))
		}))
		if _, _, err := c.Receive(nil, patient(), size(1)); err != nil {
			t.Fatal(err)
		}
		c.rest = append(c.rest, 'a')
		_, _, err := c.Receive(nil, time.Now().Add(time.Millisecond), size(2))
		wants(t, err, transport.KindTimeout)
	})
}

func TestNobodyListens(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = client(t, "tcp://"+l.Addr().String()).Open(t.Context(), 0, &Opened{})
	wants(t, err, transport.KindConnect)
}

func TestNoTLS(t *testing.T) {
	target := serve(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("220 smtp.example ready\r\n"))
		for b := make([]byte, 512); ; { // until the client closes
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	})
	_, err := client(t, strings.Replace(target, "tcp", "tls", 1)).Open(t.Context(), 0, &Opened{})
	wants(t, err, transport.KindNotSpoken)
}

func TestDatagrams(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 60_000)
	c := dial(t, serveUDP(t, func(in []byte) [][]byte {
		switch string(in) {
		case "lost":
			return nil
		case "large":
			return [][]byte{large}
		}
		return [][]byte{in, {}}
	}))
	for _, text := range []string{"a", "bcd"} {
		if err := c.Send([]byte(text), patient()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{text, ""} {
			got, _, err := c.Receive(nil, patient(), nil)
			if err != nil || string(got) != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
	}
	_ = c.Send([]byte("large"), patient())
	if got, _, err := c.Receive(nil, patient(), nil); err != nil || len(got) != len(large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_ = c.Send([]byte("lost"), patient())
	if _, _, err := c.Receive(nil, time.Now().Add(20*time.Millisecond), nil); !errors.Is(err, ErrQuiet) {
		t.Errorf("a lost datagram: %v", err)
	}
}

func TestNobodyHearsDatagrams(t *testing.T) {
	p, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
	c := dial(t, "udp://"+p.LocalAddr().String())
	_ = c.Send([]byte("a"), patient())
	_, _, err = c.Receive(nil, patient(), nil)
	wants(t, err, transport.KindConnect)
}

func TestContextEnds(t *testing.T) {
	target := serve(t, func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) })
	ctx, cancel := context.WithCancel(t.Context())
	c, err := client(t, target).Open(ctx, 0, &Opened{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	time.AfterFunc(5*time.Millisecond, cancel)
	_, _, err = c.Receive(nil, patient(), size(1))
	wants(t, err, transport.KindCancelled)
	_, err = client(t, target).Open(ctx, 0, &Opened{})
	wants(t, err, transport.KindCancelled)
}

// TestResume: a connection is used again only if nothing happened to it.
func TestResume(t *testing.T) {
	next := make(chan string)
	target := serve(t, func(c *net.TCPConn) {
		for b := range next {
			if b == "" {
				return
			}
			_, _ = c.Write([]byte(b))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	c, err := client(t, target).Open(ctx, 0, &Opened{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if !c.Resume(t.Context()) {
		t.Fatal("an idle connection was given up")
	}
	cancel() // of nobody any more
	next <- "ab"
	if got, _, err := c.Receive(nil, patient(), size(2)); err != nil || string(got) != "ab" {
		t.Fatalf("%q, %v", got, err)
	}
	next <- "c"
	for range 1000 {
		if !c.Resume(t.Context()) {
			close(next)
			return
		}
		time.Sleep(time.Millisecond)
	}
	close(next)
	t.Error("a connection with bytes that nobody asked for was used again")
}

// TestResumeElsewhere: a connection to an address that is the target's no more is not used again.
func TestResumeElsewhere(t *testing.T) {
	for _, target := range []string{serve(t, func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }), serveUDP(t, func([]byte) [][]byte { return nil })} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		present := true
		client, err := NewClient(Options{Target: u, Valid: func(c net.Conn) bool { return present && c.RemoteAddr().String() == u.Host }})
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Open(t.Context(), 0, &Opened{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		if !c.Resume(t.Context()) {
			t.Errorf("%s: a connection to the present address was given up", u.Scheme)
		}
		if present = false; c.Resume(t.Context()) {
			t.Errorf("%s: a connection to an address that is gone was used again", u.Scheme)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, bad := range []string{"http://a:1", "tcp://a", "tcp://:1", "tcp://a:1/b", "udp://a:0", "tls://u@a:1"} {
		u, err := url.Parse(bad)
		if err != nil {
			continue
		}
		if _, err := NewClient(Options{Target: u}); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// TestKeep: what comes while a connection is kept is there for what is expected next, up to a bound.
func TestKeep(t *testing.T) {
	soon := func() time.Time { return time.Now().Add(20 * time.Millisecond) }
	t.Run("is expected afterwards", func(t *testing.T) {
		next, came := make(chan string), make(chan bool)
		c := dial(t, serve(t, func(c *net.TCPConn) {
			for b := range next {
				_, _ = c.Write([]byte(b))
				came <- true
			}
		}))
		defer close(next)
		for _, b := range []string{"ab", "cde"} {
			next <- b
			<-came
			if err := c.Keep(soon()); err != nil {
				t.Fatal(err)
			}
		}
		if in, _ := c.Bytes(); in != 5 {
			t.Errorf("%d bytes came in", in)
		}
		kept := time.Now()
		for _, want := range []string{"a", "bcd", "e"} {
			got, at, err := c.Receive(nil, patient(), size(len(want)))
			if err != nil || string(got) != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
			if at.After(kept) {
				t.Error("bytes are said to have come when they were asked for")
			}
		}
		if err := c.Keep(soon()); err != nil {
			t.Error(err)
		}
		if _, _, err := c.Receive(nil, soon(), size(1)); !errors.Is(err, ErrQuiet) {
			t.Errorf("bytes came twice: %v", err)
		}
	})
	t.Run("more than is kept", func(t *testing.T) {
		c := dial(t, serve(t, func(c *net.TCPConn) {
			_, _ = c.Write(bytes.Repeat([]byte("x"), 5000))
			_, _ = c.Read(make([]byte, 1))
		}))
		wants(t, c.Keep(patient()), transport.KindBody)
		if in, _ := c.Bytes(); in != 4096 {
			t.Errorf("%d bytes were taken, want 4096", in)
		}
	})
	t.Run("just as many", func(t *testing.T) {
		c := dial(t, serve(t, func(c *net.TCPConn) {
			_, _ = c.Write(bytes.Repeat([]byte("x"), 4095))
			_, _ = c.Read(make([]byte, 1))
		}))
		if err := c.Keep(soon()); err != nil {
			t.Error(err)
		}
		if _, _, err := c.Receive(nil, patient(), size(4095)); err != nil {
			t.Error(err)
		}
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		c := dial(t, serve(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("x")) }))
		wants(t, c.Keep(patient()), transport.KindClosed)
	})
}
