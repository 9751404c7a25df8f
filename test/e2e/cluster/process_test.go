package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// endsWithin bounds how long a process may take to end after it was told to.
const endsWithin = 30 * time.Second

// process is one program of the cluster. It can be ended in different ways and started again with the
// same arguments. All of its lives write to one log.
type process struct {
	name    string
	program string
	args    []string
	log     string

	cmd   *exec.Cmd // nil: not running
	ended chan error
	pid   atomic.Int64 // of the present or last life
}

// newProcess describes a program that writes its log below dir; start runs it. The test's end kills it.
func newProcess(t *testing.T, dir, name string, program []string) *process {
	t.Helper()
	p := &process{name: name, program: program[0], args: program[1:], log: filepath.Join(dir, name+".log")}
	t.Cleanup(func() { p.kill(t) })
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd := exec.Command(filepath.Join(programs, p.program), p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	p.cmd, p.ended = cmd, make(chan error, 1)
	p.pid.Store(int64(cmd.Process.Pid))
	go func() { p.ended <- cmd.Wait() }()
}

// kill ends the process at once, also a frozen one. One that does not run is left alone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	p.signal(t, syscall.SIGKILL)
	<-p.ended
	p.cmd = nil
}

// interrupt asks the process to end, and fails the test unless it does so in order.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGINT)
	p.ends(t)
}

// ends waits for the process to end after it was told to, and fails the test unless it does so in order.
func (p *process) ends(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		p.cmd = nil
	case <-time.After(endsWithin):
		t.Errorf("%s has not ended %v after it was told to", p.name, endsWithin)
		p.kill(t)
	}
}

// freeze stops the process where it stands, thaw lets it go on.
func (p *process) freeze(t *testing.T) { t.Helper(); p.signal(t, syscall.SIGSTOP) }
func (p *process) thaw(t *testing.T)   { t.Helper(); p.signal(t, syscall.SIGCONT) }

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Errorf("%s: %v: %v", p.name, s, err)
	}
}
