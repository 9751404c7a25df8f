package guard

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// firstMain stands for process 1 of a container: it inherits orphans, and its end would end them.
func firstMain(args []string) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	code, err := First(path, append([]string{"w1", "worker"}, args...))
	if err != nil {
		panic(err)
	}
	os.Exit(code)
}

// TestFirstOutlivesTheGuard proves that process 1 of a container ends with the worker's exit code, and not before
// the guard has told of its death.
func TestFirstOutlivesTheGuard(t *testing.T) {
	for _, row := range []struct {
		word string
		code int
		dead bool
	}{
		{"kill", 128 + int(syscall.SIGKILL), true},
		{"exit", 3, true},
		{"bye", 0, false},
	} {
		t.Run(row.word, func(t *testing.T) {
			leader := &registrar{}
			cmd, in, out := startFirst(t, leader.serve(t))
			fmt.Fprintln(in, "pid") // answered when the guard runs
			if !out.Scan() {
				t.Fatal("the worker says nothing")
			}
			if row.word == "kill" {
				kill(t, childOf(t, cmd.Process.Pid))
			} else {
				fmt.Fprintln(in, row.word)
			}
			ends(t, cmd)
			if got := cmd.ProcessState.ExitCode(); got != row.code {
				t.Errorf("exit code %d, want %d", got, row.code)
			}
			select {
			case <-leader.deaths:
				if !row.dead {
					t.Error("an obituary of a worker that ended in order")
				}
			default:
				if row.dead {
					t.Error("process 1 ended before the guard had told of the death")
				}
			}
		})
	}
}

// TestFirstPassesSignalsOn proves that process 1 ends with the worker that it told to end.
func TestFirstPassesSignalsOn(t *testing.T) {
	leader := &registrar{}
	cmd, in, out := startFirst(t, leader.serve(t))
	fmt.Fprintln(in, "pid")
	out.Scan()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil { // which this worker does not handle
		t.Fatal(err)
	}
	ends(t, cmd)
	if got, want := cmd.ProcessState.ExitCode(), 128+int(syscall.SIGTERM); got != want {
		t.Errorf("exit code %d, want %d", got, want)
	}
}

func startFirst(t *testing.T, leader string) (*exec.Cmd, io.Writer, *bufio.Scanner) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "first", leader)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, in, bufio.NewScanner(out)
}

// ends waits for the end of a process.
func ends(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("process 1 has not ended")
	}
}

// childOf returns the only child of a process.
func childOf(t *testing.T, pid int) (child int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // a child is that of a thread
	if err != nil || len(threads) == 0 {
		t.Skipf("the kernel does not tell the children of a process: %v", err)
	}
	for _, name := range threads {
		if data, err := os.ReadFile(name); err == nil && len(data) > 0 {
			if _, err := fmt.Sscan(string(data), &child); err != nil {
				t.Fatalf("children %q: %v", data, err)
			}
		}
	}
	if child == 0 {
		t.Fatalf("process %d has no child", pid)
	}
	return child
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
