package guard

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Options are what a Guard needs. Path, Args, Ward and Logger are required.
type Options struct {
	// Path is the program of the guard, Args its arguments, of which the first is its own name. It must call
	// Persist, and Watch with its standard input for the pipe.
	Path string
	Args []string
	// Ward is what the guard is told first; its PID is set to that of this process.
	Ward    Ward
	Restart time.Duration // how long after the end of a guard another one is started; 0: 5 s
	Logger  hclog.Logger
}

// Guard is the worker's end: it starts the guard process, tells it what changes, and starts another one if
// it ends. All methods may be called concurrently. A nil Guard guards nothing.
type Guard struct {
	opts Options
	log  hclog.Logger

	mu   sync.Mutex
	ward Ward
	pipe *os.File  // nil: no guard runs
	proc *exec.Cmd // nil: no guard runs

	quit    chan struct{} // closed by Dismiss
	once    sync.Once
	tending sync.WaitGroup
}

const (
	restartEvery = 5 * time.Second
	// tellTime bounds how long the worker waits for a guard that does not read.
	tellTime = time.Second
	// dismissTime bounds how long it waits for one that does not end.
	dismissTime = 2 * time.Second
)

// New returns a guard for this process that is not there yet.
func New(opts Options) *Guard {
	opts.Ward.PID = os.Getpid()
	opts.Restart = cmp.Or(opts.Restart, restartEvery)
	return &Guard{opts: opts, log: opts.Logger.Named("guard"), ward: opts.Ward, quit: make(chan struct{})}
}

// Start starts the process; call it once. What keeps it from running is logged, and is no reason not to
// work: without it the death of this worker is noticed when its lease is over. The caller must call Dismiss.
func (g *Guard) Start() {
	if g == nil {
		return
	}
	err := g.launch()
	g.tending.Go(func() { g.tend(err) })
}

// Lives tells the guard which life the worker has. It waits for a second at most.
func (g *Guard) Lives(l Life) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ward.Life == l {
		return
	}
	g.ward.Life = l
	g.tell()
}

// Dismiss ends the guard, whose worker ends in order, and waits for its end.
func (g *Guard) Dismiss() {
	if g == nil {
		return
	}
	g.once.Do(func() {
		close(g.quit)
		g.mu.Lock()
		g.ward.Dismissed = true
		g.tell()
		g.hangUp()
		proc := g.proc
		g.mu.Unlock()
		if proc != nil {
			timer := time.AfterFunc(dismissTime, func() { _ = proc.Process.Kill() })
			defer timer.Stop()
		}
		g.tending.Wait()
	})
}

// tend waits for the end of the guard, and starts another one unless it was dismissed. err says that the
// first one could not be started.
func (g *Guard) tend(err error) {
	for {
		if err == nil {
			err = g.wait()
		}
		select {
		case <-g.quit:
			return
		default:
		}
		g.log.Warn("this worker has no guard: its death would be noticed when its lease is over", "retry_in", g.opts.Restart, "error", err)
		select {
		case <-time.After(g.opts.Restart):
		case <-g.quit:
			return
		}
		err = g.launch()
	}
}

// wait waits for the end of the guard that runs.
func (g *Guard) wait() error {
	g.mu.Lock()
	proc := g.proc
	g.mu.Unlock()
	err := proc.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hangUp()
	g.proc = nil
	return cmp.Or(err, errEnded)
}

var errEnded = errors.New("the guard process has ended")

// launch starts a guard and tells it all. The pipe has no other holder: files are closed when this process
// starts programs, and the guard has but the reading end.
func (g *Guard) launch() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.quit:
		return errEnded
	default:
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe to the guard: %w", err)
	}
	proc := &exec.Cmd{Path: g.opts.Path, Args: g.opts.Args, Stdin: read, Stderr: os.Stderr, SysProcAttr: apart()}
	err = proc.Start()
	_ = read.Close() // the guard has its own
	if err != nil {
		_ = write.Close()
		return fmt.Errorf("start the guard: %w", err)
	}
	g.proc, g.pipe = proc, write
	g.tell()
	return nil
}

// tell sends all that the guard shall know. One that does not read is left alone: it sees the end of the
// pipe then, and does nothing while this process lives. The caller holds mu.
func (g *Guard) tell() {
	if g.pipe == nil {
		return
	}
	line, err := json.Marshal(g.ward)
	if err == nil {
		err = g.pipe.SetWriteDeadline(time.Now().Add(tellTime))
	}
	if err == nil {
		_, err = g.pipe.Write(append(line, '\n'))
	}
	if err != nil {
		g.log.Warn("guard not told", "error", err)
		g.hangUp()
	}
}

// hangUp closes the pipe. The caller holds mu.
func (g *Guard) hangUp() {
	if g.pipe != nil {
		_ = g.pipe.Close() // nothing was left to be written
		g.pipe = nil
	}
}
