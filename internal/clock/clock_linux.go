package clock

import "golang.org/x/sys/unix"

// Nanos returns CLOCK_BOOTTIME in nanoseconds: the same for every process of one boot of the machine.
func Nanos() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fallback()
	}
	return ts.Nano()
}
