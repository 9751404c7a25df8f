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

// TestWatch: the end of the context interrupts the connection, also when a deadline is set just after, and is told also
// when the watch is over.
func TestWatch(t *testing.T) {
	for _, row := range []struct {
		name string
		then func(w *Watch, nc net.Conn)
	}{
		{"nothing", func(*Watch, net.Conn) {}},
		{"a deadline is set, and the end heeded", func(w *Watch, nc net.Conn) { _ = nc.SetDeadline(time.Time{}); w.Heed(nc) }},
		{"the watch is ended, and the end heeded", func(w *Watch, nc net.Conn) {
			if w.End() || !w.Ended() {
				t.Error("what ends the watch does not tell that the context has ended")
			}
			_ = nc.SetDeadline(time.Time{})
			w.Heed(nc)
		}},
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
			if !interrupted(here) {
				t.Error("not interrupted any more")
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
	third, cancel := context.WithCancel(t.Context())
	w, _ = Watch{}, here.SetDeadline(time.Time{})
	if !w.Over(third, here) || !w.End() || !w.Over(third, here) { // as one who comes back with the same context
		t.Fatal("interrupted before the third context has ended")
	}
	cancel()
	if !interrupted(here) {
		t.Error("the watch that was ended and set again does not interrupt")
	}
}
