package transport

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// interrupted reports whether a read returns at once, for a deadline that is over.
func interrupted(nc net.Conn) bool {
	_, err := nc.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// TestWatch: the end of the context interrupts the connection, also when a deadline is set just after, until the watch
// is over.
func TestWatch(t *testing.T) {
	for _, row := range []struct {
		name string
		then func(w *Watch, nc net.Conn)
		want bool // the connection stays interrupted
	}{
		{"nothing", func(*Watch, net.Conn) {}, true},
		{"a deadline is set, and the end heeded", func(w *Watch, nc net.Conn) { _ = nc.SetDeadline(time.Time{}); w.Heed(nc) }, true},
		{"the watch is ended, and a deadline set", func(w *Watch, nc net.Conn) {
			w.End()
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			w.Heed(nc)
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			here, there := net.Pipe()
			defer here.Close()
			defer there.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var w Watch
			for range 2 {
				if !w.Over(ctx, here) || w.Ended() {
					t.Fatal("interrupted before the context has ended")
				}
			}
			cancel()
			if !interrupted(here) {
				t.Fatal("the read does not end with the context")
			}
			if !w.Ended() || w.Over(ctx, here) {
				t.Error("the watch does not tell that the context has ended")
			}
			row.then(&w, here)
			go func() { _, _ = there.Write([]byte("a")) }()
			if got := interrupted(here); got != row.want {
				t.Errorf("interrupted: %v, want %v", got, row.want)
			}
		})
	}
}

// TestWatchOverAnother: the connection goes over to another context, and the end of the one before does nothing; if it
// has struck already, the connection is lost.
func TestWatchOverAnother(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	first, cancel := context.WithCancel(t.Context())
	var w Watch
	if !w.Over(first, here) || !w.Over(t.Context(), here) {
		t.Fatal("interrupted before a context has ended")
	}
	cancel()
	go func() { _, _ = there.Write([]byte("a")) }()
	if interrupted(here) || w.Ended() {
		t.Error("the end of an earlier context interrupts")
	}
	second, cancel := context.WithCancel(t.Context())
	if !w.Over(second, here) {
		t.Fatal("interrupted before the second context has ended")
	}
	cancel()
	if !interrupted(here) {
		t.Fatal("the read does not end with the context")
	}
	if w.Over(t.Context(), here) {
		t.Error("a connection that was interrupted goes over to another context")
	}
	if !w.End() {
		t.Error("the watch is not over")
	}
}
