//go:build soak && linux

package e2e

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/cli"
	pb "proofload/proto/proofload/v1"
)

// asCoordinator, in the environment, makes this program a coordinator that writes a profile of its processor
// time between two signals to the file that is named. The product has no such port, and needs none.
const asCoordinator = "PROOFLOAD_BENCH_COORDINATOR"

func TestMain(m *testing.M) {
	if path := os.Getenv(asCoordinator); path != "" {
		profileBetweenSignals(path)
		os.Exit(cli.Coordinator(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func profileBetweenSignals(path string) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() {
		for on := false; ; {
			<-told
			if on = !on; !on {
				pprof.StopCPUProfile()
				if f, err := os.Create(path + ".heap"); err == nil {
					_, _ = pprof.WriteHeapProfile(f), f.Close()
				}
				continue
			}
			if f, err := os.Create(path); err == nil {
				_ = pprof.StartCPUProfile(f)
			}
		}
	}()
}

// benchCoordinator is `coordinator serve` as a process of its own.
type benchCoordinator struct {
	dir, addr, web string
	profile        string // directory of profiles; empty: none, and it is the built program
	cmd            *exec.Cmd
	lines          chan string // of its log
	reading        sync.WaitGroup
	conn           *grpc.ClientConn
	runs           pb.RunServiceClient
}

func newBenchCoordinator(t *testing.T) *benchCoordinator {
	t.Helper()
	c := &benchCoordinator{dir: t.TempDir(), addr: freeAddress(t), web: freeAddress(t), profile: os.Getenv("PROFILES")}
	var err error
	if c.conn, err = grpc.NewClient(c.addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	c.runs = pb.NewRunServiceClient(c.conn)
	c.start(t)
	t.Cleanup(func() {
		_ = c.conn.Close()
		c.end(t, os.Interrupt)
	})
	return c
}

// start begins the process and waits until it leads.
func (c *benchCoordinator) start(t *testing.T) {
	t.Helper()
	args := []string{"serve", "--data-dir", c.dir, "--listen", c.addr, "--http", c.web}
	c.cmd = exec.Command(program(t, "coordinator"), args...)
	if c.profile != "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c.cmd = exec.Command(self, args...)
		c.cmd.Env = append(os.Environ(), asCoordinator+"="+filepath.Join(c.profile, strings.ReplaceAll(t.Name(), "/", "-")+".cpu"))
	}
	pipe, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.lines = make(chan string, 64)
	c.reading.Go(func() {
		for s := bufio.NewScanner(pipe); s.Scan(); {
			if strings.Contains(s.Text(), "[ERROR]") || strings.Contains(s.Text(), "panic") {
				t.Log(s.Text())
			}
			select {
			case c.lines <- s.Text():
			default: // nobody waits for one
			}
		}
	})
	until(t, "leader", func() bool {
		resp, err := http.Get("http://" + c.web + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// end ends the process with a signal and waits for it.
func (c *benchCoordinator) end(t *testing.T, how os.Signal) {
	t.Helper()
	_ = c.cmd.Process.Signal(how)
	c.reading.Wait()
	if err := c.cmd.Wait(); err != nil && how != os.Kill {
		t.Errorf("coordinator: %v", err)
	}
}

// says waits for a line of the log.
func (c *benchCoordinator) says(t *testing.T, what string) time.Time {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case line := <-c.lines:
			if strings.Contains(line, what) {
				return time.Now()
			}
		case <-limit:
			t.Fatalf("the coordinator did not say %q within a minute", what)
		}
	}
}

// toggle starts or ends the profile, if there is to be one.
func (c *benchCoordinator) toggle() {
	if c.profile != "" {
		_ = c.cmd.Process.Signal(syscall.SIGUSR1)
	}
}

// commits reads how many transactions with etcd took no longer than each bound, from its own metrics.
func (c *benchCoordinator) commits(t *testing.T) (bounds []time.Duration, counts []int64) {
	t.Helper()
	resp, err := http.Get("http://" + c.web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		labels, ok := strings.CutPrefix(line, `proofload_commit_duration_seconds_bucket{outcome="ok",le="`)
		if !ok {
			continue
		}
		le, count, _ := strings.Cut(strings.TrimSpace(labels), `"} `)
		bound, errBound := strconv.ParseFloat(le, 64) // the last one is +Inf
		n, errCount := strconv.ParseFloat(count, 64)
		if errBound != nil || errCount != nil {
			t.Fatalf("metrics: %s", line)
		}
		bounds = append(bounds, time.Duration(min(bound, 3600)*float64(time.Second)))
		counts = append(counts, int64(n))
	}
	return bounds, counts
}
