//go:build soak && linux

package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	peerRounds = flag.Int("peer-rounds", 5, "how often every client of a comparison has its turn")
	peerLength = flag.Duration("peer-length", 6*time.Second, "how long a turn is")
)

// The server of a comparison has one core to itself, and the client another, so that its processor time is
// its own. The coordinator, whose time is not the client's either, is with the server.
const (
	serverCore = "0"
	clientCore = "1"
)

// contest is one comparison: the same load by a worker of ours and by the clients of others.
type contest struct {
	name   string
	phase  string // of ours, in YAML
	step   string // of ours; empty: a GET
	target string // what the target's URL is made of; %s is the address
	peers  []peer
	wanted float64 // the most that the first peer's processor time may be exceeded by, as a factor
	server func(t *testing.T) (addr string)
}

// peer is a client of others. The first group of count is the number of its requests.
type peer struct {
	name  string
	args  []string // %s is the address, %d the seconds
	count *regexp.Regexp
}

// turn is what one client did in one turn.
type turn struct {
	requests int64
	cpu      time.Duration
	lag50    time.Duration // of ours only
	lag99    time.Duration
}

func (u turn) perSecond() float64 { return float64(u.requests) / peerLength.Seconds() }
func (u turn) perRequest() float64 {
	return float64(u.cpu.Nanoseconds()) / 1e3 / float64(max(u.requests, 1))
}

var contests = []contest{
	{
		name: "HTTP/1.1, closed model, 64 connections", wanted: 1.15, server: webServer, target: "http://%s",
		phase: "users: [{hold: {at: 64, for: %ds}}]",
		peers: []peer{
			{"wrk", []string{"wrk", "-t", "1", "-c", "64", "-d", "%ds", "http://%s/"}, regexp.MustCompile(`(\d+) requests in`)},
			{"fortio", []string{"fortio", "load", "-quiet", "-c", "64", "-qps", "0", "-t", "%ds", "http://%s/"}, fortioCount},
			{"h2load --h1", []string{"h2load", "--h1", "-t", "1", "-c", "64", "-D", "%d", "http://%s/"}, h2loadCount},
			{"ab", []string{"ab", "-q", "-k", "-c", "64", "-t", "%d", "-n", "20000000", "http://%s/"}, regexp.MustCompile(`Complete requests: +(\d+)`)},
		},
	},
	{
		name: "HTTP/1.1, open model, 20,000/s", wanted: 0.65, server: webServer, target: "http://%s",
		phase: "rate: [{hold: {at: 20000/s, for: %ds}}], max_in_flight: 64",
		peers: []peer{{"fortio", []string{
			"fortio", "load", "-quiet", "-c", "64", "-qps", "20000", "-uniform", "-nocatchup", "-t", "%ds", "http://%s/",
		}, fortioCount}},
	},
	{
		name: "HTTP/2, closed model, 64 connections of 1 stream", wanted: 1.5, server: nghttpd, target: "{url: 'http://%s', http: 2, connections: {reuse: user}}",
		step:  "http: {method: GET, path: /index.html}",
		phase: "users: [{hold: {at: 64, for: %ds}}]",
		peers: []peer{{"h2load", []string{"h2load", "-t", "1", "-c", "64", "-m", "1", "-D", "%d", "http://%s/index.html"}, h2loadCount}},
	},
	{
		name: "HTTP/2, closed model, 1 connection of 64 streams", wanted: 1.5, server: nghttpd, target: "{url: 'http://%s', http: 2}",
		step:  "http: {method: GET, path: /index.html}",
		phase: "users: [{hold: {at: 64, for: %ds}}]",
		peers: []peer{{"h2load", []string{"h2load", "-t", "1", "-c", "1", "-m", "64", "-D", "%d", "http://%s/index.html"}, h2loadCount}},
	},
	{
		name: "gRPC, unary, closed model, 64 calls at once over 4 connections", wanted: 0.5, server: grpcServer, target: "grpc://%s",
		step:  "grpc: {method: grpc.health.v1.Health/Check, send: {service: ''}}",
		phase: "users: [{hold: {at: 64, for: %ds}}]",
		peers: []peer{{"ghz", []string{
			"ghz", "--insecure", "--call", "grpc.health.v1.Health/Check", "-d", `{"service":""}`, "-c", "64", "--connections", "4",
			"-z", "%ds", "--duration-stop", "wait", "%s",
		}, regexp.MustCompile(`(?m)^ *Count:\s+(\d+)`)}},
	},
}

var (
	fortioCount = regexp.MustCompile(`All done (\d+) calls`)
	h2loadCount = regexp.MustCompile(`requests: (\d+) total`)
)

// TestPeers prints the table of each comparison: medians of the turns, and the median of the ratios within a
// round. It fails on what did not measure; whether a ratio is the wanted one is for the reader, who knows the
// machine.
func TestPeers(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors, one for the client and one for the server")
	}
	for _, c := range contests {
		t.Run(c.name, func(t *testing.T) { c.hold(t) })
	}
	t.Run("HTTP/1.1, closed model, one core and two", holdScaling)
}

