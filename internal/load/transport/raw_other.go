//go:build !linux || race

package transport

import "syscall"

// ReadNow reads from a descriptor that never waits, and WriteNow writes to one. n is negative where errno is not 0.
//
// The race detector takes what goes through the kernel for synchronised where syscall does it, and only there.
func ReadNow(fd int, p []byte) (n int, errno syscall.Errno) { return numbered(syscall.Read(fd, p)) }

// WriteNow is like ReadNow.
func WriteNow(fd int, p []byte) (n int, errno syscall.Errno) { return numbered(syscall.Write(fd, p)) }

func numbered(n int, err error) (int, syscall.Errno) {
	errno, _ := err.(syscall.Errno) // what syscall returns is one, or nil
	return n, errno
}
