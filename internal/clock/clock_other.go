//go:build !linux

package clock

// Nanos returns nanoseconds since this process began.
func Nanos() int64 { return fallback() }

// Boot names the time during which readings of Nanos can be compared by several processes: here there is
// none, because each counts from its own beginning.
func Boot() string { return "" }
