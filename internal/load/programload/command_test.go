package programload

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"proofload/internal/load/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sh runs a script, which is only a program like any other here, and returns its lines.
func sh(t *testing.T, ctx context.Context, script string, change ...func(*Command)) ([]string, Result, error) {
	t.Helper()
	var out []string
	c := &Command{
		Argv: []string{"/bin/sh", "-c", script}, Limit: 30 * time.Second, KillAfter: 50 * time.Millisecond,
		Line: func(line []byte, cut bool) {
			text := string(line)
			if cut {
				text = "cut " + strconv.Itoa(len(line))
			}
			out = append(out, text)
		},
	}
	for _, f := range change {
		f(c)
	}
	var got Result
	err := Execute(ctx, c, &got)
	return out, got, err
}

func wants(t *testing.T, err error, kind transport.Kind) {
	t.Helper()
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != kind {
		t.Errorf("got %v, want %s", err, kind)
	}
}

// gone fails the test unless a process has ended; one that nobody has reaped yet has.
func gone(t *testing.T, pid string) {
	t.Helper()
	for range 500 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return
		}
		if fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]); len(fields) > 0 && string(fields[0]) == "Z" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %s is still there", pid)
	if n, err := strconv.Atoi(pid); err == nil {
		_ = syscall.Kill(n, syscall.SIGKILL)
	}
}

func TestExecute(t *testing.T) {
	t.Setenv("PROOFLOAD_SECRET_KEY", "hidden")
	out, got, err := sh(t, t.Context(), `cat; echo; echo "$GREETING"; env | grep -c PROOFLOAD_SECRET; echo last >&2`, func(c *Command) {
		c.Stdin, c.Env = []byte("from stdin"), []string{"GREETING=hello there"}
	})
	// grep finds nothing and says so with its exit code, which is not the script's.
	if err != nil || strings.Join(out, "|") != "from stdin|hello there|0" {
		t.Errorf("%q, %v", out, err)
	}
	if got.Code != "0" || got.Out != 10 || got.In != 25 || got.Started.IsZero() || got.Ended.Before(got.Started) {
		t.Errorf("result %+v", got)
	}
}

func TestExitCode(t *testing.T) {
	_, got, err := sh(t, t.Context(), "echo what went wrong >&2; exit 7")
	wants(t, err, transport.KindExit)
	if got.Code != "7" || !strings.Contains(err.Error(), "what went wrong") {
		t.Errorf("code %s, %v", got.Code, err)
	}
	_, got, err = sh(t, t.Context(), "kill -SEGV $$")
	wants(t, err, transport.KindExit)
	if got.Code != "SIGSEGV" {
		t.Errorf("code %s", got.Code)
	}
}

func TestNoSuchProgram(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("not a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"/no/such/program", plain, t.TempDir()} {
		_, got, err := sh(t, t.Context(), "", func(c *Command) { c.Argv = []string{program} })
		wants(t, err, transport.KindNotStarted)
		if !got.Started.IsZero() || got.Code != "" {
			t.Errorf("result %+v", got)
		}
	}
}

// orphan is a script whose child has left its group and lost its parent before it prints its number; it holds none of the
// streams, and does not heed SIGTERM.
const orphan = `(setsid /bin/sh -c 'trap "" TERM; sleep 0.1; echo $$; exec </dev/null >/dev/null 2>&1; while :; do sleep 0.1; done' &); `

// TestNeverEnds: a program that does not end is asked to, and killed with all its children when it does not heed
// that, also those that ignore the signal and those that have left its group.
func TestNeverEnds(t *testing.T) {
	for name, script := range map[string]string{
		"heeds":                  "echo $$; exec sleep 300",
		"ignores":                "trap '' TERM; echo $$; while :; do sleep 0.1; done",
		"with a child":           "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $!; echo $$; wait",
		"with one of its own":    "trap '' TERM; setsid /bin/sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & echo $$; while :; do sleep 0.1; done",
		"with an orphan":         orphan + "echo $$; sleep 300",
		"prints without end":     "trap '' TERM; echo $$; while :; do echo 123456789; done",
		"reads what never comes": "echo $$; exec cat < /dev/zero",
	} {
		t.Run(name, func(t *testing.T) {
			lines := 0
			var pids []string
			_, got, err := sh(t, t.Context(), script, func(c *Command) {
				c.Limit = 300 * time.Millisecond
				c.Line = func(line []byte, _ bool) {
					if lines++; lines <= 2 && len(line) < 9 {
						if _, err := strconv.Atoi(string(line)); err == nil {
							pids = append(pids, string(line))
						}
					}
				}
			})
			wants(t, err, transport.KindNoExit)
			if len(pids) == 0 || got.Code == "" || got.Code == "0" {
				t.Errorf("pids %v, result %+v", pids, got)
			}
			for _, pid := range pids {
				gone(t, pid)
			}
		})
	}
}

