package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// mostDrawn is how many arrivals of a phase are drawn for a caller to count them; a fifth of a second of work.
const mostDrawn = 10_000_000

// maxFile bounds an uploaded file.
const maxFile = 256 << 20

// runService implements RunService over the backend of whoever leads.
type runService struct {
	pb.UnimplementedRunServiceServer
	server *Server
}

func (s *runService) UploadFile(stream grpc.ClientStreamingServer[pb.UploadFileRequest, pb.UploadFileResponse]) error {
	b, err := s.server.backend()
	if err != nil {
		return statusOf(err)
	}
	var data bytes.Buffer
	want := ""
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if want == "" {
			want = m.GetDigest()
		}
		if data.Len()+len(m.GetData()) > maxFile {
			return invalid("file is larger than %d MiB", maxFile>>20)
		}
		data.Write(m.GetData())
	}
	sum := sha256.Sum256(data.Bytes())
	if got := hex.EncodeToString(sum[:]); got != want {
		return invalid("content has digest %s, not %q: the first message must name the digest of the whole file", got, want)
	}
	digest, err := b.Files.PutFile(stream.Context(), data.Bytes())
	if err != nil {
		return statusOf(err)
	}
	return stream.SendAndClose(&pb.UploadFileResponse{Digest: digest, Size: int64(data.Len())})
}

func (s *runService) ValidateScenario(ctx context.Context, r *pb.ValidateScenarioRequest) (*pb.ValidateScenarioResponse, error) {
	b, err := s.server.backend()
	if err != nil {
		return nil, statusOf(err)
	}
	plan, err := load(ctx, b.Files, r.GetSource())
	if err != nil {
		return nil, statusOf(err)
	}
	data, err := plan.Encode()
	if err != nil {
		return nil, statusOf(err)
	}
	var text strings.Builder
	if err := plan.Render(&text, scenario.RenderOptions{Workers: max(plan.Workers.Min, 1), Counts: schedule.Counts(plan, mostDrawn)}); err != nil {
		return nil, statusOf(err)
	}
	return &pb.ValidateScenarioResponse{PlanJson: data, PlanText: text.String()}, nil
}

func (s *runService) CreateRun(ctx context.Context, r *pb.CreateRunRequest) (*pb.CreateRunResponse, error) {
	b, err := s.server.backend()
	if err != nil {
		return nil, statusOf(err)
	}
	plan, err := load(ctx, b.Files, r.GetSource())
	if err != nil {
		return nil, statusOf(err)
	}
	if err := confirmed(plan, r.GetSource().GetConfirm()); err != nil {
		return nil, err
	}
	v, err := b.Conductor.Create(ctx, NewRun{
		RequestID: r.GetRequestId(), Plan: plan, Files: r.GetSource().GetFiles(), QueueTimeout: r.GetQueueTimeout().AsDuration(),
	})
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.CreateRunResponse{Run: wire.RunToProto(v)}, nil
}

func (s *runService) GetRun(ctx context.Context, r *pb.GetRunRequest) (*pb.GetRunResponse, error) {
	b, err := s.server.reader()
	if err != nil {
		return nil, statusOf(err)
	}
	v, err := b.Archive.Get(ctx, r.GetRunId())
	if err != nil {
		return nil, statusOf(err)
	}
	return &pb.GetRunResponse{Run: wire.RunToProto(v), Progress: wire.ProgressToProto(v.Progress)}, nil
}

func (s *runService) ListRuns(ctx context.Context, r *pb.ListRunsRequest) (*pb.ListRunsResponse, error) {
	b, err := s.server.reader()
	if err != nil {
		return nil, statusOf(err)
	}
	q := Query{Name: r.GetName(), Limit: int(r.GetPageSize()), Token: r.GetPageToken()}
	if q.Limit == 0 {
		q.Limit = 100
	}
	for _, st := range r.GetStates() {
		state := wire.StateFromProto(st)
		if state == "" {
			return nil, invalid("unknown state %d", st)
		}
		q.States = append(q.States, state)
	}
	page, err := b.Archive.List(ctx, q)
	if err != nil {
		return nil, statusOf(err)
	}
	out := &pb.ListRunsResponse{NextPageToken: page.Next}
	for _, v := range page.Runs {
		out.Runs = append(out.Runs, wire.RunToProto(v))
	}
	return out, nil
}

