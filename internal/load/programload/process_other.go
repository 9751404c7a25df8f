//go:build unix && !linux

package programload

import (
	"os/exec"
	"syscall"
)

// attributes makes a program the leader of a group of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func signalName(s syscall.Signal) string { return s.String() }

// await waits until the program has ended.
func (p *process) await(cmd *exec.Cmd) { p.reaped = cmd.Wait() }

// reap returns what await has found.
func (p *process) reap(*exec.Cmd) error { return p.reaped }

// ask asks the program's group to end.
func (p *process) ask() { _ = syscall.Kill(-p.pid, syscall.SIGTERM) }

// kill ends the program's group.
func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

// killGroup is kill.
func (p *process) killGroup() { p.kill() }

// descendant would be a process below the program; they are not looked for here.
type descendant struct{}

// killRest does nothing: only the group was asked to end, and it was killed.
func (p *process) killRest() {}

// killLeft does nothing, as nobody is looked for here.
func (p *process) killLeft() {}
