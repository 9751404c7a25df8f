package transport

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewCollector returns a Collector.
func NewCollector() (*Collector, error) {
	s := pollSet{fd: noFile, clock: noFile, events: make([]unix.EpollEvent, 256)}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("collect answers: %w", errors.Join(err, s.close()))
	}
	return &Collector{poll: s}, nil
}

// pollSet is the descriptors of a Collector.
type pollSet struct {
	fd     int
	clock  int // a socket of the network that makes the kernel note times, which it begins with only some time after it was asked
	events []unix.EpollEvent
}

func (s *pollSet) open() (err error) {
	if s.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if s.clock, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	return noteTimes(s.clock, 1)
}

// noteTimes has the kernel note when what comes to a socket came, or not.
func noteTimes(fd, on int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, on))
}

// adopt returns another descriptor of the socket, of whose data the kernel notes from here on when they came.
func (s *pollSet) adopt(fd int) (int, error) {
	if err := noteTimes(fd, 1); err != nil {
		return noFile, err
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return own, os.NewSyscallError("fcntl", err)
}

// add watches a descriptor until it is closed.
func (s *pollSet) add(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.fd, unix.EPOLL_CTL_ADD, fd, &e))
}

// remove ends that before the descriptor is closed, for there is another one of the socket.
func (s *pollSet) remove(fd int) {
	_ = unix.EpollCtl(s.fd, unix.EPOLL_CTL_DEL, fd, nil) // it is there
	_ = noteTimes(fd, 0)
}

// ends are the events that tell of the end of a connection.
const ends = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// ready calls f with each descriptor of which something is new: whether something came, and whether that is the end.
func (s *pollSet) ready(f func(fd int, came, ended bool)) {
	for {
		// Past the scheduler, as in ReadNow: it does not wait.
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.fd), uintptr(unsafe.Pointer(&s.events[0])), uintptr(len(s.events)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return // a valid descriptor and array cannot be refused
		}
		for i := range int(n) {
			f(int(s.events[i].Fd), s.events[i].Events&(unix.EPOLLIN|ends) != 0, s.events[i].Events&ends != 0)
		}
		if int(n) < len(s.events) {
			return
		}
	}
}

func (s *pollSet) close() error {
	var errs []error
	for _, fd := range []int{s.fd, s.clock} {
		if fd != noFile {
			errs = append(errs, os.NewSyscallError("close", unix.Close(fd)))
		}
	}
	return errors.Join(errs...)
}

// message is the memory of one recvmsg.
type message struct {
	header  unix.Msghdr
	vector  unix.Iovec
	control [64]byte
}

// receive reads what has come, and returns when the last of it came, by the wall clock in nanoseconds; 0 if the
// kernel does not say.
func (m *message) receive(fd int, p []byte) (n int, at int64, errno syscall.Errno) {
	m.vector.Base = unsafe.SliceData(p)
	m.vector.SetLen(len(p))
	m.header = unix.Msghdr{Iov: &m.vector, Control: &m.control[0]}
	m.header.SetIovlen(1)
	m.header.SetControllen(len(m.control))
	n, errno = receiveNow(fd, &m.header)
	m.vector.Base = nil
	if errno != 0 || int(m.header.Controllen) < unix.CmsgLen(int(unsafe.Sizeof(unix.Timespec{}))) {
		return n, 0, errno
	}
	head := (*unix.Cmsghdr)(unsafe.Pointer(&m.control[0]))
	if head.Level != unix.SOL_SOCKET || head.Type != unix.SCM_TIMESTAMPNS {
		return n, 0, 0
	}
	return n, (*unix.Timespec)(unsafe.Pointer(&m.control[unix.CmsgLen(0)])).Nano(), 0
}

// quiet reports whether a connection has nothing to say and has not ended.
func quiet(fd int) bool {
	var p [1]byte
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno == unix.EAGAIN || errno == unix.EINTR
}
