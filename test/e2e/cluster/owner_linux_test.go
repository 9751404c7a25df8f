package cluster

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// ownerAmong returns a function that tells which of some processes has opened a connection to a listener of this
// process; 0: none of them. It looks the connection up in the kernel's table.
func ownerAmong(pids func() []int) func(net.Conn) int {
	return func(conn net.Conn) int {
		inode := inodeOf(conn)
		if inode == "" {
			return 0
		}
		for _, pid := range pids() {
			open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
			if err != nil {
				continue
			}
			for _, one := range open {
				if to, err := os.Readlink(one); err == nil && to == "socket:["+inode+"]" {
					return pid
				}
			}
		}
		return 0
	}
}

// inodeOf returns the inode of the other end of a connection on IPv4's loopback.
func inodeOf(conn net.Conn) string {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	theirs, ours := kernelAddress(conn.RemoteAddr()), kernelAddress(conn.LocalAddr())
	for line := range strings.Lines(string(table)) {
		// Number, own address, the other's, state, queues, timer, retransmits, user, timeout, inode.
		if fields := strings.Fields(line); len(fields) > 9 && fields[1] == theirs && fields[2] == ours {
			return fields[9]
		}
	}
	return ""
}

// kernelAddress writes an address as the kernel's table does on a little-endian machine.
func kernelAddress(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp.IP.To4() == nil {
		return ""
	}
	ip := tcp.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
}

// children returns the processes that this one has started.
func (p *process) children(t *testing.T) (out []*os.Process) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the first is field 3
		if fields[1] != strconv.Itoa(p.cmd.Process.Pid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		child, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, child)
	}
	if len(out) == 0 {
		t.Fatalf("%s has no guard", p.name)
	}
	return out
}
