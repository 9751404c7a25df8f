package e2e

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// gate is a way to an address that can be shut: then what is on it is cut off and nobody gets through.
type gate struct {
	address string // at which it listens
	to      string

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

// openGate serves until the test ends.
func openGate(t *testing.T, to string) *gate {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: l.Addr().String(), to: to, conns: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { g.pass(in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		g.set(true)
		serving.Wait()
	})
	return g
}

// set shuts or opens the gate.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for c := range g.conns {
			_ = c.Close()
		}
	}
}

// hold notes connections that end when the gate is shut; false: it is.
func (g *gate) hold(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		if g.shut {
			_ = c.Close()
			continue
		}
		g.conns[c] = true
	}
	return !g.shut
}

func (g *gate) pass(in net.Conn) {
	out, err := new(net.Dialer).DialContext(context.Background(), "tcp", g.to)
	if err != nil {
		_ = in.Close()
		return
	}
	if !g.hold(in, out) {
		return
	}
	var copying sync.WaitGroup
	for _, ends := range [][2]net.Conn{{in, out}, {out, in}} {
		copying.Go(func() {
			_, _ = io.Copy(ends[0], ends[1])
			_ = ends[0].Close()
			_ = ends[1].Close()
		})
	}
	copying.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, in)
	delete(g.conns, out)
}
