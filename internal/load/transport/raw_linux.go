//go:build !race

package transport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadNow reads from a descriptor that never waits, and WriteNow writes to one. n is negative where errno is not 0.
//
// They do not tell the scheduler of the system call, which otherwise wakes its monitor thread at the first call after
// each idle moment, to have the processor taken from a call that blocks. At some thousand requests a second that
// thread's wake-ups cost more than the calls.
func ReadNow(fd int, p []byte) (n int, errno syscall.Errno) { return now(syscall.SYS_READ, fd, p) }

// WriteNow is like ReadNow.
func WriteNow(fd int, p []byte) (n int, errno syscall.Errno) { return now(syscall.SYS_WRITE, fd, p) }

func now(call uintptr, fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// receiveNow is recvmsg in the way of ReadNow.
func receiveNow(fd int, m *unix.Msghdr) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), 0)
	return int(r), errno
}
