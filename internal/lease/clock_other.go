//go:build !linux

package lease

import "time"

// bootClock reads the process's monotonic clock. Where that stands still while the machine is
// suspended, a leader that wakes up learns of its loss from its first fenced write.
func bootClock() time.Duration { return fallbackClock() }
