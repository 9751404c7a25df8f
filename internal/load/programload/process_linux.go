package programload

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes makes a program the leader of a group of its own, which dies with the worker.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func signalName(s syscall.Signal) string { return unix.SignalName(s) }

// await waits until the program has ended and leaves it as it is: while it is not reaped, its number, which is
// its group's, is nobody else's.
func (p *process) await(*exec.Cmd) {
	for unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// reap takes what is left of the program.
func (p *process) reap(cmd *exec.Cmd) error {
	p.reaped = cmd.Wait()
	return p.reaped
}

// ask asks the program and its descendants to end.
func (p *process) ask() { p.signal(unix.SIGTERM) }

// kill ends the program and its descendants.
func (p *process) kill() { p.signal(unix.SIGKILL) }

func (p *process) signal(s unix.Signal) {
	below := descendants(p.pid)
	_ = unix.Kill(-p.pid, s) // what has ended meanwhile needs no signal
	for _, pid := range below {
		_ = unix.Kill(pid, s)
	}
}

// descendants returns the processes below one, whatever group they are in.
func descendants(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// The name stands in brackets and may hold anything; what follows its last bracket is state and parent.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(string(fields[1])); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	var all []int
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return all
}
