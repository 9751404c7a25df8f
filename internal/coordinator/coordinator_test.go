package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"proofload/internal/api"
	"proofload/internal/result/blob"
	pb "proofload/proto/proofload/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a coordinator that runs in this process.
type served struct {
	*Coordinator
	cancel  context.CancelFunc
	ended   chan error
	stopped sync.Once
}

func options(dir string) Options {
	return Options{
		Name: "c1", Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", DataDir: dir, Version: "test", Logger: hclog.NewNullLogger(),
	}
}

func start(t *testing.T, dir string) *served {
	t.Helper()
	c, err := New(t.Context(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{Coordinator: c, cancel: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- c.Run(ctx) }()
	return s
}

func (s *served) awaitLeader(t *testing.T) {
	t.Helper()
	select {
	case <-s.Leading():
	case err := <-s.ended:
		t.Fatalf("ended before it led: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("does not lead after a minute")
	}
}

// stop ends the coordinator; a second time it does nothing.
func (s *served) stop(t *testing.T) {
	t.Helper()
	s.stopped.Do(func() {
		s.cancel()
		if err := <-s.ended; err != nil {
			t.Errorf("run ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func (s *served) get(t *testing.T, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.HTTPAddress()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (s *served) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

const scenario1 = `
version: 1
name: waits
target: http://127.0.0.1:9
flows:
  f:
    - step: get
      http: {method: GET, path: /}
phases:
  - name: p
    flow: f
    rate:
      - hold: {at: 5/s, for: 5s}
`

// TestServe: a coordinator with an embedded etcd leads, says so over HTTP and gRPC, keeps what it was
// told over a restart on the same directory, and lets no second process have that directory.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	first.awaitLeader(t)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "leading", "/metrics": "proofload_coordinator_leader 1"} {
		if code, body := first.get(t, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in it", path, code, want)
		}
	}
	conn := first.dial(t)
	h, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", h, err)
	}
	created, err := pb.NewRunServiceClient(conn).CreateRun(t.Context(), &pb.CreateRunRequest{
		RequestId: "7b1f2a52-6d6f-4c55-9a0c-1d1f6f1f0001", Source: &pb.ScenarioSource{FileName: "s.yaml", Scenario: []byte(scenario1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := created.GetRun().GetId()
	if _, body := first.get(t, "/metrics"); !strings.Contains(body, "proofload_runs_active 1") {
		t.Error("the run is not among the active ones")
	}

	if c, err := New(t.Context(), options(dir)); err == nil {
		t.Error("a second coordinator has the same data directory")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	} else if text := err.Error(); !strings.Contains(text, dir) || strings.Contains(text, "\n") {
		t.Errorf("the refusal is not one line that names the directory: %q", text)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	first.stop(t)

	second := start(t, dir)
	second.awaitLeader(t)
	defer second.stop(t)
	conn = second.dial(t)
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, err := pb.NewRunServiceClient(conn).GetRun(t.Context(), &pb.GetRunRequest{RunId: id})
	if err != nil || got.GetRun().GetState() != pb.RunState_RUN_STATE_IDLE || got.GetRun().GetReason() == "" {
		t.Errorf("the waiting run after a restart: %v, %v", got, err)
	}
	again, err := pb.NewRunServiceClient(conn).CreateRun(t.Context(), &pb.CreateRunRequest{
		RequestId: "7b1f2a52-6d6f-4c55-9a0c-1d1f6f1f0001", Source: &pb.ScenarioSource{FileName: "s.yaml", Scenario: []byte(scenario1)},
	})
	if err != nil || again.GetRun().GetId() != id {
		t.Errorf("the same request after a restart: %v, %v", again, err)
	}
	st, err := pb.NewFleetServiceClient(conn).GetStatus(t.Context(), &pb.GetStatusRequest{})
	if err != nil || st.GetLeader().GetName() != "c1" {
		t.Errorf("status %v, %v", st, err)
	}
}

// TestPortTaken is one line that says what to do, and leaves nothing behind.
func TestPortTaken(t *testing.T) {
	c, err := New(t.Context(), options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	for flag, o := range map[string]Options{
		"--listen": {Listen: c.Address(), HTTP: "-"}, "--http": {Listen: "127.0.0.1:0", HTTP: c.HTTPAddress()},
	} {
		o.DataDir, o.Logger = t.TempDir(), hclog.NewNullLogger()
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), flag) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s taken: %v", flag, err)
		}
	}
}

// TestOptions: everything that is wrong is told at once.
func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want []string
	}{
		{"nothing given", Options{}, []string{"--data-dir"}},
		{"open to the world", Options{DataDir: "d", Listen: "0.0.0.0:1", HTTP: "[::]:2"}, []string{"--listen", "--http", "--insecure"}},
		{"half a certificate", Options{DataDir: "d", TLS: TLSOptions{CertFile: "c"}}, []string{"--tls-cert and --tls-key"}},
		{"store of its own", Options{DataDir: "d", EtcdEndpoints: []string{"e:1"}}, []string{"--store", "shared=true"}},
		{"file store that is not shared", Options{DataDir: "d", Store: "file:///d", EtcdEndpoints: []string{"e:1"}}, []string{"shared=true"}},
		{"credentials in the store", Options{DataDir: "d", Store: "s3://AKIA:hunter2@b"}, []string{"--store", "in the environment"}},
		{"commits too often", Options{DataDir: "d", CommitEvery: time.Millisecond}, []string{"--commit-every", "1s to 5s"}},
		{"commits too seldom", Options{DataDir: "d", CommitEvery: time.Minute}, []string{"--commit-every", "1s to 5s"}},
		{"no address for others", Options{DataDir: "d", Listen: ":7470", Insecure: true, Store: "file:///d?shared=true", EtcdEndpoints: []string{"e:1"}}, []string{"--advertise"}},
		{"authorities of peers without TLS", Options{DataDir: "d", TLS: TLSOptions{PeerCAFile: "c"}}, []string{"--tls-peer-ca"}},
		{"no port", Options{DataDir: "d", Listen: "here"}, []string{"HOST:PORT"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprint(tt.o.Validate())
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
		})
	}
	good := []Options{
		{DataDir: "d", Store: "file:///d?shared=true", EtcdEndpoints: []string{"e:1"}},
		{DataDir: "d", Store: "s3://bucket?region=eu-west-1", EtcdEndpoints: []string{"e:1"}},
		{DataDir: "d", Listen: "[::1]:0"},
		{DataDir: "d", Listen: "localhost:1", HTTP: "-"},
		{DataDir: "d", Listen: "0.0.0.0:1", Insecure: true},
	}
	for _, o := range good {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestCommitInterval: an object store is written to half as often, unless it is said otherwise.
func TestCommitInterval(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want time.Duration
	}{
		{Options{DataDir: "d"}, time.Second},
		{Options{DataDir: "d", Store: "file:///d?shared=true"}, time.Second},
		{Options{DataDir: "d", Store: "s3://bucket"}, 2 * time.Second},
		{Options{DataDir: "d", Store: "gs://bucket", CommitEvery: 5 * time.Second}, 5 * time.Second},
		{Options{DataDir: "d", CommitEvery: 3 * time.Second}, 3 * time.Second},
	} {
		if got := tt.o.commitEvery(); got != tt.want || tt.o.Validate() != nil {
			t.Errorf("%+v: every %v, want %v (%v)", tt.o, got, tt.want, tt.o.Validate())
		}
	}
}

// TestMissingFile is named by whoever asks for it, and once.
func TestMissingFile(t *testing.T) {
	store, err := blob.OpenFile(blob.FileOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	_, err = files{store}.GetFile(t.Context(), strings.Repeat("0", 64))
	if !errors.Is(err, api.ErrNotFound) || strings.Contains(err.Error(), "file") {
		t.Errorf("error %v", err)
	}
}
