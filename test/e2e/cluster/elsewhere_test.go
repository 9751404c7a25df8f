package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// moveWorker takes a worker's host away, so that nobody can tell of its death, and starts a worker of the same
// name with another data directory, as on another machine. It is refused for as long as the first may live, and is
// then a new worker that gets a part.
func moveWorker(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	p.length = 40 * time.Second
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	i := tr.draws.IntN(workers)
	tr.await(at)
	c.workers[i].vanish(t)
	dead := time.Since(tr.t0)
	elsewhere := newProcess(t, c.dir, c.workers[i].name, append([]string{c.workers[i].program}, c.workers[i].args...))
	elsewhere.args[argument(t, elsewhere.args, "--data-dir")] = filepath.Join(c.dir, elsewhere.name+"-elsewhere-"+strconv.FormatUint(p.seed, 10))
	refused := elsewhere.insist(t, "is held by another worker on host")
	taken := time.Since(tr.t0) - at
	if refused == 0 || taken < p.grace {
		t.Errorf("a worker with the name of one that may live was refused %d times, and taken after %v", refused, taken)
	}
	tr.note = fmt.Sprintf("host of worker w%d gone at %.2f s, its name taken on another after %.1f s", i+1, at.Seconds(), taken.Seconds())
	o := tr.end(t)
	elsewhere.kill(t)
	c.workers[i].start(t) // the machine is back, and nobody has its name
	o.hurt(t, elsewhere.name, at, dead)
	o.lostAround(t, elsewhere.name, false)
	o.lives(t, elsewhere.name, 2)
	return o
}

// lives fails the test unless the report has so many lives of a worker with samples.
func (o outcome) lives(t *testing.T, worker string, want int) {
	t.Helper()
	n := 0
	for _, w := range o.report.Integrity.Workers {
		if w.ID == worker && w.Samples > 0 {
			n++
		}
	}
	if n != want {
		t.Errorf("%d lives of %s have samples, want %d: %+v", n, worker, want, o.report.Integrity.Workers)
	}
}

// argument returns the place of a flag's value.
func argument(t *testing.T, args []string, flag string) int {
	t.Helper()
	for i, arg := range args[:len(args)-1] {
		if arg == flag {
			return i + 1
		}
	}
	t.Fatalf("no %s among %q", flag, args)
	return 0
}

// insist starts the process again and again until it stays, and returns how often it was refused. What it says
// then must contain why.
func (p *process) insist(t *testing.T, why string) (refused int) {
	t.Helper()
	const stays = 3 * time.Second
	for end := time.Now().Add(comesWithin); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		p.start(t)
		select {
		case err := <-p.ended:
			p.cmd = nil
			refused++
			log, lerr := os.ReadFile(p.log)
			if err == nil || lerr != nil || !bytes.Contains(log, []byte(why)) {
				t.Fatalf("%s ended with %v and does not say %q: %v", p.name, err, why, lerr)
			}
		case <-time.After(stays):
			return refused
		}
	}
	t.Fatalf("%s was refused for %v", p.name, comesWithin)
	return refused
}

// vanish kills the process together with those that it has started, of which none gets to do anything: its machine
// is gone.
func (p *process) vanish(t *testing.T) {
	t.Helper()
	children := p.children(t)
	for _, child := range children {
		if err := child.Signal(syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
	}
	p.kill(t)
	for _, child := range children {
		if err := child.Kill(); err != nil {
			t.Error(err)
		}
	}
}
