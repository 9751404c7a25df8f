package programload

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"slices"
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

// ask asks the program and its descendants to end, and remembers these: those of a program that has ended cannot be found.
func (p *process) ask() {
	p.asked = descendants(p.pid)
	signal(p.pid, p.asked, unix.SIGTERM)
}

// kill ends the program and its descendants.
func (p *process) kill() { signal(p.pid, descendants(p.pid), unix.SIGKILL) }

// killGroup ends what a program that has ended has left in its group; it is nobody's parent any more.
func (p *process) killGroup() { signal(p.pid, nil, unix.SIGKILL) }

// killAsked ends those that were asked to end and have not, and what is below them.
func (p *process) killAsked() {
	if !slices.ContainsFunc(p.asked, descendant.lives) {
		return
	}
	children := families()
	for _, d := range p.asked {
		if !d.lives() { // looked up after its children were: they are its own
			continue
		}
		for _, b := range below(d.pid, children) {
			_ = unix.Kill(b.pid, unix.SIGKILL) // what has ended meanwhile needs no signal
		}
		_ = unix.Kill(d.pid, unix.SIGKILL)
	}
}

// signal sends a signal to a group, and to processes.
func signal(group int, also []descendant, s unix.Signal) {
	_ = unix.Kill(-group, s) // as in killAsked
	for _, d := range also {
		_ = unix.Kill(d.pid, s)
	}
}

// descendant is a process, which its number and the time at which it was started name.
type descendant struct {
	pid    int
	began  string // in the kernel's time
	parent int
	ended  bool // and nobody has asked how
}

// lives reports whether the process has not ended yet.
func (d descendant) lives() bool {
	now, err := stat(d.pid)
	return err == nil && now.began == d.began && !now.ended // its number may be another's
}

// stat looks a process up.
func stat(pid int) (descendant, error) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return descendant{}, err
	}
	// The name stands in brackets and may hold anything; what follows its last bracket is state and parent, and some way
	// behind them the start.
	const state, parent, start = 0, 1, 19
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) <= start {
		return descendant{}, errors.New("the kernel says less of a process than it did")
	}
	of, err := strconv.Atoi(string(fields[parent]))
	return descendant{pid: pid, began: string(fields[start]), parent: of, ended: string(fields[state]) == "Z"}, err
}

// descendants returns the processes below one, whatever group they are in.
func descendants(root int) []descendant { return below(root, families()) }

// families returns the children of every process.
func families() map[int][]descendant {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]descendant{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if d, err := stat(pid); err == nil { // else it has ended
			children[d.parent] = append(children[d.parent], d)
		}
	}
	return children
}

// below returns the descendants of a process.
func below(root int, children map[int][]descendant) (all []descendant) {
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0].pid]...)
	}
	return all
}
