package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/metric"
)

// Each round of BenchmarkBesideWrk is this long for each of the two clients.
const (
	roundLength = 4 * time.Second
	roundUsers  = 64 // connections
)

// round is what one client did in one round.
type round struct {
	Requests int64
	Failed   int64
	Elapsed  time.Duration
	Mallocs  uint64        // heap allocations; 0 for wrk, which does not say
	CPU      time.Duration // of the whole client process, its start included
}

func (r round) perSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }
func (r round) cpu() float64       { return float64(r.CPU.Nanoseconds()) / 1e3 / float64(r.Requests) }
func (r round) allocs() float64    { return float64(r.Mallocs) / float64(r.Requests) }

// BenchmarkBesideWrk shows the engine and wrk as fast as each goes, in turn, with 64 connections
// against one nginx in the same run. Each client is a process of its own on one processor, the
// server has the other, so the processor time is the client's alone. The engine measures all that
// it always does and makes a batch of it each second. One operation is one round of both; the
// figures are medians of the rounds, cpu-ratio the median of the engine's time by wrk's.
func BenchmarkBesideWrk(b *testing.B) {
	for _, name := range []string{"wrk", "nginx", "taskset"} {
		if _, err := exec.LookPath(name); err != nil {
			b.Skipf("needs %s, which is not installed: make bench installs it where it may", name)
		}
	}
	if runtime.NumCPU() < 2 {
		b.Skip("needs two processors, one for the client and one for the server")
	}
	url := startNginx(b)
	var ours, theirs []round
	for range b.N {
		ours = append(ours, engineRound(b, url))
		theirs = append(theirs, wrkRound(b, url))
	}
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i].cpu() / theirs[i].cpu()
	}
	b.ReportMetric(0, "ns/op") // the length of a round says nothing
	b.ReportMetric(medianOf(ours, round.perSecond), "req/s")
	b.ReportMetric(medianOf(ours, round.cpu), "cpu-us/req")
	b.ReportMetric(medianOf(ours, round.allocs), "allocs/req")
	b.ReportMetric(medianOf(theirs, round.perSecond), "wrk-req/s")
	b.ReportMetric(medianOf(theirs, round.cpu), "wrk-cpu-us/req")
	b.ReportMetric(median(ratios), "cpu-ratio")
}

func medianOf(rounds []round, f func(round) float64) float64 {
	var values []float64
	for _, r := range rounds {
		values = append(values, f(r))
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// startNginx starts a server that answers everything with two bytes, on the first processor.
func startNginx(b *testing.B) (url string) {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	conf := fmt.Sprintf(`daemon off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	keepalive_requests 1000000000;
	server { listen %s; location / { return 200 "ok"; } }
}
`, addr)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		b.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("taskset", "-c", "0", "nginx", "-p", dir, "-c", file, "-e", "stderr")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which Wait tells
		if err := cmd.Wait(); err != nil {
			b.Errorf("nginx: %v\n%s", err, &log)
		}
	})
	for range 100 {
		if c, err := new(net.Dialer).DialContext(b.Context(), "tcp", addr); err == nil {
			_ = c.Close()
			return "http://" + addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("nginx does not listen on %s\n%s", addr, &log)
	return ""
}

// client runs a command on the second processor and returns what it printed and the processor time
// that it took.
func client(b *testing.B, env []string, args ...string) ([]byte, time.Duration) {
	b.Helper()
	cmd := exec.Command("taskset", append([]string{"-c", "1"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v: %v\n%s%s", args, err, out, &errs)
	}
	return out, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in ([0-9.]+)s`)
	wrkFailed   = regexp.MustCompile(`Socket errors|Non-2xx`)
)

func wrkRound(b *testing.B, url string) round {
	b.Helper()
	out, cpu := client(b, nil, "wrk", "-t", "1", "-c", strconv.Itoa(roundUsers), "-d", roundLength.String(), url)
	m := wrkRequests.FindSubmatch(out)
	if m == nil || wrkFailed.Match(out) {
		b.Fatalf("wrk did not measure:\n%s", out)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	elapsed, err := time.ParseDuration(string(m[2]) + "s")
	if err != nil {
		b.Fatal(err)
	}
	return round{Requests: n, Elapsed: elapsed, CPU: cpu}
}

func engineRound(b *testing.B, url string) round {
	b.Helper()
	out, cpu := client(b, []string{loadChild + "=" + url}, os.Args[0])
	var r round
	if err := json.Unmarshal(out, &r); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if r.Failed > 0 {
		b.Errorf("%d of %d requests failed", r.Failed, r.Requests)
	}
	r.CPU = cpu
	return r
}

// loadChild is the variable that makes the test program a client of the URL that it holds.
const loadChild = "PROOFLOAD_TEST_LOAD"

// runLoadChild puts load on url for one round and writes a round in JSON.
func runLoadChild(url string, out io.Writer) error {
	plan := httpPlan(url, 1, usersPhase("p", [3]float64{roundUsers, roundUsers, roundLength.Seconds()}))
	clock := simClock{time.Now()}
	e, err := New(Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger()})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := e.Prepare(ctx); err != nil {
		return err
	}
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- e.Run(ctx) }()
	var r round
	seal := func(index int64) {
		s := e.Seal(index)
		sent, failed := s.Requests()
		r.Requests, r.Failed = r.Requests+sent, r.Failed+failed
		_ = metric.EncodeBatch(metric.Batch{Run: "bench", Seq: uint64(index) + 1, Second: s}) // its cost is what counts
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	index := int64(0)
	for running := true; running; {
		select {
		case <-tick.C:
			seal(index)
			index++
		case err := <-ended:
			if err != nil {
				return err
			}
			running = false
		}
	}
	r.Elapsed = time.Since(start)
	seal(max(index, second(clock.Now())))
	runtime.ReadMemStats(&after)
	r.Mallocs = after.Mallocs - before.Mallocs
	if err := e.Close(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}
