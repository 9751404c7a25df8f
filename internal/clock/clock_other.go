//go:build !linux

package clock

// Nanos returns nanoseconds since this process began.
func Nanos() int64 { return fallback() }
