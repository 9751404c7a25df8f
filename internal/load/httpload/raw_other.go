//go:build !linux || race

package httpload

import "syscall"

// The race detector takes what goes through the kernel for synchronised where syscall does it, and only there.

func rawRead(fd int, p []byte) (int, syscall.Errno) { return numbered(syscall.Read(fd, p)) }

func rawWrite(fd int, p []byte) (int, syscall.Errno) { return numbered(syscall.Write(fd, p)) }

func numbered(n int, err error) (int, syscall.Errno) {
	errno, _ := err.(syscall.Errno) // what syscall returns is one, or nil
	return n, errno
}
