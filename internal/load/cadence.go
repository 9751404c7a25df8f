package load

import (
	"runtime"
	"time"
)

// Bounds of the pacer's shortest wait. The upper one is reached at 20,000 arrivals per second.
const (
	shortestWait = 100 * time.Microsecond
	longestGroup = 280 * time.Microsecond
	// longestExpress is longestGroup where the pacer sends the arrivals itself, which are less late for that.
	longestExpress = 340 * time.Microsecond
)

// Rates, in arrivals per second: at fullGroups groups are as long as they may be, and from denseRate on the pacer sends
// arrivals itself.
const (
	fullGroups = 20_000
	denseRate  = fullGroups / 2
)

// cadencePeriod is the time over which the rate is counted.
const cadencePeriod = 50 * time.Millisecond

// The pacer is too busy to send arrivals itself when it rests for less than leastRest of its time in busyPeriods in a row; it
// tries again after calmPeriods.
const (
	leastRest   = 0.4
	busyPeriods = 10
	calmPeriods = 200
)

// cadence says how long the pacer waits at least. A wait costs system calls here, and requests that come
// one by one wake the server for each; arrivals that are closer together than the wait are started
// together, at most so much after their time, which the schedule lag tells. So the wait grows with the rate: it
// is short where that costs little, and takes a quarter off the processor time of a request where many thousands come.
// It also says whether the pacer may send arrivals itself. The pacer's goroutine owns it.
type cadence struct {
	since   time.Duration // run time at which the count began
	started int64         // iterations started since the beginning, at that time
	own     int64         // of them those that the pacer sent itself
	rested  time.Duration // of the present period
	least   time.Duration

	dense   float64 // arrivals per second from which on the pacer sends them itself
	express bool    // it does
	busy    int     // periods in a row in which it hardly rested
	calm    int     // periods for which it does not try again
}

func newCadence() cadence { return cadence{dense: denseRate} }

// wait returns the shortest wait at run time now, when so many iterations have been started in all, and so many of them by
// the pacer itself.
func (c *cadence) wait(now time.Duration, started, own int64) time.Duration {
	passed := now - c.since
	if c.least == 0 || passed >= cadencePeriod {
		rate := 0.0
		if passed > 0 && c.least != 0 {
			rate = float64(started-c.started) / passed.Seconds()
			c.judge(rate, float64(c.rested)/float64(passed), int(passed/cadencePeriod))
		}
		longest := longestGroup
		if c.express && 2*(own-c.own) >= started-c.started { // what others start is later by what it takes to wake them
			longest = longestExpress
		}
		c.least = min(max(shortestWait, time.Duration(rate*float64(longest)/fullGroups)), longest)
		c.since, c.started, c.own, c.rested = now, started, own, 0
	}
	return c.least
}

// judge decides whether the pacer may send arrivals itself, after so many periods with that rate in which it rested for that
// share of the time. On one processor it may however busy it is: what it saves is saved for all. On several it must
// leave them their part when it cannot do all by itself.
func (c *cadence) judge(rate, rested float64, periods int) {
	c.calm = max(0, c.calm-periods)
	switch {
	case !c.express || rested >= leastRest || runtime.GOMAXPROCS(0) == 1:
		c.busy = 0
	default:
		c.busy += periods
	}
	if c.busy >= busyPeriods {
		c.busy, c.calm = 0, calmPeriods
	}
	c.express = rate >= c.dense && c.calm == 0
}

// rest notes that the pacer has rested.
func (c *cadence) rest(d time.Duration) { c.rested += d }
