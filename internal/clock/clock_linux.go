package clock

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// compareEvery is how much time may pass between two looks at CLOCK_BOOTTIME itself, and so the most by
// which a reading is late after the machine has slept.
const compareEvery = int64(time.Millisecond)

// reader reads CLOCK_BOOTTIME for the price of the clock that Go reads without a system call. The two differ
// by the time that the machine has slept: by a number that only grows, and only then.
type reader struct {
	ahead    atomic.Int64 // CLOCK_BOOTTIME minus Go's monotonic time: at most the true difference
	compared atomic.Int64 // Go's monotonic time of the last look
}

var boottime = newReader()

func newReader() *reader {
	r := &reader{}
	r.ahead.Store(-1 << 62)
	r.compare()
	return r
}

// now returns the reading. Many goroutines may call it; no reading is before one that was returned earlier.
func (r *reader) now() int64 {
	return r.at(fallback())
}

// at is the reading at Go's monotonic time now, which has just been read.
func (r *reader) at(now int64) int64 {
	if now-r.compared.Load() >= compareEvery {
		r.compare()
	}
	return now + r.ahead.Load()
}

// compare looks at both clocks. Go's is read last, so that the difference is never taken for more than it
// is: it may grow with a later look, which took less time, but readings never go back.
func (r *reader) compare() {
	var ts unix.Timespec
	// Past the scheduler, which would wake its monitor thread for it: the call cannot wait.
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		r.raise(0) // no kernel that Go runs on is without it
		return
	}
	now := fallback()
	r.raise(ts.Nano() - now)
	r.compared.Store(now)
}

func (r *reader) raise(ahead int64) {
	for {
		old := r.ahead.Load()
		if ahead <= old || r.ahead.CompareAndSwap(old, ahead) {
			return
		}
	}
}

// Nanos returns CLOCK_BOOTTIME in nanoseconds: the same for every process of one boot of the machine. It
// never goes back; for a millisecond after the machine has slept it may lack that sleep.
func Nanos() int64 { return boottime.now() }

// Instant returns what Nanos does, and that instant for time spans; its wall clock is not kept up to date.
func Instant() (int64, time.Time) {
	now, at := instant()
	return boottime.at(now), at
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
