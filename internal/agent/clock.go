package agent

import (
	"sync"
	"time"

	"proofload/internal/run"
)

// runClock is run time on this worker. It is tied to T0 once; later, better estimates of the
// coordinator's clock only slew it.
type runClock struct {
	read func() int64 // the machine's monotonic clock

	mu    sync.Mutex
	known bool
	clock run.Clock
}

func newRunClock(read func() int64) *runClock { return &runClock{read: read} }

// tie says at which reading of the machine's clock T0 is.
func (c *runClock) tie(t0 int64) {
	now := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		c.known, c.clock = true, run.Tie(t0)
		return
	}
	c.clock = c.clock.Correct(now, t0)
}

// tied reports whether T0 is known.
func (c *runClock) tied() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

// Now implements load.Clock. Before T0 is known it is far before it.
func (c *runClock) Now() time.Duration { return c.at(c.read()) }

// at returns the run time of a reading.
func (c *runClock) at(reading int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return beforeT0
	}
	return c.clock.At(reading)
}

// beforeT0 is the run time while T0 is not known.
const beforeT0 = -1000 * time.Hour