func (c *contest) hold(t *testing.T) {
	addr := c.server(t)
	ours := startOurs(t, clientCore)
	var present []peer
	for _, p := range c.peers {
		if _, err := exec.LookPath(p.args[0]); err != nil {
			t.Logf("without %s, which is not installed: make bench-peers installs it where it may", p.name)
			continue
		}
		present = append(present, p)
	}
	turns := make([][]turn, len(present)+1)
	for range *peerRounds {
		turns[0] = append(turns[0], ours.turn(t, c.scenario(addr)))
		for i, p := range present {
			turns[i+1] = append(turns[i+1], p.turn(t, addr, clientCore))
		}
	}
	t.Log("\n" + c.table(present, turns))
}

func (c *contest) scenario(addr string) string {
	step := c.step
	if step == "" {
		step = "http: {method: GET, path: /}"
	}
	return fmt.Sprintf(`version: 1
name: peers
seed: 7
target: %s
flows:
  f:
    - step: s
      %s
phases:
  - {name: load, flow: f, %s}
`, fmt.Sprintf(c.target, addr), step, fmt.Sprintf(c.phase, int(peerLength.Seconds())))
}

func (c *contest) table(present []peer, turns [][]turn) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| client | requests/s | CPU per request | ours by it |\n|---|--:|--:|--:|\n", c.name)
	row := func(name string, turns []turn, ratio string) {
		fmt.Fprintf(&b, "| %s | %.0f | %.2f µs | %s |\n", name, medianOf(turns, turn.perSecond), medianOf(turns, turn.perRequest), ratio)
	}
	row("Proofload's worker", turns[0], "")
	for i, p := range present {
		ratios := make([]float64, len(turns[0]))
		for k := range ratios {
			ratios[k] = turns[0][k].perRequest() / turns[i+1][k].perRequest()
		}
		slices.Sort(ratios)
		text := fmt.Sprintf("%.2f (%.2f to %.2f)", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
		if p.name == c.peers[0].name && c.wanted > 0 {
			text += fmt.Sprintf(", wanted ≤ %.2f", c.wanted)
		}
		row(p.name, turns[i+1], text)
	}
	lag := func(f func(turn) time.Duration) time.Duration {
		return time.Duration(medianOf(turns[0], func(u turn) float64 { return float64(f(u)) })).Round(time.Microsecond)
	}
	fmt.Fprintf(&b, "\nschedule lag of ours: p50 %v, p99 %v\n", lag(func(u turn) time.Duration { return u.lag50 }), lag(func(u turn) time.Duration { return u.lag99 }))
	return b.String()
}

func medianOf(turns []turn, f func(turn) float64) float64 {
	values := make([]float64, len(turns))
	for i, u := range turns {
		values[i] = f(u)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// turn runs the client of others and reads how many requests it made.
func (p *peer) turn(t *testing.T, addr, cores string) turn {
	t.Helper()
	args := []string{"-c", cores}
	for _, a := range p.args {
		a = strings.ReplaceAll(a, "%s", addr)
		args = append(args, strings.ReplaceAll(a, "%d", strconv.Itoa(int(peerLength.Seconds()))))
	}
	cmd := exec.Command("taskset", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", p.name, err, out)
	}
	m := p.count.FindSubmatch(out)
	if m == nil {
		t.Fatalf("%s did not say how many requests it made:\n%s", p.name, out)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return turn{requests: n, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// ours is a coordinator and a worker, as they are installed: everything that a run measures is measured,
// sent every second and committed.
type ours struct {
	addr   string
	worker *exec.Cmd
}

func startOurs(t *testing.T, cores string) *ours {
	t.Helper()
	o := &ours{}
	_, o.addr = serve(t, "taskset", "-c", serverCore)
	o.worker = startAs(t, []string{"taskset", "-c", cores}, "worker", "--join", o.addr, "--name", "w1", "--data-dir", t.TempDir())
	return o
}

// turn runs a scenario. A client that is as fast as it can be has no processor to spare, of which the
// verdict tells; here that is what is wanted.
func (o *ours) turn(t *testing.T, scenario string) turn {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "peers.yaml")
	if err := os.WriteFile(file, []byte(scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	before := processor(t, o.worker.Process.Pid)
	out, err := exec.Command("taskset", "-c", serverCore, program(t, "coordinator"), "run", file, "--coordinator", o.addr, "--out", dir, "--progress", "none").CombinedOutput()
	used := processor(t, o.worker.Process.Pid) - before
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
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
	if r.Requests.Sent == 0 || r.Requests.Failed > r.Requests.Sent/1000 || r.Integrity.Completeness != 1 {
		t.Fatalf("%d sent, %d failed, completeness %v\n%s", r.Requests.Sent, r.Requests.Failed, r.Integrity.Completeness, out)
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	return turn{requests: r.Requests.Sent, cpu: used, lag50: seconds(r.Detail.Lag.P50), lag99: seconds(r.Detail.Lag.P99)}
}
