package lease

import "time"

var processStart = time.Now()

// fallbackClock is the monotonic clock of the Go runtime, counted from the start of the process.
func fallbackClock() time.Duration { return time.Since(processStart) }
