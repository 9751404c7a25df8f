package embedded

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

// childEnv marks a test process in which etcd is made to give up. Such an etcd leaves goroutines
// behind, so it must not share a process with other tests.
const childEnv = "PROOFLOAD_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// inChild runs the calling test in a process of its own and tells whether this is that process.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	} else if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("in a process of its own:\n%s", out)
	}
	return false
}

func TestDamagedDataIsAnErrorAndNoCrash(t *testing.T) {
	if !inChild(t) {
		return
	}
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "member-data", "member", "wal", "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("write-ahead logs: %q, %v", logs, err)
	}
	for _, name := range logs {
		if err := os.WriteFile(name, bytes.Repeat([]byte{0xff}, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Start on damaged data: %v, want an error of one line that names %s", err, dir)
	}
}

// start starts a server on dir that ends with the test.
func start(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func clusterID(t *testing.T, s *Server) uint64 {
	t.Helper()
	resp, err := s.Client().Get(t.Context(), "/")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return resp.Header.ClusterId
}

func TestWhatIsAcknowledgedSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Logf("ready after %s", time.Since(began)) // for the reader; a busy machine proves nothing
	id := clusterID(t, s)
	if _, err := s.Client().Put(t.Context(), "/k", "v"); err != nil {
		t.Fatalf("Put: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}

	s = start(t, dir)
	resp, err := s.Client().Get(t.Context(), "/k")
	if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "v" {
		t.Errorf("after restart: %v, %v; want v", resp, err)
	}
	if got := clusterID(t, s); got != id {
		t.Errorf("cluster id after restart = %x, want %x", got, id)
	}
}

func TestEachDirectoryIsAClusterOfItsOwn(t *testing.T) {
	a, b := clusterID(t, start(t, t.TempDir())), clusterID(t, start(t, t.TempDir()))
	if a == b {
		t.Errorf("two directories share cluster id %x: their epochs would look comparable", a)
	}
}

func TestDirectoryInUseIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	_, err := Start(t.Context(), Options{Dir: dir})
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("second Start: %v, want ErrInUse", err)
	}
	for _, part := range []string{dir, "process"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error is more than one line: %q", err)
	}
}

func TestDirectoryThatCannotBeMadeIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: filepath.Join(file, "data")})
	if !errors.Is(err, ErrNotWritable) || !strings.Contains(err.Error(), file) {
		t.Errorf("Start below a file: %v, want ErrNotWritable that names it", err)
	}
}

func TestNothingListens(t *testing.T) {
	s := start(t, t.TempDir())
	if n := len(s.etcd.Clients) + len(s.etcd.Peers); n != 0 {
		t.Errorf("%d listeners, want none", n)
	}
	for _, port := range []string{"2379", "2380"} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", port), time.Second)
		if err == nil {
			_ = conn.Close()
			t.Logf("something else answers on %s", port)
		}
	}
}

func TestCompactionIsOn(t *testing.T) {
	s := start(t, t.TempDir())
	if cfg := s.etcd.Server.Cfg; cfg.AutoCompactionRetention != 10*time.Minute || cfg.AutoCompactionMode != "periodic" {
		t.Errorf("compaction = %s every %s, want periodic every 10m", cfg.AutoCompactionMode, cfg.AutoCompactionRetention)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := Start(ctx, Options{Dir: t.TempDir()})
	if err == nil { // it was ready before anyone looked
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		return
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start with a cancelled context: %v", err)
	}
}

func TestLogTakesWarningsAndErrorsOnly(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Info}), func(error) {})
	log.Info("quiet")
	log.Warn("simple token is not cryptographically signed")
	log.Warn("Failed to detect schema version", zap.Error(errors.New("missing term information")))
	log.Warn("5dcf028db5a1b9fa cannot campaign at term 1 since there are still pending configuration changes to apply")
	log.With(zap.String("data-dir", "d")).Warn("slow", zap.Int("took", 3))
	log.Error("broken", zap.Error(syscall.EIO))
	got := out.String()
	for _, want := range []string{"slow: data_dir=d took=3", "[ERROR] broken: error=\"input/output error\""} {
		if !strings.Contains(got, want) {
			t.Errorf("log %q lacks %q", got, want)
		}
	}
	for _, unwanted := range []string{"quiet", "simple token", "schema version", "campaign"} {
		if strings.Contains(got, unwanted) {
			t.Errorf("log %q says what nobody needs: %s", got, unwanted)
		}
	}
}

func TestFatalReportsAndDoesNotExit(t *testing.T) {
	failed := make(chan error, 1)
	log := newLogger(hclog.NewNullLogger(), func(err error) { failed <- err })
	done := make(chan struct{})
	go func() {
		defer close(done)
		log.Fatal("failed to save entries", zap.Error(syscall.ENOSPC))
		t.Error("code behind a fatal entry ran")
	}()
	<-done
	if err := <-failed; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("failure = %v, want ENOSPC", err)
	}
}
