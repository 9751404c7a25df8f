package guard

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "proofload/proto/proofload/v1"
)

// TestMain makes this binary four programs: the tests, a worker, the guard that it starts, and process 1 of its container.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "worker":
		workerMain(os.Args[2])
	case len(os.Args) > 1 && os.Args[1] == "guard":
		guardMain()
	case len(os.Args) > 1 && os.Args[1] == "first":
		firstMain(os.Args[2:])
	default:
		// With the race detector every process sleeps for a second at its end.
		if err := os.Setenv("GORACE", "atexit_sleep_ms=10 "+os.Getenv("GORACE")); err != nil {
			panic(err)
		}
		goleak.VerifyTestMain(m)
	}
}

// aLife is what the workers of these tests were welcomed with.
var aLife = Life{
	Instance: "8b0bff5e-4a4e-4a5c-8a0c-3d5a2f6a9f01", Nonce: "8b0bff5e-4a4e-4a5c-8a0c-3d5a2f6a9f02", Incarnation: 7, Cluster: 77,
}

// workerMain is a worker that is guarded and does what it reads.
func workerMain(coordinator string) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	g := New(Options{
		Path: path, Args: []string{"w1", "guard"}, Restart: 10 * time.Millisecond, Logger: hclog.NewNullLogger(),
		Ward: Ward{Name: "w1", Join: []string{coordinator}},
	})
	g.Start()
	g.Lives(aLife)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "pid": // of the guard
			pid := 0
			g.mu.Lock()
			if g.proc != nil {
				pid = g.proc.Process.Pid
			}
			g.mu.Unlock()
			fmt.Fprintln(os.Stdout, pid)
		case "bye":
			g.Dismiss()
			return
		case "panic":
			panic("as told")
		case "exit":
			os.Exit(3)
		case "hang up": // and live on
			g.mu.Lock()
			g.hangUp()
			g.mu.Unlock()
		}
	}
}

func guardMain() {
	Persist()
	fmt.Fprintln(os.Stderr, watching)
	err := Watch(context.Background(), WatchOptions{
		Pipe: os.Stdin, Gone: Orphaned, Logger: hclog.NewNullLogger(),
		Duties: []Duty{&Obituary{Credentials: plain, Logger: hclog.NewNullLogger()}},
	})
	if err != nil {
		os.Exit(1)
	}
}

// watching is what a guard says once no signal for its worker ends it any more.
const watching = "watching"

func plain(TLS) (credentials.TransportCredentials, error) { return insecure.NewCredentials(), nil }

// registrar is a coordinator that takes obituaries.
type registrar struct {
	pb.UnimplementedWorkerServiceServer
	deaths        chan *pb.ReportDeathRequest
	ReportDeathFn func(*pb.ReportDeathRequest) error // nil: takes all
}

// ReportDeath implements WorkerService.
func (r *registrar) ReportDeath(_ context.Context, d *pb.ReportDeathRequest) (*pb.ReportDeathResponse, error) {
	if r.ReportDeathFn != nil {
		if err := r.ReportDeathFn(d); err != nil {
			return nil, err
		}
	}
	r.deaths <- d
	return &pb.ReportDeathResponse{}, nil
}

// serve serves r on a port of its own and returns the address.
func (r *registrar) serve(t testing.TB) string {
	t.Helper()
	r.deaths = make(chan *pb.ReportDeathRequest, 16)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterWorkerServiceServer(server, r)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return listener.Addr().String()
}

// patience bounds every wait of these tests; no test expects anything to take a certain time.
const patience = 30 * time.Second

func (r *registrar) next(t testing.TB) *pb.ReportDeathRequest {
	t.Helper()
	select {
	case d := <-r.deaths:
		return d
	case <-time.After(patience):
		t.Fatal("there was no obituary")
		return nil
	}
}

// process is a worker in a process group of its own.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err *bufio.Reader
}

func startWorker(t testing.TB, coordinator string) *process {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: &exec.Cmd{Path: path, Args: []string{"w1", "worker", coordinator}, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out, p.err = bufio.NewReader(out), bufio.NewReader(errs)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *process) tell(word string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, word); err != nil {
		p.t.Fatal(err)
	}
}

// guard returns the process number of the guard that runs now; 0: none does.
func (p *process) guard() int {
	p.t.Helper()
	p.tell("pid")
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		p.t.Fatal(err)
	}
	return pid
}

