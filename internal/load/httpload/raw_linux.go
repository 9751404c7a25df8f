//go:build !race

package httpload

import (
	"syscall"
	"unsafe"
)

// rawRead and rawWrite are system calls on a socket that never waits. They do not tell the scheduler, which otherwise
// wakes its monitor thread at the first call after each idle moment, to have the processor taken from a call that
// blocks. At some thousand requests a second that thread's wake-ups cost more than the calls.
func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}
