package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// guards is `guards N NAME...`: it waits until so many guards of these workers run.
func guards(ts *testscript.TestScript, _ bool, args []string) {
	running(ts, args[0], "guards of "+strings.Join(args[1:], ", "), func(words []string) bool {
		return len(words) > 2 && words[1] == "guard" && slices.Contains(args[1:], words[len(words)-1])
	})
}

// shells is `shells N WORD`: it waits until so many shells run that were given the word as an argument.
func shells(ts *testscript.TestScript, _ bool, args []string) {
	running(ts, args[0], "shells given "+args[1], func(words []string) bool {
		return words[0] == "/bin/sh" && slices.Contains(words, args[1])
	})
}

// running waits until so many processes are such ones.
func running(ts *testscript.TestScript, number, what string, such func(words []string) bool) {
	want, err := strconv.Atoi(number)
	ts.Check(err)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		got := 0
		for _, words := range processes(ts) {
			if len(words) > 0 && such(words) {
				got++
			}
		}
		if got == want {
			return
		}
		if time.Since(began) > patience {
			ts.Fatalf("%d %s, not %d", got, what, want)
		}
	}
}

// processes returns the command lines of this machine.
func processes(ts *testscript.TestScript) [][]string {
	var out [][]string
	if runtime.GOOS != "linux" {
		lines, err := exec.Command("ps", "-A", "-o", "args=").Output()
		ts.Check(err)
		for l := range strings.Lines(string(lines)) {
			out = append(out, strings.Fields(l))
		}
		return out
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil { // else it has ended
			out = append(out, strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00"))
		}
	}
	return out
}

// account is `account WORKER SECONDS`: by the report on standard output the worker was lost no more than so
// many seconds after the end of what it had delivered, which others then did, and of the arrivals that were
// planned each was sent, not sent for a reason, or is unknown.
func account(ts *testscript.TestScript, _ bool, args []string) {
	within, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	var report struct {
		Integrity struct {
			Gaps []struct {
				Worker string  `json:"worker"`
				From   float64 `json:"from_s"`
				To     float64 `json:"to_s"`
			} `json:"gaps"`
		} `json:"integrity"`
		Load struct {
			Planned int64            `json:"planned"`
			Sent    int64            `json:"sent"`
			NotSent map[string]int64 `json:"not_sent"`
			Unknown int64            `json:"unknown"`
		} `json:"load"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &report))
	l := report.Load
	var notSent int64
	for _, n := range l.NotSent {
		notSent += n
	}
	if l.Planned != l.Sent+notSent+l.Unknown || notSent != l.NotSent["worker_lost"] {
		ts.Fatalf("the books do not balance: %+v", l)
	}
	gaps := report.Integrity.Gaps
	if len(gaps) != 1 || gaps[0].Worker != args[0] {
		ts.Fatalf("gaps %+v, want one of %s", gaps, args[0])
	}
	if took := gaps[0].To - gaps[0].From; took > within {
		ts.Fatalf("%s was given up %.3f s after the end of its last batch, not within %.3f s", args[0], took, within)
	}
}
