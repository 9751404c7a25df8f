package httpload_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
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

func TestPoolKeepsAtMost(t *testing.T) {
	const together = 20
	var wg sync.WaitGroup
	gate := make(chan struct{})
	arrived := make(chan struct{}, together)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-gate }))
	defer s.Close()
	for _, limit := range []int{-1, 1, 5, 100} {
		c := newClient(t, s.URL, func(o *httpload.Options) { o.MaxIdle = limit })
		for range together {
			wg.Go(func() {
				var resp httpload.Response
				if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
					t.Error(err)
				}
			})
		}
		for range together {
			<-arrived
		}
		for range together {
			gate <- struct{}{}
		}
		wg.Wait()
		if want := min(max(limit, 0), together); c.Idle() != want {
			t.Errorf("limit %d: %d idle, want %d", limit, c.Idle(), want)
		}
		_ = c.Close()
		if c.Idle() != 0 {
			t.Errorf("%d idle after Close", c.Idle())
		}
	}
}

func TestClosedClient(t *testing.T) {
	s := serveRaw(t, answer(ok200+"Content-Length: 0\r\n\r\n", false))
	c := newClient(t, s.url())
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var resp httpload.Response
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp), transport.KindCancelled)
}

// TestManyGoroutines checks under load that each goroutine gets its own answer, that the server
// counts what the client counted, and that connections are shared.
func TestManyGoroutines(t *testing.T) {
	const goroutines, each = 64, 100
	var received atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received.Add(1)
		if strings.HasSuffix(r.URL.Path, "7") {
			w.Header().Set("Connection", "close")
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Path", r.URL.Path)
		_, _ = w.Write(body)
	}))
	defer s.Close()
	var dials atomic.Int64
	c := newClient(t, s.URL, counting(&dials))
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			var resp httpload.Response
			for i := range each {
				path := fmt.Sprintf("/%d/%d", g, i)
				body := bytes.Repeat([]byte{byte('a' + g%26)}, (g*each+i)%5000)
				if err := c.Do(t.Context(), &httpload.Request{Method: "POST", Path: path, Body: body}, &resp); err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				if v, _ := resp.Header("x-path"); string(v) != path || !bytes.Equal(resp.Body, body) {
					t.Errorf("%s: answer of %s, %d bytes for %d", path, v, len(resp.Body), len(body))
				}
			}
		})
	}
	wg.Wait()
	if received.Load() != goroutines*each {
		t.Errorf("server received %d, want %d", received.Load(), goroutines*each)
	}
	if closes := int64(goroutines * each / 10); dials.Load() > goroutines+closes {
		t.Errorf("%d dials", dials.Load())
	}
	_ = c.Close()
}

// TestCloseDuringLoad ends the client while requests are in flight: they end, and nothing leaks.
func TestCloseDuringLoad(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	defer s.Close()
	var dials atomic.Int64
	c := newClient(t, s.URL, counting(&dials))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			var resp httpload.Response
			for c.Do(ctx, &httpload.Request{Method: "GET"}, &resp) == nil {
			}
		})
	}
	for dials.Load() < 8 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	_ = c.Close()
	wg.Wait()
	if c.Idle() != 0 {
		t.Errorf("%d idle connections after Close", c.Idle())
	}
}

func TestIdleTimeout(t *testing.T) {
	cases := []struct {
		name   string
		field  string
		idle   time.Duration
		reused bool
	}{
		{"young enough", "", time.Hour, true},
		{"too old", "", time.Nanosecond, false},
		{"announced short", "Keep-Alive: timeout=0\r\n", time.Hour, false},
		{"announced long", "Keep-Alive: timeout=600, max=10\r\n", time.Hour, true},
		{"announced nonsense", "Keep-Alive: timeout=x\r\n", time.Hour, true},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, answer(ok200+tt.field+"Content-Length: 0\r\n\r\n", false))
			c := newClient(t, s.url(), func(o *httpload.Options) { o.IdleTimeout = tt.idle })
			var resp httpload.Response
			for range 2 {
				if err := c.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
					t.Fatal(err)
				}
			}
			if resp.Reused != tt.reused {
				t.Errorf("reused = %v, want %v", resp.Reused, tt.reused)
			}
		})
	}
}
