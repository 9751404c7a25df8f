package load

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"proofload/internal/load/transport"
)

// preciseWaiter waits on a timer of the kernel, read through the runtime's poller: its expiry ends
// the poller's wait at once, while the runtime's own timers are rounded up to whole milliseconds in
// an idle program. It holds neither a thread nor a processor while it waits.
type preciseWaiter struct {
	latch latch
	file  *os.File
	raw   syscall.RawConn
	fd    int
	buf   [8]byte

	onReady func(fd uintptr) bool // ready, bound once: binding allocates
	wanted  time.Duration         // of the present Wait, until the timer is armed; then 0
}

// newPreciseWaiter returns the most precise Waiter of this system.
func newPreciseWaiter() (Waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	w := &preciseWaiter{file: os.NewFile(uintptr(fd), "pacer"), fd: fd}
	w.onReady = w.ready
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for timer: %w", err), w.file.Close())
	}
	return w, nil
}

// Wait implements Waiter.
func (w *preciseWaiter) Wait(d time.Duration) {
	if d <= 0 {
		return
	}
	w.wanted = d
	if err := w.raw.Read(w.onReady); err != nil && !w.latch.isClosed() {
		time.Sleep(d) // not seen; better late than in a busy loop
	}
	w.latch.clear()
}

// ready is called by the poller until it returns true. The timer is armed in its first call, when its expiry cannot be
// missed any more, which saves the read that would only find that it has not expired yet.
func (w *preciseWaiter) ready(fd uintptr) bool {
	if d := w.wanted; d != 0 {
		w.wanted = 0
		return !w.latch.arm(func() { w.set(d) })
	}
	_, errno := transport.ReadNow(int(fd), w.buf[:])
	return errno != syscall.EAGAIN
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
