package api

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/grpc/codes"

	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

// TestCreateIsIdempotent: the same request id is the same run.
func TestCreateIsIdempotent(t *testing.T) {
	r := serve(t)
	first, again, other := r.create(t, request1), r.create(t, request1), r.create(t, request2)
	if first.GetId() != again.GetId() || first.GetId() == other.GetId() || first.GetName() != "small" {
		t.Errorf("runs %s, %s, %s", first.GetId(), again.GetId(), other.GetId())
	}
	if r.got[0].QueueTimeout != time.Minute {
		t.Errorf("queue timeout %v", r.got[0].QueueTimeout)
	}
}

// TestFieldRules: a request that breaks the rules of its proto file names every field that does.
func TestFieldRules(t *testing.T) {
	r := serve(t)
	_, err := r.runs.CreateRun(t.Context(), &pb.CreateRunRequest{RequestId: "not a uuid"})
	st := wantCode(t, err, codes.InvalidArgument)
	var fields []string
	for _, v := range detail[*validate.Violations](t, st).GetViolations() {
		fields = append(fields, v.GetField().GetElements()[0].GetFieldName())
	}
	slices.Sort(fields)
	if !slices.Equal(fields, []string{"request_id", "source"}) {
		t.Errorf("fields %v", fields)
	}
	stream, err := r.runs.WatchRun(t.Context(), &pb.WatchRunRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, err, codes.InvalidArgument)
}

// TestScenarioProblems come with file, line and column, and nothing is created.
func TestScenarioProblems(t *testing.T) {
	r := serve(t)
	_, err := r.runs.CreateRun(t.Context(), &pb.CreateRunRequest{RequestId: request1, Source: source("version: 1\nname: x\nbogus: 1\n")})
	d := detail[*pb.ScenarioProblems](t, wantCode(t, err, codes.InvalidArgument))
	if !slices.ContainsFunc(d.GetProblems(), func(p *pb.ScenarioProblem) bool {
		return p.GetFile() == "s.yaml" && p.GetLine() == 3 && p.GetColumn() == 1
	}) {
		t.Errorf("problems %v", d)
	}
	if len(r.got) != 0 {
		t.Error("a broken scenario was passed on")
	}
	v, err := r.runs.ValidateScenario(t.Context(), &pb.ValidateScenarioRequest{Source: source(small)})
	if err != nil || len(v.GetPlanJson()) == 0 || v.GetPlanText() == "" {
		t.Errorf("a good scenario: %v, %v", v, err)
	}
	missing := &pb.ScenarioSource{FileName: "s.yaml", ScenarioDigest: "00"}
	_, err = r.runs.ValidateScenario(t.Context(), &pb.ValidateScenarioRequest{Source: missing})
	wantCode(t, err, codes.NotFound)
}

// TestCommands: what the state machine refuses is told with the state, a limit as a bad argument, and
// an ended run takes none.
func TestCommands(t *testing.T) {
	r := serve(t)
	id := r.create(t, request1).GetId()
	_, err := r.runs.PauseRun(t.Context(), &pb.PauseRunRequest{RequestId: request2, RunId: id})
	d := detail[*pb.IllegalTransition](t, wantCode(t, err, codes.FailedPrecondition))
	if d.GetState() != pb.RunState_RUN_STATE_IDLE || d.GetRunId() != id {
		t.Errorf("detail %v", d)
	}
	_, err = r.runs.PauseRun(t.Context(), &pb.PauseRunRequest{RequestId: request2, RunId: "nobody"})
	wantCode(t, err, codes.NotFound)
	if err := running(r.memory, id); err != nil {
		t.Fatal(err)
	}
	_, err = r.runs.ScaleRun(t.Context(), &pb.ScaleRunRequest{RequestId: request2, RunId: id, Factor: 3})
	wantCode(t, err, codes.InvalidArgument)
	for range 2 { // a repetition is the same command
		m, err := r.runs.PauseRun(t.Context(), &pb.PauseRunRequest{RequestId: request1, RunId: id})
		if err != nil || m.GetRun().GetState() != pb.RunState_RUN_STATE_PAUSED {
			t.Fatalf("pause: %v, %v", m, err)
		}
	}
	_, err = r.runs.DeleteRun(t.Context(), &pb.DeleteRunRequest{RequestId: request2, RunId: id})
	d = detail[*pb.IllegalTransition](t, wantCode(t, err, codes.FailedPrecondition))
	if d.GetState() != pb.RunState_RUN_STATE_PAUSED || d.GetRunId() != id || d.GetCommand() != "delete" {
		t.Errorf("detail of a deletion %v", d)
	}
	ended := r.runs2(id, run.Completed)
	if _, err := r.runs.StopRun(t.Context(), &pb.StopRunRequest{RequestId: request2, RunId: ended}); err == nil {
		t.Error("an ended run was stopped")
	} else {
		d = detail[*pb.IllegalTransition](t, wantCode(t, err, codes.FailedPrecondition))
		if d.GetState() != pb.RunState_RUN_STATE_COMPLETED {
			t.Errorf("detail of a stop after the end %v", d)
		}
	}
	if _, err := r.runs.DeleteRun(t.Context(), &pb.DeleteRunRequest{RequestId: request2, RunId: id}); err != nil {
		t.Error(err)
	}
	_, err = r.runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: id})
	wantCode(t, err, codes.NotFound)
}

// runs2 puts a run into a state.
func (r *rig) runs2(id string, s run.State) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.memory.runs[id]
	rec.State = s
	r.memory.runs[id] = rec
	return id
}

// TestPaging: every run is on exactly one page.
func TestPaging(t *testing.T) {
	r := serve(t)
	for i := range 7 {
		r.create(t, fmt.Sprintf("7b1f2a52-6d6f-4c55-9a0c-1d1f6f1f%04d", i))
	}
	var got []string
	token := ""
	for page := 0; page == 0 || token != ""; page++ {
		m, err := r.runs.ListRuns(t.Context(), &pb.ListRunsRequest{PageSize: 3, PageToken: token})
		if err != nil || len(m.GetRuns()) > 3 || page > 3 {
			t.Fatalf("page %d: %v, %v", page, m, err)
		}
		for _, x := range m.GetRuns() {
			got = append(got, x.GetId())
		}
		token = m.GetNextPageToken()
	}
	if len(got) != 7 || len(slices.Compact(slices.Sorted(slices.Values(got)))) != 7 {
		t.Errorf("pages hold %v", got)
	}
	_, err := r.runs.ListRuns(t.Context(), &pb.ListRunsRequest{PageSize: 1001})
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.runs.ListRuns(t.Context(), &pb.ListRunsRequest{States: []pb.RunState{99}})
	wantCode(t, err, codes.InvalidArgument)
}

// TestReport comes in pieces that are the whole.
func TestReport(t *testing.T) {
	r := serve(t)
	id := r.create(t, request1).GetId()
	stream, err := r.runs.GetReport(t.Context(), &pb.GetReportRequest{RunId: id, Format: pb.ReportFormat_REPORT_FORMAT_MARKDOWN})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(m.GetData())
	}
	if n != 600_000 {
		t.Errorf("%d bytes", n)
	}
}
