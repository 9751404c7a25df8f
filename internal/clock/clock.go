// Package clock reads the machine's monotonic clock, the one that goes on while the machine sleeps:
// a lease must not last longer because the lid was closed.
package clock

import "time"

var start = time.Now()

// instant returns monotonic time since the process began, and the same as an instant. Its wall clock is that of the
// beginning and what has passed since: what time.Now would read of it, by a second look, is not worth the time to
// who only measures.
func instant() (int64, time.Time) {
	passed := time.Since(start)
	return int64(passed), start.Add(passed)
}

// fallback is monotonic time since the process began.
func fallback() int64 { return int64(time.Since(start)) }
