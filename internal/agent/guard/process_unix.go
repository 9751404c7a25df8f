//go:build unix

package guard

import (
	"os"
	"os/signal"
	"syscall"
)

// apart starts a process in a session of its own: what is meant for the worker's terminal or process group
// does not reach it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Persist makes this process ignore the signals that ask a worker to end: who sends them to every process
// that belongs to it, as service managers do, means the worker, and the guard ends when that has.
func Persist() { signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT) }

// Orphaned reports whether the parent of this process has ended, if pid was the parent. A number can be
// given to another process, a parent cannot: no process becomes the parent of a child that it did not start,
// but for the one that inherits orphans.
func Orphaned(pid int) bool { return os.Getppid() != pid }
