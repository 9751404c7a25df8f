package load

import "time"

// Bounds of the pacer's shortest wait. The upper one is reached at 20,000 arrivals per second.
const (
	shortestWait = 100 * time.Microsecond
	longestGroup = 280 * time.Microsecond
)

// groupPerRate is how much of a wait each arrival per second is worth.
const groupPerRate = longestGroup / 20_000

// cadencePeriod is the time over which the rate is counted.
const cadencePeriod = 50 * time.Millisecond

// cadence says how long the pacer waits at least. A wait costs system calls here, and requests that come
// one by one wake the server for each; arrivals that are closer together than the wait are started
// together, at most so much after their time, which the schedule lag tells. So the wait grows with the rate: it
// is short where that costs little, and takes a quarter off the processor time of a request where many thousands come.
// The pacer's goroutine owns it.
type cadence struct {
	since   time.Duration // run time at which the count began
	started int64         // iterations started since the beginning, at that time
	least   time.Duration
}

// wait returns the shortest wait at run time now, when so many iterations have been started in all.
func (c *cadence) wait(now time.Duration, started int64) time.Duration {
	passed := now - c.since
	if c.least == 0 || passed >= cadencePeriod {
		rate := 0.0
		if passed > 0 && c.least != 0 {
			rate = float64(started-c.started) / passed.Seconds()
		}
		c.least = min(max(shortestWait, time.Duration(rate*float64(groupPerRate))), longestGroup)
		c.since, c.started = now, started
	}
	return c.least
}
