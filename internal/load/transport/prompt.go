package transport

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Prompt returns nc with reads and writes that do not tell the scheduler of their system calls, as ReadNow's do not;
// they wait in the runtime's poller as before. What is no connection of TCP is returned as it is. One goroutine may
// read at a time, and one write.
func Prompt(nc net.Conn) net.Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	raw, err := tcp.SyscallConn()
	if err != nil { // it is closed, which the first read says
		return nc
	}
	p := &promptConn{Conn: nc, raw: raw}
	p.onReadable, p.onWritable = p.tryRead, p.tryWrite
	return p
}

// promptConn is what Prompt returns.
type promptConn struct {
	net.Conn
	raw syscall.RawConn

	onReadable, onWritable func(fd uintptr) bool // tryRead and tryWrite, bound once: binding allocates

	in    []byte // of the present Read
	read  int
	inErr syscall.Errno

	out     []byte // of the present Write
	written int
	outErr  syscall.Errno
}

// Read implements io.Reader.
func (c *promptConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in, c.read, c.inErr = p, 0, 0
	err := c.raw.Read(c.onReadable)
	c.in = nil
	switch {
	case err != nil:
		return 0, err
	case c.inErr != 0:
		return 0, c.failed("read", c.inErr)
	case c.read == 0:
		return 0, io.EOF
	}
	return c.read, nil
}

func (c *promptConn) tryRead(fd uintptr) (done bool) {
	for {
		n, errno := ReadNow(int(fd), c.in)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		c.read, c.inErr = n, errno
		return true
	}
}

// Write implements io.Writer.
func (c *promptConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.out, c.written, c.outErr = p, 0, 0
	err := c.raw.Write(c.onWritable)
	c.out = nil
	if err == nil && c.outErr != 0 {
		err = c.failed("write", c.outErr)
	}
	return c.written, err
}

func (c *promptConn) tryWrite(fd uintptr) (done bool) {
	for c.written < len(c.out) {
		n, errno := WriteNow(int(fd), c.out[c.written:])
		switch errno {
		case 0:
			c.written += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.outErr = errno
			return true
		}
	}
	return true
}

func (c *promptConn) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}
