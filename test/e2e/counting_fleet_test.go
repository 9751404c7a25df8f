package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/coordinator"
	"proofload/internal/worker"
	pb "proofload/proto/proofload/v1"
)

// fleet is a coordinator with workers, and a client of its API as anybody could write one.
type fleet struct {
	runs    pb.RunServiceClient
	workers int
}

// startFleet starts a coordinator and workers; the test's end stops them and waits for them.
func startFleet(t *testing.T, workers int) *fleet {
	t.Helper()
	dir := t.TempDir()
	log := hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c, err := coordinator.New(ctx, coordinator.Options{
		Name: "counting", Listen: "127.0.0.1:0", HTTP: "-", DataDir: filepath.Join(dir, "c"), Version: "test", Logger: log,
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.Run(groupCtx) })
	for i := range workers {
		name := fmt.Sprintf("w%d", i+1)
		group.Go(func() error {
			return worker.Run(groupCtx, worker.Options{
				Name: name, Join: []string{c.Address()}, DataDir: filepath.Join(dir, name), Version: "test", Logger: log,
			})
		})
	}
	conn, err := grpc.NewClient(c.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	t.Cleanup(func() {
		if conn != nil {
			_ = conn.Close()
		}
		cancel()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("fleet: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("close coordinator: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Leading():
	case <-groupCtx.Done():
		t.Fatalf("the coordinator does not lead: %v", group.Wait())
	}
	return &fleet{runs: pb.NewRunServiceClient(conn), workers: workers}
}

// create records a run of the scenario on all workers of the fleet.
func (f *fleet) create(t *testing.T, scenario string) string {
	t.Helper()
	resp, err := f.runs.CreateRun(t.Context(), &pb.CreateRunRequest{
		RequestId: uuid.NewString(), Source: &pb.ScenarioSource{FileName: "counting.yaml", Scenario: fmt.Appendf(nil, "%sworkers: {min: %d}\n", scenario, f.workers)},
	})
	if err != nil {
		t.Fatalf("create run: %v", err)
	}
	return resp.GetRun().GetId()
}

// await follows a run until it is in the state.
func (f *fleet) await(t *testing.T, id string, state pb.RunState) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := f.runs.WatchRun(ctx, &pb.WatchRunRequest{RunId: id})
	if err != nil {
		t.Fatalf("watch run: %v", err)
	}
	last := &pb.Run{}
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatalf("watch run: %v; last it was %s: %s", err, last.GetState(), last.GetReason())
		}
		last = m.GetRun()
		if last.GetState() == state {
			return
		}
	}
}

func (f *fleet) pause(t *testing.T, id string) {
	t.Helper()
	if _, err := f.runs.PauseRun(t.Context(), &pb.PauseRunRequest{RequestId: uuid.NewString(), RunId: id}); err != nil {
		t.Fatalf("pause: %v", err)
	}
	f.await(t, id, pb.RunState_RUN_STATE_PAUSED)
}

func (f *fleet) resume(t *testing.T, id string) {
	t.Helper()
	if _, err := f.runs.ResumeRun(t.Context(), &pb.ResumeRunRequest{RequestId: uuid.NewString(), RunId: id}); err != nil {
		t.Fatalf("resume: %v", err)
	}
}

func (f *fleet) scale(t *testing.T, id string, factor float64) {
	t.Helper()
	if _, err := f.runs.ScaleRun(t.Context(), &pb.ScaleRunRequest{RequestId: uuid.NewString(), RunId: id, Factor: factor}); err != nil {
		t.Fatalf("scale: %v", err)
	}
}

func (f *fleet) stop(t *testing.T, id string) {
	t.Helper()
	if _, err := f.runs.StopRun(t.Context(), &pb.StopRunRequest{RequestId: uuid.NewString(), RunId: id, Reason: "enough"}); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// loadRow, requestRow and document are the parts of report.json that are counted here. They are
// written down apart from the product's types, because the names are a promise.
type loadRow struct {
	Planned   int64            `json:"planned"`
	Sent      int64            `json:"sent"`
	NotSent   map[string]int64 `json:"not_sent"`
	Unknown   int64            `json:"unknown"`
	Succeeded int64            `json:"succeeded"`
	Failed    int64            `json:"failed"`
}

type requestRow struct {
	Sent      int64 `json:"sent"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Retried   int64 `json:"retried"`
	Redirects int64 `json:"redirects"`
	Setup     int64 `json:"setup"`
	Teardown  int64 `json:"teardown"`
}

type document struct {
	Run struct {
		State  string  `json:"state"`
		Reason *string `json:"stop_reason"`
	} `json:"run"`
	Integrity struct {
		Completeness float64           `json:"completeness"`
		Gaps         []json.RawMessage `json:"gaps"`
		Workers      []struct {
			ID      string `json:"id"`
			Samples int64  `json:"samples"`
		} `json:"workers"`
	} `json:"integrity"`
	Load     loadRow    `json:"load"`
	Requests requestRow `json:"requests"`
	Phases   []struct {
		Name     string     `json:"name"`
		Load     loadRow    `json:"load"`
		Requests requestRow `json:"requests"`
	} `json:"phases"`
	Series []struct {
		Labels   map[string]string `json:"labels"`
		Requests int64             `json:"requests"`
		Errors   int64             `json:"errors"`
		ByKind   map[string]int64  `json:"errors_by_kind"`
	} `json:"series"`
	Measures []struct {
		Name  string   `json:"name"`
		Count int64    `json:"count"`
		Sum   *float64 `json:"sum"`
	} `json:"measures"`
}

// ended follows a run until the stream ends, which it does when the report is there.
func (f *fleet) ended(t *testing.T, id string) {
	t.Helper()
	stream, err := f.runs.WatchRun(t.Context(), &pb.WatchRunRequest{RunId: id})
	for err == nil {
		_, err = stream.Recv()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatalf("watch run: %v", err)
	}
}

// report waits for the end of a run and reads its report.
func (f *fleet) report(t *testing.T, id string) document {
	t.Helper()
	f.ended(t, id)
	stream, err := f.runs.GetReport(t.Context(), &pb.GetReportRequest{RunId: id, Format: pb.ReportFormat_REPORT_FORMAT_JSON})
	if err != nil {
		t.Fatalf("report: %v", err)
	}
	var data []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("report: %v", err)
		}
		data = append(data, m.GetData()...)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatalf("report: %v", err)
	}
	return d
}
