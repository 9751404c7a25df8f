package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock reads CLOCK_BOOTTIME. Unlike the clock behind time.Since it keeps counting while the
// machine is suspended, which a lease does too.
func bootClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fallbackClock()
	}
	return time.Duration(ts.Nano())
}
