package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// promptPair returns a prompt connection and the other end of it.
func promptPair(t *testing.T) (here net.Conn, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	here = Prompt(nc)
	if _, ok := here.(*promptConn); !ok {
		t.Fatalf("a connection of TCP is %T", here)
	}
	t.Cleanup(func() { _, _ = here.Close(), other.Close() })
	return here, other.(*net.TCPConn)
}

// TestPrompt: what is written arrives, more than the socket takes at once included, and what comes is read to its end.
func TestPrompt(t *testing.T) {
	here, there := promptPair(t)
	want := bytes.Repeat([]byte("proofload"), 1<<20)
	go func() {
		_, _ = io.Copy(there, there) // an echo
		_ = there.CloseWrite()
	}()
	written := make(chan error, 1)
	go func() {
		n, err := here.Write(want)
		if n != len(want) && err == nil {
			err = io.ErrShortWrite
		}
		written <- errors.Join(err, here.(*promptConn).Conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(here)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(want), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if n, err := here.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the end %d bytes, %v", n, err)
	}
}

// TestPromptErrors: they are what those of the connection itself are.
func TestPromptErrors(t *testing.T) {
	buf := make([]byte, 1)
	t.Run("deadline", func(t *testing.T) {
		here, _ := promptPair(t)
		_ = here.SetDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := here.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if n, err := here.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n != 0 {
			t.Errorf("write: %d, %v", n, err)
		}
		_ = here.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := here.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
			t.Errorf("write of more than the socket takes: %d, %v", n, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		here, there := promptPair(t)
		_ = there.SetLinger(0)
		_ = there.Close()
		_, err := here.Read(buf)
		if failure := NewError("read", err, KindProtocol); failure.Kind != KindReset {
			t.Errorf("read: %v is %s", err, failure.Kind)
		}
		_, err = here.Write(buf)
		if failure := NewError("write", err, KindProtocol); failure.Kind != KindReset {
			t.Errorf("write: %v is %s", err, failure.Kind)
		}
	})
	t.Run("closed", func(t *testing.T) {
		here, _ := promptPair(t)
		_ = here.Close()
		_, read := here.Read(buf)
		_, write := here.Write(buf)
		if !errors.Is(read, net.ErrClosed) || !errors.Is(write, net.ErrClosed) {
			t.Errorf("read: %v, write: %v", read, write)
		}
	})
}

// TestPromptNothingElse: what is no connection of TCP stays what it is, and so does one that is closed.
func TestPromptNothingElse(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if got := Prompt(here); got != here {
		t.Errorf("a pipe is %T", got)
	}
}