// TestLeavesChildren: what a program leaves behind when it ends is killed, and does not hold the caller up; also what has
// left its group and holds one of its standard streams.
func TestLeavesChildren(t *testing.T) {
	for name, script := range map[string]string{
		"in the group":          "trap '' TERM; sleep 300 & echo $!; exit 0",
		"holds standard output": `setsid /bin/sh -c 'echo $$; : >"$THERE"; exec 2>/dev/null; while :; do sleep 0.1; done' & ` + untilThere,
		"holds standard error":  `setsid /bin/sh -c 'echo $$; : >"$THERE"; exec >/dev/null; while :; do sleep 0.1; done' & ` + untilThere,
		"is an orphan":          `(setsid /bin/sh -c 'echo $$; : >"$THERE"; while :; do sleep 0.1; done' &); ` + untilThere,
	} {
		t.Run(name, func(t *testing.T) {
			out, got, err := sh(t, t.Context(), script, func(c *Command) { c.Env = []string{"THERE=" + filepath.Join(t.TempDir(), "there")} })
			if err != nil || got.Code != "0" || len(out) != 1 {
				t.Fatalf("%q, %+v, %v", out, got, err)
			}
			gone(t, out[0])
		})
	}
}

// untilThere makes a script wait for its child.
const untilThere = `while [ ! -e "$THERE" ]; do sleep 0.01; done`

// TestMark: each execution has a mark of its own, whatever variable of that name it is given, and with an execution ends
// what bears its mark alone.
func TestMark(t *testing.T) {
	given := func(c *Command) { c.Env = []string{Mark + "=given"} }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	other := make(chan string, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(other)
		_, _, err := sh(t, ctx, orphan+"sleep 300", given, func(c *Command) {
			c.Limit, c.Line = time.Minute, func(line []byte, _ bool) { other <- string(line) }
		})
		wants(t, err, transport.KindCancelled)
	})
	lives := <-other
	ended, end := context.WithCancel(t.Context())
	var mine string
	_, _, err := sh(t, ended, orphan+"sleep 300", given, func(c *Command) {
		c.Line = func(line []byte, _ bool) { mine = string(line); end() }
	})
	wants(t, err, transport.KindCancelled)
	gone(t, mine)
	if _, err := os.Stat("/proc/" + lives); err != nil {
		t.Errorf("another execution's: %v", err)
	}
	cancel()
	wg.Wait()
	gone(t, lives)
}

// TestContextEnds: with the context a program ends and all its children do, also those that do not heed the signal; it
// is nobody's failure but ours.
func TestContextEnds(t *testing.T) {
	for name, script := range map[string]string{
		"a child that heeds":              "sleep 300 & echo $!; echo $$; wait",
		"a child that does not":           "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $!; echo $$; while :; do sleep 0.1; done",
		"a child that outlives it":        "setsid /bin/sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & sleep 0.1; echo $$; wait",
		"an orphan":                       orphan + "echo $$; sleep 300",
		"an orphan that outlives it":      "trap '' TERM; " + orphan + "echo $$; while :; do sleep 0.1; done",
		"a child with a group of its own": "trap '' TERM; setsid /bin/sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & echo $$; while :; do sleep 0.1; done",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var pids []string
			_, _, err := sh(t, ctx, script, func(c *Command) {
				c.Limit = 10 * time.Minute
				c.Line = func(line []byte, _ bool) {
					if pids = append(pids, string(line)); len(pids) == 2 {
						cancel()
					}
				}
			})
			wants(t, err, transport.KindCancelled)
			if len(pids) != 2 {
				t.Errorf("pids %v, want those of the program and of its child", pids)
			}
			for _, pid := range pids {
				gone(t, pid)
			}
		})
	}
}

// TestManyEndAtOnce: programs that are ended together share looks at the processes, and each ends its own.
func TestManyEndAtOnce(t *testing.T) {
	const programs = 20
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	orphans := make(chan string, programs)
	var wg sync.WaitGroup
	for range programs {
		wg.Go(func() {
			_, _, err := sh(t, ctx, "for i in 1 2 3; do (sleep 300; :) & done; "+orphan+"sleep 300", func(c *Command) {
				c.Line = func(line []byte, _ bool) { orphans <- string(line) }
			})
			wants(t, err, transport.KindCancelled)
		})
	}
	var pids []string
	for range programs {
		pids = append(pids, <-orphans)
	}
	cancel()
	wg.Wait()
	for _, pid := range pids {
		gone(t, pid)
	}
}

func TestLongLines(t *testing.T) {
	out, _, err := sh(t, t.Context(), `head -c 200000 /dev/zero | tr '\0' x; echo; echo short; printf end`)
	if err != nil || strings.Join(out, "|") != "cut "+strconv.Itoa(MaxLine)+"|short|end" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestAllowed(t *testing.T) {
	a := Allowed{"/opt/load/*", "/usr/bin/client"}
	for program, want := range map[string]bool{
		"/opt/load/a": true, "/usr/bin/client": true, "/opt/load/sub/a": false, "/opt/load/../../bin/sh": false, "/bin/sh": false,
		"opt/load/a": false, "/usr/bin/client2": false, "": false,
	} {
		if err := a.Check(program); (err == nil) != want {
			t.Errorf("%s: %v", program, err)
		}
	}
	if Allowed(nil).Check("/bin/true") == nil {
		t.Error("nothing is allowed, and a program was")
	}
	for _, bad := range []string{"client", "*", "/opt/[", "", "./a"} {
		if (Allowed{bad}).Validate() == nil {
			t.Errorf("pattern %q was taken", bad)
		}
	}
	if err := a.Validate(); err != nil {
		t.Error(err)
	}
}
