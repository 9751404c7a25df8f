package flow

import (
	"net"
	"sync"
	"testing"
	"time"
)

// constantServer answers whatever it reads with the same response, and allocates nothing.
func constantServer(t *testing.T) (url string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		buf, answer := make([]byte, 4096), []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return "http://" + listener.Addr().String()
}

// A plain request costs the heap nothing: what a load of them measures is not the garbage collector.
func TestPlainStepsCostNoMemory(t *testing.T) {
	url := constantServer(t)
	b := newBench(url, get("s", "/"), get("t", "/?a=b"))
	p := b.compile(t)
	it := &Iteration{ID: b.id, Clock: wallClock{time.Now()}, Sink: discard{}}
	run := func() {
		if err := it.Prepare(p, p.Flow("f")); err != nil {
			t.Fatal(err)
		}
		if ok, err := it.Run(t.Context(), p.Flow("f")); !ok {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(200, run); n > 0 {
		t.Errorf("%v allocations per iteration", n)
	}
}
