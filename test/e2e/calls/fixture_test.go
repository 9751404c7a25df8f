package calls

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"

	// The route guide is built from its module, which go.mod knows by this.
	_ "google.golang.org/grpc/examples/route_guide/routeguide"

	"proofload/internal/load"
	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// runTime is run time from its making.
type runTime struct{ zero time.Time }

func (c runTime) Now() time.Duration { return time.Since(c.zero) }

func (c runTime) Both() (time.Duration, time.Time) {
	now := time.Now()
	return now.Sub(c.zero), now
}

// scenarioOf writes a scenario with one flow that is run by two users, five times each.
func scenarioOf(target, steps string) string {
	return `version: 1
name: calls
target: ` + target + `
flows:
  f:
` + steps + `
phases:
  - name: p
    flow: f
    pace: 200ms
    users: [{hold: {at: 2, for: 1s}}]
`
}

// execute runs a scenario on one engine.
func execute(t *testing.T, files fstest.MapFS, text string) (metric.Second, error) {
	t.Helper()
	files["s.yaml"] = &fstest.MapFile{Data: []byte(text)}
	plan, err := scenario.Load(files, "s.yaml", scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	_ = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, _ error) error {
		if data, err := fs.ReadFile(files, name); err == nil && !d.IsDir() {
			content[scenario.Digest(data)] = data
		}
		return nil
	})
	clock := runTime{time.Now()}
	e, err := load.New(load.Options{
		Plan: plan, Clock: clock, Logger: hclog.NewNullLogger(),
		Files: func(digest string) ([]byte, error) { return content[digest], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := e.Prepare(t.Context()); err != nil {
		return metric.Second{}, err
	}
	e.Apply(load.State{Revision: 1, Ranges: []schedule.Range{{From: 0, To: scenario.Shards}}})
	e.SetLease(time.Hour)
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.Seal(int64(clock.Now() / time.Second)), nil
}

// outcomes counts the requests of each step by what came of them.
func outcomes(s metric.Second) map[string]uint64 {
	out := map[string]uint64{}
	for key, v := range s.Series {
		if key.Metric == metric.ResponseTime {
			l := key.Labels
			out[strings.Join(strings.Fields(l.Get("step")+" "+l.Get("code")+" "+l.Get("error")), " ")] += v.Hist.Count()
		}
	}
	return out
}

// expect compares the outcomes of a run with the wanted ones, each of which every iteration has.
func expect(t *testing.T, s metric.Second, want ...string) {
	t.Helper()
	got := outcomes(s)
	var sent int64
	for _, a := range s.Arrivals {
		sent += a.Sent
	}
	for _, w := range want {
		if got[w] != uint64(sent) || sent == 0 {
			t.Errorf("%q came of %d of %d", w, got[w], sent)
		}
		delete(got, w)
	}
	if len(got) > 0 {
		t.Errorf("and this came, too: %v", got)
	}
}

// of returns the values of a metric of a step.
func of(s metric.Second, name, step string) (count uint64, sum float64) {
	h := s.Select(name, func(l metric.Labels) bool { return l.Get("step") == step })
	return h.Count(), h.Mean() * float64(h.Count())
}

// counted is a listener that counts the connections that it takes.
type counted struct {
	net.Listener
	n atomic.Int64
}

func (c *counted) Accept() (net.Conn, error) {
	nc, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return nc, err
}

// startInterop serves the interoperability tests of grpc-go, with reflection.
func startInterop(t *testing.T) string {
	t.Helper()
	return "grpc://" + serveInterop(t).Addr().String()
}

func serveInterop(t *testing.T, opts ...grpc.ServerOption) *counted {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &counted{Listener: inner}
	s := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	reflection.Register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l
}

// startRouteGuide builds the server of the route guide and starts it; it returns its .proto file, too.
func startRouteGuide(t *testing.T) (target string, proto []byte) {
	t.Helper()
	const module = "google.golang.org/grpc/examples"
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	if proto, err = os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "route_guide", "routeguide", "route_guide.proto")); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "route_guide")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, module+"/route_guide/server").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("localhost", itoa(port))
	cmd := exec.Command(program, "-port", itoa(port))
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", addr); err == nil {
			_ = nc.Close()
			return "grpc://" + addr, proto
		}
		if time.Now().After(deadline) {
			t.Fatal("the route guide does not listen")
		}
	}
}
