//go:build unix

package guard

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// First is process 1 of a container on behalf of a worker: when process 1 ends, the kernel kills all that is left
// there, and that would be the guard. So First runs the worker as its child, passes signals on to it, and ends
// with its exit code once all other processes have ended, too: the guard has told of the worker by then, or given
// up. An init process of the engine (`docker run --init`) is no help, for it ends with its child.
//
// A signal that comes after the worker's end ends First at once. It must be called before this process starts any
// other, as it waits for them all.
func First(path string, args []string) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	// In a process group of its own: a Ctrl-C at a terminal would come from there and from here, and the second
	// one ends a worker at once.
	child, err := os.StartProcess(path, args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start the worker: %w", err)
	}
	ended, all := make(chan syscall.WaitStatus, 1), make(chan struct{})
	go func() { // ends with the last child, or with this process
		defer close(all)
		reap(child.Pid, ended)
	}()
	code, lives := 0, true
	for {
		select {
		case status := <-ended:
			code, lives = exitCode(status), false
		case s := <-signals:
			if !lives {
				return code, nil
			}
			_ = child.Signal(s) // it may be ending
		case <-all:
			select {
			case status := <-ended:
				code = exitCode(status)
			default:
			}
			return code, nil
		}
	}
}

// reap waits for all children, those that were inherited among them, and tells how one of them ended.
func reap(pid int, ended chan<- syscall.WaitStatus) {
	for {
		var status syscall.WaitStatus
		switch got, err := syscall.Wait4(-1, &status, 0, nil); {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return // ECHILD: none is left
		case got == pid:
			ended <- status
		}
	}
}

// exitCode returns what a shell would.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
