//go:build linux

// Command leantarget is an HTTP/1.1 server for comparisons in which the server shall cost as little as it can: one
// thread that waits for all connections at once and answers each request that has no body with two bytes. It does
// not look at what a request says. Its argument is the address that it listens on.
package main

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// end is that of the head of a request.
const end = "\r\n\r\n"

var answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: leantarget ADDRESS")
	}
	runtime.LockOSThread()
	s := &server{seen: map[int32]int{}}
	if err := s.listen(args[0]); err != nil {
		return fmt.Errorf("listen on %s: %w", args[0], err)
	}
	return s.serve()
}

// server waits for its listener and its connections with one epoll.
type server struct {
	listener, epoll int
	seen            map[int32]int // how much of the end of a head has come, by connection
	buf             [64 << 10]byte
}

func (s *server) listen(address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !addr.Addr().Is4() {
		return fmt.Errorf("the address is not one of IPv4")
	}
	const flags = syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
	if s.listener, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|flags, 0); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(s.listener, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(s.listener, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return err
	}
	if err := syscall.Listen(s.listener, syscall.SOMAXCONN); err != nil {
		return err
	}
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	return s.watch(s.listener)
}

func (s *server) watch(fd int) error {
	return syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}) //nolint:gosec // a descriptor is small
}

func (s *server) serve() error {
	var events [256]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(s.epoll, events[:], -1)
		if err != nil && err != syscall.EINTR { //nolint:errorlint // a number of the kernel
			return fmt.Errorf("wait: %w", err)
		}
		for i := range max(n, 0) {
			if fd := events[i].Fd; int(fd) == s.listener {
				err = s.accept()
			} else {
				s.talk(fd)
				err = nil
			}
			if err != nil {
				return err
			}
		}
	}
}

func (s *server) accept() error {
	for {
		fd, _, err := syscall.Accept4(s.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
		case syscall.EAGAIN:
			return nil
		case syscall.ECONNABORTED, syscall.EINTR:
			continue
		default:
			return fmt.Errorf("accept: %w", err)
		}
		// Answers that wait for their acknowledgements would be timed instead of the client.
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("connection: %w", err)
		}
		if err := s.watch(fd); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
}

// talk answers what has come on a connection. One whose client does not read is ended.
func (s *server) talk(fd int32) {
	n, err := syscall.Read(int(fd), s.buf[:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	requests := 0
	if n > 0 {
		requests = s.heads(fd, s.buf[:n])
	}
	for range requests {
		if wrote, err := syscall.Write(int(fd), answer); err != nil || wrote < len(answer) {
			n = 0
			break
		}
	}
	if n <= 0 {
		delete(s.seen, fd)
		_ = syscall.Close(int(fd)) // there is nobody to tell
	}
}

// heads returns how many heads end in the next bytes of a connection.
func (s *server) heads(fd int32, p []byte) int {
	found, seen := 0, s.seen[fd]
	was := seen
	for _, b := range p {
		switch b {
		case end[seen]:
			seen++
		case end[0]:
			seen = 1
		default:
			seen = 0
		}
		if seen == len(end) {
			found, seen = found+1, 0
		}
	}
	if seen != was {
		s.seen[fd] = seen
	}
	return found
}
