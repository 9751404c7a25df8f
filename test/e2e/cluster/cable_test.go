package cluster

import (
	"net"
	"sync"
	"testing"
)

// cable leads from an address of loopback to another one, and can be cut: then nothing passes and
// nobody is told, as when a network loses every packet. What was under way arrives when it is mended.
type cable struct {
	to       string
	listener net.Listener

	passing sync.RWMutex // held for reading while bytes pass, for writing while the cable is cut

	mu     sync.Mutex
	conns  map[net.Conn]bool // nil: the cable is taken away
	copies sync.WaitGroup
}

// newCable lays a cable that the test's end takes away.
func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{to: to, listener: l, conns: map[net.Conn]bool{}}
	c.copies.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for conn := range c.conns {
			_ = conn.Close()
		}
		c.conns = nil
		c.mu.Unlock()
		c.copies.Wait()
	})
	return c
}

func (c *cable) address() string { return c.listener.Addr().String() }

func (c *cable) cut()  { c.passing.Lock() }
func (c *cable) mend() { c.passing.Unlock() }

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.copies.Go(func() {
			c.passing.RLock() // who connects while it is cut waits
			far, err := net.Dial("tcp", c.to)
			c.passing.RUnlock()
			if err != nil {
				_ = near.Close()
				return
			}
			c.copies.Go(func() { c.pass(near, far) })
			c.pass(far, near)
		})
	}
}

// pass copies one direction until it ends, which ends the other one too.
func (c *cable) pass(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	c.mu.Lock()
	gone := c.conns == nil
	if !gone {
		c.conns[from] = true
	}
	c.mu.Unlock()
	buffer := make([]byte, 64<<10)
	for !gone {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		c.passing.RLock()
		_, err = to.Write(buffer[:n])
		c.passing.RUnlock()
		if err != nil {
			return
		}
	}
}
