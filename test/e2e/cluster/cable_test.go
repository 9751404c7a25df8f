package cluster

import (
	"net"
	"sync"
	"testing"
	"time"
)

// cable leads from an address of loopback to another one. It can be cut, for all or for one process: then
// nothing passes and nobody is told, as when a network loses every packet. What was under way arrives when it
// is mended. It can be slow, too.
type cable struct {
	to       string
	listener net.Listener
	owner    func(net.Conn) int

	passing sync.RWMutex // held for reading while bytes pass, for writing while the cable is cut

	mu     sync.Mutex
	gates  map[int]*sync.RWMutex // the same for the connections of one process
	pace   pace
	paces  map[int]pace      // of the connections of one process, instead
	slowed map[int]int       // how many bytes those were that passed at such a pace
	conns  map[net.Conn]bool // nil: the cable is taken away
	copies sync.WaitGroup
}

// pace is how slow a cable is in each direction; the zero pace: not at all.
type pace struct {
	delay   time.Duration
	perByte time.Duration // for each byte of a connection
}

// chunk is bytes that arrive at an instant.
type chunk struct {
	data []byte
	due  time.Time
}

// newCable lays a cable that the test's end takes away. owner tells which process has opened a connection to it;
// nil: that is not asked.
func newCable(t *testing.T, to string, owner func(net.Conn) int) *cable {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{to: to, listener: l, owner: owner, conns: map[net.Conn]bool{}, gates: map[int]*sync.RWMutex{}, paces: map[int]pace{}, slowed: map[int]int{}}
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

// cutOff cuts the cable for one process alone, rejoin mends it.
func (c *cable) cutOff(pid int) { c.gate(pid).Lock() }
func (c *cable) rejoin(pid int) { c.gate(pid).Unlock() }

func (c *cable) gate(pid int) *sync.RWMutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gates[pid] == nil {
		c.gates[pid] = &sync.RWMutex{}
	}
	return c.gates[pid]
}

// slow makes the cable slow from now on.
func (c *cable) slow(p pace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace = p
}

// slowFor makes the cable slow for one process alone; the zero pace ends that.
func (c *cable) slowFor(pid int, p pace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paces[pid] = p; p == (pace{}) {
		delete(c.paces, pid)
	}
}

// pacing returns the pace at which so many bytes of a process pass now.
func (c *cable) pacing(pid, n int) pace {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, own := c.paces[pid]; own {
		c.slowed[pid] += n
		return p
	}
	return c.pace
}

// slowly returns how many bytes of a process passed at a pace of its own.
func (c *cable) slowly(pid int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slowed[pid]
}

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.copies.Go(func() {
			pid := 0
			if c.owner != nil {
				pid = c.owner(near)
			}
			gate := c.gate(pid)
			c.passing.RLock() // who connects while it is cut waits
			gate.RLock()
			far, err := net.Dial("tcp", c.to)
			gate.RUnlock()
			c.passing.RUnlock()
			if err != nil {
				_ = near.Close()
				return
			}
			c.copies.Go(func() { c.pass(near, far, pid) })
			c.pass(far, near, pid)
		})
	}
}

// pass copies one direction until it ends, which ends the other one too once all has arrived.
func (c *cable) pass(from, to net.Conn, pid int) {
	gate := c.gate(pid)
	defer func() { _, _ = from.Close(), to.Close() }()
	c.mu.Lock()
	gone := c.conns == nil
	if !gone {
		c.conns[from] = true
	}
	c.mu.Unlock()
	if gone {
		return
	}
	const underWay = 64 // chunks
	chunks := make(chan chunk, underWay)
	var delivering sync.WaitGroup
	defer delivering.Wait()
	defer close(chunks)
	delivering.Go(func() {
		for one := range chunks {
			time.Sleep(time.Until(one.due))
			c.passing.RLock()
			gate.RLock()
			_, err := to.Write(one.data)
			gate.RUnlock()
			c.passing.RUnlock()
			if err != nil {
				_ = from.Close() // so that no more comes
			}
		}
	})
	var free time.Time // when what was read before has passed
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p := c.pacing(pid, n)
		if now := time.Now(); free.Before(now) {
			free = now
		}
		free = free.Add(time.Duration(n) * p.perByte)
		chunks <- chunk{append([]byte(nil), buffer[:n]...), free.Add(p.delay)}
	}
}
