//go:build !linux

package clock

import "time"

// Nanos returns nanoseconds since this process began.
func Nanos() int64 { return fallback() }

// Instant returns what Nanos does, and that instant for time spans; its wall clock is not kept up to date.
func Instant() (int64, time.Time) { return instant() }

// Boot names the time during which readings of Nanos can be compared by several processes: here there is
// none, because each counts from its own beginning.
func Boot() string { return "" }
