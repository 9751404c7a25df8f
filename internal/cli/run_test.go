package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"proofload/internal/run"
)

const tiny = `version: 1
name: tiny
validity: {schedule_lag_p99: 60s, worker_cpu: 100%, sent: 1%}
target: mock://shop
mocks:
  shop:
    routes:
      - match: {method: GET, path: /a}
        json: {ok: true}
flows:
  f:
    - step: a
      http: {method: GET, path: /a}
phases:
  - name: p
    flow: f
    rate:
      - hold: {at: 20/s, for: 1s}
criteria:
  - name: c
    check: error_ratio(requests) < 1%
`

// TestRunLeavesNothing shows that a run with two workers, with its coordinator and its etcd, leaves no
// goroutine in the process that called it, and that a newcomer sees neither a warning nor an error.
func TestRunLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	file := filepath.Join(dir, "tiny.yaml")
	if err := os.WriteFile(file, []byte(tiny), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one finds the data of the first
		var out, errs bytes.Buffer
		code := Coordinator([]string{"run", file, "--out", filepath.Join(dir, "out"), "--workers", "2", "--progress", "none"}, &out, &errs)
		if code != 0 || errs.Len() > 0 || !bytes.HasPrefix(out.Bytes(), []byte("PASS  tiny\n")) {
			t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
		}
	}
}

func TestClockText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Nanosecond: "0:00", 0: "0:00", 1800 * time.Millisecond: "0:01", 59999 * time.Millisecond: "0:59",
		time.Minute: "1:00", 61*time.Minute + 5*time.Second: "61:05",
	} {
		if got := clockText(d); got != want {
			t.Errorf("clockText(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestLocalWorkers(t *testing.T) {
	for name, c := range map[string]struct {
		asked       int
		given       bool
		least, want int
		err         string
	}{
		"nothing asked":        {asked: 1, least: 0, want: 1},
		"scenario needs more":  {asked: 1, least: 3, want: 3},
		"more than needed":     {asked: 4, given: true, least: 3, want: 4},
		"fewer than needed":    {asked: 2, given: true, least: 3, err: "the scenario needs 3 workers, not 2: give --workers 3"},
		"one, said out loud":   {asked: 1, given: true, least: 2, err: "the scenario needs 2 workers, not 1: give --workers 2"},
		"more than ever fit":   {asked: 1, least: 65, err: "the scenario needs 65 workers, and 64 fit into one process: run it on a fleet, with --coordinator ADDR"},
		"as many as ever fit":  {asked: 1, least: 64, want: 64},
		"asked as many as fit": {asked: 64, given: true, least: 64, want: 64},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := localWorkers(c.asked, c.given, c.least)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("localWorkers(%d, %t, %d) = %d, %v, want %d, %q", c.asked, c.given, c.least, got, err, c.want, c.err)
			}
			if err != nil && finish(err, io.Discard) != run.ExitNotStarted {
				t.Errorf("exit code %d, want %d", finish(err, io.Discard), run.ExitNotStarted)
			}
		})
	}
}
