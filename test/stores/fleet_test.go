package stores

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/coordinator"
	"proofload/internal/worker"
	pb "proofload/proto/proofload/v1"
)

// fleet is a coordinator on a store, with two workers, and a client of its API.
type fleet struct {
	t       *testing.T
	metrics []string // where the workers serve theirs
	runs    pb.RunServiceClient
	all     pb.FleetServiceClient
	stop    func()
}

func startFleet(t *testing.T, store string) *fleet {
	t.Helper()
	dir := t.TempDir()
	log := hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c, err := coordinator.New(ctx, coordinator.Options{
		Name: "c", Listen: "127.0.0.1:0", HTTP: "-", DataDir: filepath.Join(dir, "c"), Store: store, Version: "test", Logger: log,
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.Run(groupCtx) })
	var metrics []string
	for _, name := range []string{"w1", "w2"} {
		address := freeAddress(t)
		metrics = append(metrics, "http://"+address+"/metrics")
		group.Go(func() error {
			return worker.Run(groupCtx, worker.Options{Name: name, Join: []string{c.Address()}, HTTP: address, DataDir: filepath.Join(dir, name), Version: "test", Logger: log})
		})
	}
	conn, err := grpc.NewClient(c.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Error(err) // below, everything is closed first
	}
	stopped := false
	f := &fleet{t: t, metrics: metrics, runs: pb.NewRunServiceClient(conn), all: pb.NewFleetServiceClient(conn), stop: func() {
		if stopped {
			return
		}
		stopped = true
		_ = conn.Close()
		cancel()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("fleet: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("close coordinator: %v", err)
		}
	}}
	t.Cleanup(f.stop)
	select {
	case <-c.Leading():
	case <-groupCtx.Done():
		t.Fatalf("the coordinator does not lead: %v", group.Wait())
	}
	return f
}

// target is a server that counts what reaches it.
func target(t *testing.T) (url string, count *atomic.Int64) {
	t.Helper()
	count = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { count.Add(1) }))
	t.Cleanup(s.Close)
	return s.URL, count
}

// rate is that of the scenario, per second.
const rate = 50

func (f *fleet) create(url string, length time.Duration) string {
	f.t.Helper()
	scenario := fmt.Sprintf(`version: 1
name: store
seed: 7
target: %s
allow_targets: [127.0.0.1]
workers: {min: 2}
flows:
  f:
    - step: look
      http: {method: GET, path: /a}
phases:
  - name: open
    flow: f
    arrivals: uniform
    rate:
      - hold: {at: %d/s, for: %v}
criteria:
  - name: something was measured
    check: count(requests) > 0
`, url, rate, length)
	resp, err := f.runs.CreateRun(f.t.Context(), &pb.CreateRunRequest{
		RequestId: uuid.NewString(), Source: &pb.ScenarioSource{FileName: "store.yaml", Scenario: []byte(scenario)},
	})
	if err != nil {
		f.t.Fatalf("create run: %v", err)
	}
	return resp.GetRun().GetId()
}

func (f *fleet) get(id string) *pb.Run {
	f.t.Helper()
	resp, err := f.runs.GetRun(f.t.Context(), &pb.GetRunRequest{RunId: id})
	if err != nil {
		f.t.Fatalf("get run: %v", err)
	}
	return resp.GetRun()
}

// unacked is how many batches the workers hold that nobody has acknowledged, by what they say of themselves.
func (f *fleet) unacked() (n int) {
	f.t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for _, url := range f.metrics {
		req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			f.t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			f.t.Fatal(err)
		}
		found := outboxBatches.FindSubmatch(body)
		if found == nil {
			f.t.Fatalf("no outbox in the metrics of %s", url)
		}
		batches, err := strconv.Atoi(string(found[1]))
		if err != nil {
			f.t.Fatal(err)
		}
		n += batches
	}
	return n
}

var outboxBatches = regexp.MustCompile(`(?m)^\S*outbox_batches (\d+)$`)

// problems is what the status of the fleet complains of.
func (f *fleet) problems() []string {
	f.t.Helper()
	resp, err := f.all.GetStatus(f.t.Context(), &pb.GetStatusRequest{})
	if err != nil {
		f.t.Fatalf("status: %v", err)
	}
	return resp.GetProblems()
}

// document is what is looked at in report.json.
type document struct {
	Run struct {
		State string `json:"state"`
	} `json:"run"`
	Integrity struct {
		Completeness float64           `json:"completeness"`
		Gaps         []json.RawMessage `json:"gaps"`
	} `json:"integrity"`
	Load struct {
		Planned, Sent, Unknown int64
		NotSent                map[string]int64 `json:"not_sent"`
	} `json:"load"`
	Requests struct {
		Sent int64 `json:"sent"`
	} `json:"requests"`
}

// report waits for the end of a run and reads its report.
func (f *fleet) report(id string) (d document) {
	f.t.Helper()
	watch, err := f.runs.WatchRun(f.t.Context(), &pb.WatchRunRequest{RunId: id})
	for err == nil {
		_, err = watch.Recv()
	}
	if !errors.Is(err, io.EOF) {
		f.t.Fatalf("watch run: %v", err)
	}
	stream, err := f.runs.GetReport(f.t.Context(), &pb.GetReportRequest{RunId: id, Format: pb.ReportFormat_REPORT_FORMAT_JSON})
	if err != nil {
		f.t.Fatalf("report: %v", err)
	}
	var data []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.t.Fatalf("report: %v", err)
		}
		data = append(data, m.GetData()...)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		f.t.Fatalf("report: %v", err)
	}
	return d
}
