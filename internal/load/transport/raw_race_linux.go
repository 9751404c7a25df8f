//go:build race

package transport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveNow is recvmsg. The empty read that follows it tells the race detector that whoever sent did so before.
func receiveNow(fd int, m *unix.Msghdr) (n int, errno syscall.Errno) {
	r, _, errno := syscall.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), 0)
	if errno == 0 {
		_, _ = syscall.Read(fd, nil)
	}
	return int(r), errno
}
