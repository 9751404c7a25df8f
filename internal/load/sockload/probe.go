package sockload

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// look peeks at what has come on a socket; the number of bytes is at most 1.
func look(fd uintptr) (int, error) {
	var one [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// stale reports whether a connection that is to be used again is not what it was: closed by the peer, broken, or
// with bytes that nobody asked for. It takes nothing from the socket.
func stale(nc net.Conn) bool {
	raw, ok := rawOf(nc)
	if !ok {
		return false // not a socket of the system: it cannot be looked at
	}
	calm := false
	err := raw.Control(func(fd uintptr) {
		_, err := look(fd)
		calm = errors.Is(err, syscall.EAGAIN)
	})
	return err != nil || !calm
}

// readable waits until something has come on a socket, or its deadline. An error that the socket holds is taken.
func readable(nc net.Conn) error {
	raw, ok := rawOf(nc)
	if !ok {
		return nil
	}
	var found error
	err := raw.Read(func(fd uintptr) bool {
		_, found = look(fd)
		return !errors.Is(found, syscall.EAGAIN)
	})
	if err != nil {
		return err
	}
	if found != nil {
		return &net.OpError{Op: "read", Net: "udp", Err: os.NewSyscallError("recvfrom", found)}
	}
	return nil
}

func rawOf(nc net.Conn) (syscall.RawConn, bool) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := sc.SyscallConn()
	return raw, err == nil
}
