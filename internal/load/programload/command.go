package programload

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"proofload/internal/load/transport"
)

// Defaults and bounds.
const (
	DefaultKillAfter = 2 * time.Second
	// MaxLine is the length in bytes from which a line is given as far as it was read, and as cut.
	MaxLine = 64 << 10
	// maxComplaint is how many bytes of what a program says on standard error an error shows.
	maxComplaint = 400
	// closing is how long standard output and error of a program that has ended may stay open before those who hold them
	// are looked for, which takes too long to be done at every end.
	closing = 50 * time.Millisecond
	// lingering is how long standard output may stay open when the program has ended and its group is killed.
	lingering = time.Second
)

const opExecute = "execute program"

// Mark is the variable in the environment of a program, and of its descendants, that tells them from all other processes: its
// value is that of one execution alone.
const Mark = "PROOFLOAD_EXECUTION"

// Command is one execution of a program.
type Command struct {
	Argv      []string // the first is the absolute path
	Env       []string // NAME=VALUE; one called Mark counts for nothing
	Stdin     []byte
	Limit     time.Duration // then it is ended and has failed with transport.KindNoExit
	KillAfter time.Duration // from being asked to end to being killed; 0: DefaultKillAfter
	// Line is told of each line of standard output, without its end, by the goroutine that called Execute. cut
	// says that the line was longer than MaxLine. The line is valid until Line returns.
	Line func(line []byte, cut bool)
}

// Result is what came of an execution.
type Result struct {
	Started time.Time // zero: it could not be started
	Ended   time.Time
	In, Out int64  // bytes that it printed and was given
	Code    string // its exit code, or the signal that ended it, such as SIGKILL; empty: it was not started
}

// Execute runs a program to its end. An error is a *transport.Error: transport.KindNotStarted if there was no
// program to run, transport.KindNoExit and transport.KindCancelled if it was ended, and transport.KindExit if it
// ended with another code than 0. When ctx ends, the program is ended.
func Execute(ctx context.Context, c *Command, got *Result) error {
	*got = Result{}
	out, in, err := os.Pipe()
	if err != nil {
		return transport.NewError(opExecute, err, transport.KindNotStarted)
	}
	defer func() { _ = out.Close() }()
	complaint := &transport.Tail{Limit: maxComplaint}
	p := &process{mark: Mark + "=" + rand.Text(), exited: make(chan struct{})}
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...) //nolint:gosec,noctx // that is what it is for; it is ended by its group
	cmd.Dir, cmd.Stdout, cmd.Stderr = os.TempDir(), in, complaint
	cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH")}, c.Env, []string{p.mark}) // of two with one name the last counts
	cmd.SysProcAttr, cmd.WaitDelay = attributes(), lingering
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	began := time.Now()
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		return startError(err)
	}
	got.Started, got.Out = began, int64(len(c.Stdin))
	p.pid = cmd.Process.Pid
	var wg, last sync.WaitGroup
	closed := make(chan struct{})
	wg.Go(func() {
		p.await(cmd)
		p.killGroup()
		close(p.exited)
		_ = out.SetReadDeadline(time.Now().Add(lingering)) // somebody who cannot be found may still hold the other end
	})
	wg.Go(func() { p.oversee(ctx, c) })
	last.Go(func() { p.sweep(closed) })
	got.In = lines(out, c.Line)
	wg.Wait()
	err = p.reap(cmd)
	got.Ended = time.Now()
	close(closed)
	last.Wait()
	got.Code = codeOf(cmd)
	return p.outcome(err, got.Code, complaint)
}

// startError says why a program could not be started.
func startError(err error) *transport.Error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return &transport.Error{Kind: transport.KindNotStarted, Op: opExecute, Err: err}
	}
	return transport.NewError(opExecute, err, transport.KindNotStarted)
}

// lines reads standard output to its end and returns how many bytes it was.
func lines(r io.Reader, each func(line []byte, cut bool)) int64 {
	counted := &counter{r: r}
	br := bufio.NewReaderSize(counted, MaxLine)
	skipping := false
	for {
		line, err := br.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if !skipping && len(line) > 0 {
			each(bytes.TrimRight(line, "\r\n"), full)
		}
		if skipping = full; err != nil && !full {
			return counted.n
		}
	}
}

type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// process is a program that was started.
type process struct {
	pid    int
	mark   string         // the entry in its environment that nobody else's has
	exited chan struct{}  // closed when it has ended and its group was killed
	ended  transport.Kind // why it was asked to end; empty: it was not
	asked  []descendant   // those below it that were asked to end, too
	reaped error
}

// oversee ends the program when its time is over, or ctx.
func (p *process) oversee(ctx context.Context, c *Command) {
	timer := time.NewTimer(c.Limit)
	defer timer.Stop()
	select {
	case <-p.exited:
		return
	case <-timer.C:
		p.ended = transport.KindNoExit
	case <-ctx.Done():
		p.ended = transport.KindCancelled
	}
	p.ask()
	after := c.KillAfter
	if after <= 0 {
		after = DefaultKillAfter
	}
	timer.Reset(after)
	select {
	case <-p.exited:
	case <-timer.C:
		p.kill()
	}
	p.killRest()
}

// sweep ends those who have left the group of a program that has ended, unless everything is closed a moment later.
func (p *process) sweep(closed <-chan struct{}) {
	<-p.exited
	timer := time.NewTimer(closing)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		p.killLeft()
	}
}

// outcome turns what is known of an end into the caller's error.
func (p *process) outcome(err error, code string, complaint *transport.Tail) error {
	switch {
	case p.ended != "":
		return &transport.Error{Kind: p.ended, Op: opExecute, Err: saying("it did not end by itself and was ended, with "+code, complaint)}
	case code != "0":
		return &transport.Error{Kind: transport.KindExit, Op: opExecute, Err: saying("it ended with "+code, complaint)}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, syscall.EPIPE): // it need not read all that it is given
		return transport.NewError(opExecute, err, transport.KindExit)
	}
	return nil
}

// saying adds to what is known of an end what the program said last on standard error.
func saying(end string, complaint *transport.Tail) error {
	if said := complaint.Quote(); said != nil {
		return fmt.Errorf("%s; it said %w", end, said)
	}
	return errors.New(end)
}

// codeOf returns the exit code of a program that has ended, or the name of the signal that ended it.
func codeOf(cmd *exec.Cmd) string {
	if cmd.ProcessState == nil {
		return ""
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalName(status.Signal())
	}
	return strconv.Itoa(cmd.ProcessState.ExitCode())
}
