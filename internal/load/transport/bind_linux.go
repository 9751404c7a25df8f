package transport

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lateBind lets the kernel choose the port of a socket that is bound to an address only when it connects, so
// that each source has its ports for every target and not once for all.
func lateBind(network, _ string, c syscall.RawConn) error {
	if len(network) < 3 || network[:3] != "tcp" {
		return nil
	}
	// A kernel that does not know the option chooses at once, as ever.
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) })
}
