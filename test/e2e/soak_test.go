//go:build soak && linux

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests run the built programs as processes and take minutes, and what they measure depends on
// the machine: `make soak` runs them, CI does not. Their figures belong into docs/benchmarks.md.

// program returns the path of a program that make has built.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: make build makes it", err)
	}
	return path
}

// start starts a program, which the test's end interrupts and waits for.
func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	return startAs(t, nil, name, args...)
}

// startAs is start by way of another program, which becomes it.
func startAs(t *testing.T, by []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	line := append(append(slices.Clone(by), program(t, name)), args...)
	cmd := exec.Command(line[0], line[1:]...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("%s: %v\n%s", name, err, &log)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, &log)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, &log)
		}
	})
	return cmd
}

// freeAddress returns an address of loopback on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// until waits for a condition that a process has to bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 600 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond) // a process tells nobody when it is ready
	}
	t.Fatalf("no %s after a minute", what)
}

// serve starts a coordinator, by way of another program if one is given, and returns it and its address when
// it leads.
func serve(t *testing.T, by ...string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	addr, web := freeAddress(t), freeAddress(t)
	cmd = startAs(t, by, "coordinator", "serve", "--data-dir", t.TempDir(), "--listen", addr, "--http", web)
	until(t, "leader", func() bool {
		resp, err := http.Get("http://" + web + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return cmd, addr
}

// conduct runs a scenario to its end with the coordinator's command, which must exit with PASS, and
// returns its report.
func conduct(t *testing.T, scenario string, args ...string) soakReport {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "soak.yaml")
	if err := os.WriteFile(file, []byte(scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"run", file, "--out", dir, "--progress", "none"}, args...)
	out, err := exec.Command(program(t, "coordinator"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
	reports, err := filepath.Glob(filepath.Join(dir, "reports", "*", "report.json"))
	if err != nil || len(reports) != 1 {
		t.Fatalf("reports %v, %v\n%s", reports, err, out)
	}
	data, err := os.ReadFile(reports[0])
	if err != nil {
		t.Fatal(err)
	}
	var r soakReport
	if err := errors.Join(json.Unmarshal(data, &r), json.Unmarshal(data, &r.document)); err != nil {
		t.Fatal(err)
	}
	return r
}

type soakReport struct {
	document
	Detail struct {
		Lag struct {
			P50 float64 `json:"p50_s"`
			P99 float64 `json:"p99_s"`
			Max float64 `json:"max_s"`
		} `json:"schedule_lag"`
	} `json:"load"`
	Elapsed struct {
		Seconds float64 `json:"elapsed_s"`
	} `json:"run"`
}

func soakScenario(target, rate string, length time.Duration) string {
	return fmt.Sprintf(`version: 1
name: soak
seed: 7
target: %s
flows:
  f:
    - step: s
      http: {method: GET, path: /a}
phases:
  - name: hold
    flow: f
    rate:
      - hold: {at: %s, for: %s}
criteria:
  - name: none fails
    check: error_ratio(requests) == 0%%
`, target, rate, length)
}

// processor returns the processor time that a process has used.
func processor(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the first is field 3
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ, 100 on every architecture that we build for
}

// resident returns the resident memory of a process in MiB.
func resident(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// TestSoakRate shows that 5,000 requests per second for a minute are all sent on time and all
// counted, and that the coordinator has little to do with it.
func TestSoakRate(t *testing.T) {
	const rate, length = 5000, time.Minute
	c := startCounter(t, false)
	daemon, addr := serve(t)
	start(t, "worker", "--join", addr, "--name", "w1", "--data-dir", t.TempDir())
	before := processor(t, daemon.Process.Pid)
	r := conduct(t, soakScenario(c.URL, fmt.Sprintf("%d/s", rate), length), "--coordinator", addr)
	used := processor(t, daemon.Process.Pid) - before
	received, good := c.sums([]string{"GET /a"})
	share := used.Seconds() / length.Seconds()
	t.Logf("planned %d, sent %d, server counted %d, not sent %v, completeness %v", r.Load.Planned, r.Load.Sent, received, r.Load.NotSent, r.Integrity.Completeness)
	t.Logf("schedule lag p50 %.0f us, p99 %.0f us, max %.1f ms", r.Detail.Lag.P50*1e6, r.Detail.Lag.P99*1e6, r.Detail.Lag.Max*1e3)
	t.Logf("coordinator %.1f %% of a core, %.0f MiB resident", share*100, resident(t, daemon.Process.Pid))
	balance(t, "run", r.Load, r.Requests)
	if want := int64(rate * length.Seconds()); r.Load.Planned != want || r.Load.Sent != want || received != want || good != want || r.Requests.Sent != want {
		t.Errorf("want %d planned, sent, received and answered", want)
	}
	if r.Integrity.Completeness != 1 || len(r.Integrity.Gaps) > 0 {
		t.Errorf("completeness %v, gaps %s", r.Integrity.Completeness, r.Integrity.Gaps)
	}
	if r.Detail.Lag.P99 >= 0.005 {
		t.Errorf("schedule lag p99 %v s, want under 5 ms", r.Detail.Lag.P99)
	}
	if share >= 0.1 {
		t.Errorf("coordinator used %.3f of a core, want under 0.1", share)
	}
}

// TestSoakStart shows how long it takes from the start of the program to the first request.
func TestSoakStart(t *testing.T) {
	var took []time.Duration
	for range 7 {
		first := make(chan time.Time, 1)
		server := http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			select {
			case first <- time.Now():
			default:
			}
		})}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		begin := time.Now()
		conduct(t, soakScenario("http://"+l.Addr().String(), "100/s", time.Second))
		took = append(took, (<-first).Sub(begin))
		if err := errors.Join(server.Close(), ignoreClosed(<-ended)); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(took)
	t.Logf("from exec to the first request: median %v, slowest of %d %v", took[len(took)/2].Round(time.Millisecond), len(took), took[len(took)-1].Round(time.Millisecond))
	if worst := took[len(took)-1]; worst >= 1500*time.Millisecond {
		t.Errorf("%v from exec to the first request, want under 1.5 s", worst)
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// TestSoakIdle shows what a coordinator needs that has nothing to do.
func TestSoakIdle(t *testing.T) {
	daemon, addr := serve(t)
	start(t, "worker", "--join", addr, "--name", "w1", "--data-dir", t.TempDir())
	const watched = 20 * time.Second
	before := processor(t, daemon.Process.Pid)
	time.Sleep(watched) // being idle is what is measured
	used := processor(t, daemon.Process.Pid) - before
	mib := resident(t, daemon.Process.Pid)
	t.Logf("idle coordinator: %.0f MiB resident, %.2f %% of a core", mib, 100*used.Seconds()/watched.Seconds())
	if mib >= 120 {
		t.Errorf("%.0f MiB resident, want under 120", mib)
	}
	if err := daemon.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
}
