//go:build !linux

package load

// newPreciseWaiter returns the most precise Waiter of this system.
func newPreciseWaiter() (Waiter, error) { return NewTimerWaiter(), nil }
