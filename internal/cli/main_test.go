package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes the commands available to the scripts as programs of their own, and looks for
// goroutines that the tests in this process have left behind.
func TestMain(m *testing.M) {
	// With the race detector every program sleeps for a second at its end, and the scripts run hundreds of them.
	if os.Getenv("GORACE") == "" {
		if err := os.Setenv("GORACE", "atexit_sleep_ms=10"); err != nil {
			fatal(err)
		}
	}
	testscript.Main(leakTest{m}, map[string]func(){
		"coordinator": func() { os.Exit(Coordinator(os.Args[1:], os.Stdout, os.Stderr)) },
		"worker":      func() { os.Exit(Worker(os.Args[1:], os.Stdout, os.Stderr)) },
		"exits":       exits,
	})
}

type leakTest struct{ m *testing.M }

// scriptsAtOnce is how many scripts run beside each other, whatever the number of cores: they mostly wait.
const scriptsAtOnce = "8"

// Run implements testscript.TestingM.
func (l leakTest) Run() int {
	// The command line is not parsed yet, so that -parallel still has the last word.
	if err := flag.Set("test.parallel", scriptsAtOnce); err != nil {
		fatal(err)
	}
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left after the tests:", err)
		code = 1
	}
	return code
}

// exits is the program `exits CODE COMMAND...`: it runs the command, passes signals on to it, and
// succeeds only if the command ends with that very code. FORWARD=TERM turns what it passes on into
// SIGTERM; READY names a file that it makes when the command first writes to standard error, or, as NAME:TEXT,
// when it writes that text.
func exits() {
	want, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fatal(err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, io.Writer(os.Stderr)
	if name := os.Getenv("READY"); name != "" {
		name, text, _ := strings.Cut(name, ":")
		cmd.Stderr = &beacon{name: name, text: text}
	}
	// Its own group: a signal to the whole group of this program would reach it twice.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		fatal(err)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case s := <-signals:
				if os.Getenv("FORWARD") == "TERM" {
					s = syscall.SIGTERM // scripts themselves can only interrupt
				}
				_ = cmd.Process.Signal(s) // it may have ended just now
			case <-done:
				return
			}
		}
	})
	err = cmd.Wait()
	close(done)
	wg.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		fatal(fmt.Errorf("exit code %d, want %d", got, want))
	}
}

// beacon passes standard error on, and makes a file when there is something on it: then the command is
// at work, and takes signals.
type beacon struct {
	name, text string
	once       sync.Once
}

// Write implements io.Writer.
func (b *beacon) Write(p []byte) (int, error) {
	if !bytes.Contains(p, []byte(b.text)) {
		return os.Stderr.Write(p)
	}
	b.once.Do(func() {
		if err := os.WriteFile(b.name, nil, 0o600); err != nil {
			fatal(err)
		}
	})
	return os.Stderr.Write(p)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "exits:", err)
	os.Exit(99)
}
