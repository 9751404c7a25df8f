package clock

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Nanos returns CLOCK_BOOTTIME in nanoseconds: the same for every process of one boot of the machine.
func Nanos() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fallback()
	}
	return ts.Nano()
}

// Boot names the time during which readings of Nanos can be compared, by whichever process of this
// machine: the boot, and the namespace of clocks, which containers may have of their own. It is empty
// when it cannot be told.
func Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		space = "" // a kernel that has none
	}
	return strings.TrimSpace(string(id)) + " " + space
}
