package load

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// preciseWaiter waits on a timer of the kernel, read through the runtime's poller: its expiry ends
// the poller's wait at once, while the runtime's own timers are rounded up to whole milliseconds in
// an idle program. It holds neither a thread nor a processor while it waits.
type preciseWaiter struct {
	latch latch
	file  *os.File
	fd    int
	buf   [8]byte
}

// newPreciseWaiter returns the most precise Waiter of this system.
func newPreciseWaiter() (Waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	return &preciseWaiter{file: os.NewFile(uintptr(fd), "pacer"), fd: fd}, nil
}

// Wait implements Waiter.
func (w *preciseWaiter) Wait(d time.Duration) {
	if d <= 0 || !w.latch.arm(func() { w.set(d) }) {
		return
	}
	if _, err := w.file.Read(w.buf[:]); err != nil {
		time.Sleep(d) // not seen; better late than in a busy loop
	}
	w.latch.clear()
}

// Wake implements Waiter.
func (w *preciseWaiter) Wake() { w.latch.wake(func() { w.set(1) }) }

// set arms the timer; the descriptor is valid for as long as the latch is not closed.
func (w *preciseWaiter) set(d time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(w.fd, 0, &spec, nil); err != nil {
		panic(fmt.Sprintf("load: arm timer: %v", err)) // a valid descriptor and a positive time cannot be refused
	}
}

// Close implements Waiter.
func (w *preciseWaiter) Close() error {
	if !w.latch.close() {
		return nil
	}
	return w.file.Close()
}