func (s *runService) PauseRun(ctx context.Context, r *pb.PauseRunRequest) (*pb.PauseRunResponse, error) {
	v, err := s.command(ctx, r.GetRunId(), run.Event{Kind: run.PauseRequested, ID: r.GetRequestId(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &pb.PauseRunResponse{Run: wire.RunToProto(v)}, nil
}

func (s *runService) ResumeRun(ctx context.Context, r *pb.ResumeRunRequest) (*pb.ResumeRunResponse, error) {
	v, err := s.command(ctx, r.GetRunId(), run.Event{Kind: run.ResumeRequested, ID: r.GetRequestId(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &pb.ResumeRunResponse{Run: wire.RunToProto(v)}, nil
}

func (s *runService) ScaleRun(ctx context.Context, r *pb.ScaleRunRequest) (*pb.ScaleRunResponse, error) {
	v, err := s.command(ctx, r.GetRunId(), run.Event{
		Kind: run.ScaleRequested, ID: r.GetRequestId(), Reason: r.GetReason(), Factor: r.GetFactor(),
	})
	if err != nil {
		return nil, err
	}
	return &pb.ScaleRunResponse{Run: wire.RunToProto(v)}, nil
}

func (s *runService) command(ctx context.Context, id string, ev run.Event) (wire.RunView, error) {
	b, err := s.server.backend()
	if err != nil {
		return wire.RunView{}, statusOf(err)
	}
	v, err := b.Archive.Get(ctx, id) // resolves last, and tells an ended run from an unknown one
	if err != nil {
		return wire.RunView{}, statusOf(err)
	}
	v, err = b.Conductor.Command(ctx, v.Run.ID, ev)
	if errors.Is(err, ErrNotLeading) {
		return wire.RunView{}, statusOf(s.server.notLeading())
	}
	if err != nil {
		return wire.RunView{}, statusOf(err)
	}
	return v, nil
}

func (s *runService) DeleteRun(ctx context.Context, r *pb.DeleteRunRequest) (*pb.DeleteRunResponse, error) {
	b, err := s.server.backend()
	if err != nil {
		return nil, statusOf(err)
	}
	if err := b.Archive.Delete(ctx, r.GetRunId()); err != nil {
		return nil, b.refused(ctx, r.GetRunId(), "delete", err)
	}
	return &pb.DeleteRunResponse{}, nil
}

// refused is the answer to what a run that is under way does not allow; it says in which state the run is.
func (b *Backend) refused(ctx context.Context, id, command string, err error) error {
	if !errors.Is(err, ErrActive) {
		return statusOf(err)
	}
	v, gerr := b.Archive.Get(ctx, id)
	if gerr != nil {
		return statusOf(err)
	}
	return detailed(codes.FailedPrecondition, err, &pb.IllegalTransition{
		RunId: v.Run.ID, State: wire.StateToProto(v.Run.State), Command: command,
	})
}

var formats = map[pb.ReportFormat]string{
	pb.ReportFormat_REPORT_FORMAT_JSON: "json", pb.ReportFormat_REPORT_FORMAT_MARKDOWN: "md",
	pb.ReportFormat_REPORT_FORMAT_HTML: "html", pb.ReportFormat_REPORT_FORMAT_JUNIT: "xml",
}

// reportChunk is the size of one piece of a report.
const reportChunk = 256 << 10

func (s *runService) GetReport(r *pb.GetReportRequest, stream grpc.ServerStreamingServer[pb.GetReportResponse]) error {
	b, err := s.server.backend()
	if err != nil {
		return statusOf(err)
	}
	data, err := b.Archive.Report(stream.Context(), r.GetRunId(), formats[r.GetFormat()])
	if err != nil {
		return b.refused(stream.Context(), r.GetRunId(), "report", err)
	}
	for len(data) > 0 {
		n := min(len(data), reportChunk)
		if err := stream.Send(&pb.GetReportResponse{Data: data[:n]}); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
