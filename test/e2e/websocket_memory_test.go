package e2e

import (
	"bufio"
	"context"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"proofload/internal/load/flow"
	"proofload/internal/load/wsload"
	plan "proofload/internal/scenario"
)

// startEcho runs the WebSocket echo as a process of its own, so that its memory is not counted here.
func startEcho(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "wsecho")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./wsecho").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "-listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "ws://" + strings.TrimSpace(line)
}

// quietSink notes that an iteration rests.
type quietSink struct{ resting *sync.WaitGroup }

func (s quietSink) Began(step string, at time.Duration) {
	if step == "" && at >= time.Minute {
		s.resting.Done()
	}
}
func (quietSink) Request(*flow.Report)                                        {}
func (quietSink) Timed(*flow.Step, flow.Timing, time.Duration, time.Duration) {}
func (quietSink) Measure(*flow.Step, int, float64, time.Duration)             {}

type runTime struct{ zero time.Time }

func (c runTime) Now() time.Duration { return time.Since(c.zero) }

func (c runTime) Both() (time.Duration, time.Time) {
	now := time.Now()
	return now.Sub(c.zero), now
}

// heldMemory opens n connections as iterations of a flow do, each of which has said a word, heard the answer and
// waits, and returns how many bytes of memory one of them takes in this process, stacks included.
func heldMemory(t testing.TB, n int) float64 {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(n)+100 {
		t.Skipf("needs %d file descriptors, the limit is %d", n+100, limit.Cur)
	}
	target, err := url.Parse(startEcho(t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := wsload.NewClient(wsload.Options{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	hello := "hello"
	program, err := flow.Compile(&plan.Plan{
		Targets: map[string]plan.Target{"default": {URL: target.String()}},
		Flows: map[string]plan.Flow{"f": {Steps: []plan.Step{{
			Name: "hold", Target: "default", Timeout: time.Minute,
			WebSocket: &plan.WebSocket{Path: "/", CloseCode: 1000, Script: []plan.Action{
				{Send: &plan.Payload{Text: &hello}},
				{Expect: &plan.Expectation{Text: &hello}},
				{Wait: &plan.Distribution{Kind: "constant", Value: time.Hour}},
			}},
		}}}},
	}, flow.Options{WebSockets: map[string]*wsload.Client{"default": client}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	used := func() float64 {
		for range 4 {
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	before := used()
	var resting, running sync.WaitGroup
	resting.Add(n)
	gate := make(chan struct{}, 64) // so many open at once
	clock := runTime{time.Now()}
	for range n {
		gate <- struct{}{}
		running.Go(func() {
			it := &flow.Iteration{ID: flow.Once(1, "memory"), Clock: clock, Sink: quietSink{&resting}}
			if err := it.Prepare(program, program.Flow("f")); err != nil {
				t.Error(err)
			}
			<-gate
			_, _ = it.Run(ctx, program.Flow("f"))
		})
	}
	resting.Wait()
	each := (used() - before) / float64(n)
	cancel()
	running.Wait()
	return each
}

// BenchmarkHeldWebSockets opens 10,000 connections and reports what one of them takes.
func BenchmarkHeldWebSockets(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(heldMemory(b, 10_000)/1024, "KiB/conn")
	}
}
