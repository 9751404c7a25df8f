package agent

import (
	"maps"
	"sync"
	"time"

	"proofload/internal/metric"
)

// Stats is what an agent tells of itself at one moment. Counts are since it was made.
type Stats struct {
	Connected  bool  // a coordinator has welcomed it, and the stream stands
	Reconnects int64 // sessions after the first

	OutboxBatches int   // sealed and not acked
	OutboxBytes   int64 // of them
	Unacked       int64 // batches sent in the present session and not acked

	Requests       int64 // that have ended
	RequestsFailed int64
	ArrivalsSent   int64
	NotSent        map[metric.Cause]int64 // arrivals given up, by cause
	InFlight       int64                  // iterations, at the end of the second that was sealed last
	Lag            Lag
}

// Lag is how far behind the schedule arrivals started.
type Lag struct {
	Count uint64        // arrivals measured
	Sum   float64       // seconds
	P99   time.Duration // of the second that was sealed last; 0 without arrivals
}

// Stats may be called at any time and by any goroutine.
func (a *Agent) Stats() Stats {
	s := a.counts.read()
	s.OutboxBatches, s.OutboxBytes = a.outbox.Depth()
	s.Reconnects = max(a.link.welcomes.Load()-1, 0)
	if session := a.link.live.Load(); session != nil {
		s.Connected, s.Unacked = true, session.unacked()
	}
	return s
}

// unacked returns how many batches were sent in this session and are not committed.
func (s *session) unacked() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, p := range s.lanes {
		n += int64(p.sent - min(p.mark, p.sent))
	}
	return n
}

// counts adds up what was sealed.
type counts struct {
	mu    sync.Mutex
	stats Stats
}

// second adds a sealed second.
func (c *counts) second(s metric.Second) {
	requests, failed := s.Requests()
	lag := s.Select(metric.ScheduleLag, func(metric.Labels) bool { return true })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Requests += requests
	c.stats.RequestsFailed += failed
	c.stats.InFlight = 0
	for _, row := range s.Arrivals {
		c.stats.ArrivalsSent += row.Sent
		for cause, n := range row.NotSent {
			if c.stats.NotSent == nil {
				c.stats.NotSent = map[metric.Cause]int64{}
			}
			c.stats.NotSent[cause] += n
		}
		c.stats.InFlight += row.InFlight
	}
	c.stats.Lag.P99 = 0
	if lag != nil && !lag.Empty() {
		c.stats.Lag.Count += lag.Count()
		c.stats.Lag.Sum += lag.Sum()
		c.stats.Lag.P99 = lag.Quantile(0.99)
	}
}

// idle notes that no run is being executed any more.
func (c *counts) idle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.InFlight, c.stats.Lag.P99 = 0, 0
}

func (c *counts) read() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.NotSent = maps.Clone(s.NotSent)
	return s
}
