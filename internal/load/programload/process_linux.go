package programload

import (
	"os/exec"
	"slices"
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

// ask asks the program and its descendants to end, and remembers these: of a program that has ended, those that do not
// bear its mark cannot be found.
func (p *process) ask() {
	p.asked = p.descendants()
	p.signal(p.asked, unix.SIGTERM)
}

// kill ends the program and its descendants.
func (p *process) kill() { p.signal(p.descendants(), unix.SIGKILL) }

// killGroup ends what a program that has ended has left in its group; it is nobody's parent any more.
func (p *process) killGroup() { p.signal(nil, unix.SIGKILL) }

// killRest ends those that were asked to end and have not, what is below them, and what killLeft ends.
func (p *process) killRest() {
	now := look()
	var found []descendant
	for _, d := range p.asked {
		if d.lives() { // looked up after its children were: they are its own
			found = append(append(found, d), now.below(d.pid)...)
		}
	}
	signal(oldestFirst(found), unix.SIGKILL)
	p.killLeft()
}

// killLeft ends what bears the mark of a program that has ended, and what that has started meanwhile.
func (p *process) killLeft() {
	const looks = 3 // who starts others faster than that is not to be had by signals
	for range looks {
		found := oldestFirst(look().bearing(p.mark))
		if len(found) == 0 {
			return
		}
		signal(found, unix.SIGKILL)
	}
}

// descendants returns the processes below the program, whatever group they are in, and those that bear its mark.
// They are looked up before its group gets a signal: then those that do not are nobody's.
func (p *process) descendants() []descendant {
	now := look()
	found := append(now.below(p.pid), now.bearing(p.mark)...)
	return oldestFirst(slices.DeleteFunc(found, func(d descendant) bool { return d.pid == p.pid }))
}

// signal sends a signal to the program's group, and to processes.
func (p *process) signal(also []descendant, s unix.Signal) {
	_ = unix.Kill(-p.pid, s) // what has ended meanwhile needs no signal
	signal(also, s)
}

func signal(all []descendant, s unix.Signal) {
	for _, d := range all {
		if d.lives() {
			_ = unix.Kill(d.pid, s) // as in process.signal
		}
	}
}
