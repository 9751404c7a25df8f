package load

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"proofload/internal/load/grpcload"
	"proofload/internal/scenario"
)

// grpcServer names the environment variable that makes this program the server of BenchmarkBesideGhz.
const grpcServer = "PROOFLOAD_BENCH_GRPC_SERVER"

// BenchmarkBesideGhz shows the engine and ghz making unary calls as fast as each goes, in turn, 64 at a time,
// against one server of grpc-go in the same run. Each client is a process of its own on one processor, the
// server has the other, so the processor time is the client's alone. One operation is one round of both; the
// figures are medians of the rounds, cpu-ratio the median of the engine's time by that of ghz.
func BenchmarkBesideGhz(b *testing.B) {
	ghz := findGhz(b)
	if _, err := exec.LookPath("taskset"); err != nil {
		b.Skip("needs taskset, which is not installed: make bench installs it where it may")
	}
	if runtime.NumCPU() < 2 {
		b.Skip("needs two processors, one for the client and one for the server")
	}
	addr := startGRPC(b)
	var ours, theirs []round
	for range b.N {
		ours = append(ours, engineRound(b, "grpc://"+addr))
		theirs = append(theirs, ghzRound(b, ghz, addr))
	}
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i].cpu() / theirs[i].cpu()
	}
	b.ReportMetric(0, "ns/op") // the length of a round says nothing
	b.ReportMetric(medianOf(ours, round.perSecond), "req/s")
	b.ReportMetric(medianOf(ours, round.cpu), "cpu-us/req")
	b.ReportMetric(medianOf(ours, round.allocs), "allocs/req")
	b.ReportMetric(medianOf(theirs, round.perSecond), "ghz-req/s")
	b.ReportMetric(medianOf(theirs, round.cpu), "ghz-cpu-us/req")
	b.ReportMetric(median(ratios), "cpu-ratio")
}

// findGhz looks for ghz on the path and where make bench-deps puts it.
func findGhz(b *testing.B) string {
	b.Helper()
	if path, err := exec.LookPath("ghz"); err == nil {
		return path
	}
	path, err := filepath.Abs("../../bin/ghz")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		b.Skip("needs ghz, which is not installed: make bench-deps builds it from its module")
	}
	return path
}

// startGRPC starts this program as a server on the first processor.
func startGRPC(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // the server takes the port
	cmd := exec.CommandContext(b.Context(), "taskset", "-c", "0", os.Args[0])
	cmd.Env = append(os.Environ(), grpcServer+"="+addr)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", addr); err == nil {
			_ = nc.Close()
			return addr
		}
		if time.Now().After(deadline) {
			b.Fatal("the server does not listen")
		}
	}
}

// serveGRPC is the server: health checks, and reflection for ghz.
func serveGRPC(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	return s.Serve(l)
}

var ghzCount = regexp.MustCompile(`(?m)^\s*Count:\s+(\d+)`)

func ghzRound(b *testing.B, ghz, addr string) round {
	b.Helper()
	start := time.Now()
	out, cpu := client(b, nil, ghz, "--insecure", "--call", "grpc.health.v1.Health/Check", "-d", `{"service":""}`,
		"-c", strconv.Itoa(roundUsers), "--connections", strconv.Itoa(grpcload.DefaultConnections),
		"-z", roundLength.String(), "--duration-stop", "wait", addr)
	m := ghzCount.FindSubmatch(out)
	if m == nil {
		b.Fatalf("ghz says no count:\n%s", out)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return round{Requests: n, Elapsed: time.Since(start), CPU: cpu}
}

// grpcPlan calls the health check of a server as fast as its users can.
func grpcPlan(url string, p scenario.Phase) *scenario.Plan {
	plan := planOf(p)
	plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: {URL: url}}
	plan.Flows["f"] = scenario.Flow{Steps: []scenario.Step{{
		Name: "check", Target: scenario.DefaultTarget, Timeout: 5 * time.Second, ImplyStatus: true,
		GRPC: &scenario.GRPC{Method: "grpc.health.v1.Health/Check", Send: []any{map[string]any{"service": ""}}},
	}}}
	return plan
}