func (p *process) signal(pid int, s syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		p.t.Fatalf("signal %v to %d: %v", s, pid, err)
	}
}

// lives reports whether a process runs; one that has ended and that nobody has asked for does not.
func lives(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // "42 (name) S ..."
	if err != nil {
		state, err = exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	}
	rest := string(state[bytes.LastIndexByte(state, ')')+1:])
	return err == nil && !strings.HasPrefix(strings.TrimSpace(rest), "Z")
}

func vanishes(t testing.TB, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); lives(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("guard %d is left behind", pid)
		}
	}
}

// TestDeathOfAWorker proves that however a worker dies, its guard reports the life that has ended, and then
// ends itself.
func TestDeathOfAWorker(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		kill func(p *process)
	}{
		{"killed", func(p *process) { p.signal(p.cmd.Process.Pid, syscall.SIGKILL) }},
		{"killed with its process group", func(p *process) { p.signal(-p.cmd.Process.Pid, syscall.SIGKILL) }},
		{"aborted", func(p *process) { p.signal(p.cmd.Process.Pid, syscall.SIGABRT) }},
		{"panic", func(p *process) { p.tell("panic") }},
		{"exit without a word", func(p *process) { p.tell("exit") }},
		{"after its guard", func(p *process) {
			first := p.guard()
			p.signal(first, syscall.SIGKILL)
			vanishes(p.t, first)
			for next := p.guard(); next == first || next == 0; next = p.guard() {
				time.Sleep(time.Millisecond)
			}
			p.signal(p.cmd.Process.Pid, syscall.SIGKILL)
		}},
		{"after its guard was told to end", func(p *process) {
			if line, err := p.err.ReadString('\n'); line != watching+"\n" {
				p.t.Fatalf("guard says %q, %v", line, err)
			}
			for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
				p.signal(p.guard(), s)
			}
			p.signal(p.cmd.Process.Pid, syscall.SIGKILL)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := &registrar{}
			p := startWorker(t, r.serve(t))
			guard := p.guard()
			row.kill(p)
			d := r.next(t)
			if d.GetName() != "w1" || d.GetInstanceId() != aLife.Instance || d.GetProcessNonce() != aLife.Nonce ||
				d.GetIncarnation() != aLife.Incarnation || d.GetClusterId() != aLife.Cluster {
				t.Errorf("obituary = %v", d)
			}
			vanishes(t, guard)
		})
	}
}

// TestNoObituary proves that a worker which says goodbye takes its guard along, and that one which is stopped
// or has hung up and lives is not reported.
func TestNoObituary(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		do   func(p *process)
	}{
		{"goodbye", func(*process) {}},
		{"stopped", func(p *process) {
			p.signal(p.cmd.Process.Pid, syscall.SIGSTOP)
			time.Sleep(200 * time.Millisecond) // what must not happen would happen within this time
			p.signal(p.cmd.Process.Pid, syscall.SIGCONT)
		}},
		{"hung up", func(p *process) {
			p.tell("hang up")
			time.Sleep(200 * time.Millisecond)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := &registrar{}
			p := startWorker(t, r.serve(t))
			guard := p.guard()
			row.do(p)
			if n := len(r.deaths); n != 0 {
				t.Errorf("%d obituaries of a worker that lives", n)
			}
			p.tell("bye")
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("worker: %v", err)
			}
			if lives(guard) && row.name != "hung up" { // that one is orphaned now, and reports a death that is true
				t.Errorf("guard %d is left behind", guard)
			}
		})
	}
}

// TestGuardOfNoCoordinator proves that a guard which reaches nobody ends when its time is over, and says what
// the coordinators answered.
func TestGuardOfNoCoordinator(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	tries := 0
	r := &registrar{ReportDeathFn: func(*pb.ReportDeathRequest) error {
		if tries++; tries == 3 {
			cancel(errDutyTime)
		}
		return status.Error(codes.Unavailable, "not now")
	}}
	err := (&Obituary{Credentials: plain, Logger: hclog.NewNullLogger()}).Do(ctx, Ward{Name: "w1", Join: []string{r.serve(t), unused}, Life: aLife})
	if !errors.Is(err, errDutyTime) || !strings.Contains(err.Error(), "not now") {
		t.Errorf("obituary that nobody takes: %v", err)
	}
}
