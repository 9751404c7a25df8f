package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a backend that keeps runs in memory and lets the real state machine decide.
type memory struct {
	mu       sync.Mutex
	runs     map[string]run.Run
	order    []string
	requests map[string]string
	files    map[string][]byte
	follower *follower
	got      []NewRun
	hang     bool // reads wait for their deadline
}

func newMemory() *memory {
	return &memory{runs: map[string]run.Run{}, requests: map[string]string{}, files: map[string][]byte{}}
}

func (m *memory) Create(_ context.Context, n NewRun) (wire.RunView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, n)
	id, known := m.requests[n.RequestID]
	if !known {
		id = "run-" + strconv.Itoa(len(m.runs)+100)
		m.requests[n.RequestID] = id
		m.runs[id] = run.New(run.Options{ID: id, Name: n.Plan.Name, RequestID: n.RequestID, Seed: n.Plan.Seed, Time: time.Now()})
		m.order = append(m.order, id)
	}
	return wire.RunView{Run: m.runs[id]}, nil
}

func (m *memory) Command(_ context.Context, id string, ev run.Event) (wire.RunView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs[id].State.Final() {
		return wire.RunView{}, fmt.Errorf("run %s: %w", id, ErrEnded)
	}
	if ev.Kind == run.ScaleRequested {
		ev.MaxFactor = 2
	}
	ev.Time = time.Now()
	next, _, err := run.Step(m.runs[id], ev)
	if err != nil {
		return wire.RunView{}, err
	}
	m.runs[id] = next
	return wire.RunView{Run: next}, nil
}

func (m *memory) Watch(_ context.Context, id string) (Follower, error) {
	if m.follower == nil {
		return nil, fmt.Errorf("run %s: %w", id, ErrEnded)
	}
	return m.follower, nil
}

func (m *memory) Get(ctx context.Context, id string) (wire.RunView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hang {
		<-ctx.Done()
		return wire.RunView{}, ctx.Err()
	}
	r, ok := m.runs[id]
	if !ok {
		return wire.RunView{}, fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	return wire.RunView{Run: r, Ended: r.State.Final()}, nil
}

func (m *memory) List(_ context.Context, q Query) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var p Page
	for _, id := range slices.Backward(m.order) {
		r := m.runs[id]
		if (q.Token != "" && id >= q.Token) || (len(q.States) > 0 && !slices.Contains(q.States, r.State)) {
			continue
		}
		if len(p.Runs) == q.Limit {
			p.Next = p.Runs[q.Limit-1].Run.ID
			break
		}
		p.Runs = append(p.Runs, wire.RunView{Run: r})
	}
	return p, nil
}

func (m *memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.runs[id]; !ok {
		return fmt.Errorf("run %s: %w", id, ErrNotFound)
	} else if !r.State.Final() {
		return fmt.Errorf("run %s: %w: stop it first", id, ErrActive)
	}
	delete(m.runs, id)
	return nil
}

func (m *memory) Report(_ context.Context, _, format string) ([]byte, error) {
	if format == "" {
		return nil, fmt.Errorf("report: %w", ErrNotFound)
	}
	return bytes.Repeat([]byte(format), 300_000), nil
}

func (m *memory) PutFile(_ context.Context, data []byte) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	m.files[digest] = bytes.Clone(data)
	return digest, nil
}

func (m *memory) GetFile(_ context.Context, digest string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data, ok := m.files[digest]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("file %s: %w", digest, ErrNotFound)
}

func (m *memory) Workers() []Worker {
	return []Worker{
		{Name: "a", State: "free", Labels: map[string]string{"zone": "eu"}, Capacity: 1, Bound: time.Millisecond},
		{Name: "b", State: "busy", Run: "run-100"},
	}
}

func (m *memory) Status(context.Context) (Status, error) {
	return Status{Leader: wire.Leader{Name: "c1", Address: "here:1", Epoch: 3}, Problems: []string{"something"}}, nil
}

// follower hands out what a test gives it.
type follower struct {
	wake    chan struct{}
	updates chan []wire.Update
	closed  chan struct{}
}

func (f *follower) C() <-chan struct{}  { return f.wake }
func (f *follower) Next() []wire.Update { return <-f.updates }
func (f *follower) Close()              { close(f.closed) }

// rig is the real services over an in-memory connection.
type rig struct {
	*memory
	server *Server
	conn   *grpc.ClientConn
	runs   pb.RunServiceClient
	fleet  pb.FleetServiceClient
	stop   func() // of leading
}

func serve(t *testing.T) *rig {
	t.Helper()
	r := &rig{memory: newMemory(), server: NewServer("test")}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(16<<20), grpc.ChainUnaryInterceptor(Unary), grpc.ChainStreamInterceptor(Stream))
	r.server.Register(g)
	healthpb.RegisterHealthServer(g, health.NewServer())
	reflection.Register(g)
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	r.conn, r.runs, r.fleet = conn, pb.NewRunServiceClient(conn), pb.NewFleetServiceClient(conn)
	r.stop = r.server.Lead(&Backend{Conductor: r.memory, Archive: r.memory, Files: r.memory, Cluster: r.memory}, wire.Leader{Name: "c1", Epoch: 3})
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func wantCode(t *testing.T, err error, want codes.Code) *status.Status {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != want {
		t.Errorf("got %v, want %v", err, want)
	}
	return st
}

// detail returns the first detail of a type.
func detail[T any](t *testing.T, st *status.Status) T {
	t.Helper()
	for _, d := range st.Details() {
		if v, ok := d.(T); ok {
			return v
		}
	}
	var none T
	t.Errorf("%q has no detail %T among %v", st.Message(), none, st.Details())
	return none
}

const (
	request1 = "7b1f2a52-6d6f-4c55-9a0c-1d1f6f1f0001"
	request2 = "7b1f2a52-6d6f-4c55-9a0c-1d1f6f1f0002"
	small    = `
version: 1
name: small
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
)

func source(text string) *pb.ScenarioSource {
	return &pb.ScenarioSource{FileName: "s.yaml", Scenario: []byte(text)}
}

func (r *rig) create(t *testing.T, request string) *pb.Run {
	t.Helper()
	m, err := r.runs.CreateRun(t.Context(), &pb.CreateRunRequest{RequestId: request, Source: source(small), QueueTimeout: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return m.GetRun()
}

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
	wantCode(t, err, codes.FailedPrecondition)
	ended := r.runs2(id, run.Completed)
	if _, err := r.runs.StopRun(t.Context(), &pb.StopRunRequest{RequestId: request2, RunId: ended}); err == nil {
		t.Error("an ended run was stopped")
	} else {
		wantCode(t, err, codes.FailedPrecondition)
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

func running(m *memory, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs[id]
	shards := run.ShardMap{Revision: 1, Owners: []run.Owner{{Member: run.Member{Worker: "a", Incarnation: 1}, Ranges: []run.Range{{From: 0, To: run.Positions}}}}}
	for _, ev := range []run.Event{
		{Kind: run.WorkersAssigned, Shards: &shards}, {Kind: run.ValidationOK}, {Kind: run.BarrierReady}, {Kind: run.Started, T0: time.Now()},
	} {
		ev.Time = time.Now()
		var err error
		if r, _, err = run.Step(r, ev); err != nil {
			return err
		}
	}
	m.runs[id] = r
	return nil
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

func (r *rig) upload(t *testing.T, digest string, chunks ...[]byte) (*pb.UploadFileResponse, error) {
	t.Helper()
	stream, err := r.runs.UploadFile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range chunks {
		m := &pb.UploadFileRequest{Data: c}
		if i == 0 {
			m.Digest = digest
		}
		if err := stream.Send(m); errors.Is(err, io.EOF) {
			break // the answer says why
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return stream.CloseAndRecv()
}

// TestUpload: content is stored under its digest, and what is not what it claims is not stored.
func TestUpload(t *testing.T) {
	r := serve(t)
	one, two := bytes.Repeat([]byte("a"), 1<<20), []byte("the rest")
	sum := sha256.Sum256(append(bytes.Clone(one), two...))
	digest := hex.EncodeToString(sum[:])
	m, err := r.upload(t, digest, one, two)
	if err != nil || m.GetDigest() != digest || m.GetSize() != 1<<20+8 {
		t.Errorf("%v, %v", m, err)
	}
	_, err = r.upload(t, digest, two, one)
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.upload(t, digest, one)
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.upload(t, "", one)
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.upload(t, digest, make([]byte, 1<<20+1))
	wantCode(t, err, codes.InvalidArgument)
	if len(r.files) != 1 {
		t.Errorf("%d files stored", len(r.files))
	}
	empty := sha256.Sum256(nil)
	if m, err := r.upload(t, hex.EncodeToString(empty[:]), nil); err != nil || m.GetSize() != 0 {
		t.Errorf("an empty file: %v, %v", m, err)
	}
}

// TestUploadTooLarge: the bound holds before the memory is taken.
func TestUploadTooLarge(t *testing.T) {
	r := serve(t)
	chunk := make([]byte, 1<<20)
	chunks := make([][]byte, maxFile>>20+1)
	for i := range chunks {
		chunks[i] = chunk
	}
	_, err := r.upload(t, "00", chunks...)
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

// TestDeadline: a call ends with its deadline.
func TestDeadline(t *testing.T) {
	r := serve(t)
	r.hang = true
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := r.runs.GetRun(ctx, &pb.GetRunRequest{RunId: "x"})
	wantCode(t, err, codes.DeadlineExceeded)
}

// TestWatch: updates come with their events and what was missed, until the run has ended; a client
// that leaves frees its follower.
func TestWatch(t *testing.T) {
	r := serve(t)
	id := r.create(t, request1).GetId()
	r.follower = &follower{wake: make(chan struct{}, 1), updates: make(chan []wire.Update, 2), closed: make(chan struct{})}
	live := wire.RunView{Run: run.Run{ID: id, State: run.Running}, Progress: &wire.Progress{CommittedThrough: 4}}
	ended := wire.RunView{Run: run.Run{ID: id, State: run.Completed}, Ended: true}
	r.follower.updates <- []wire.Update{{View: live, Missed: 3, Events: []wire.Event{{Number: 1, Kind: "state"}}}, {View: live}}
	r.follower.updates <- []wire.Update{{View: ended}}
	r.follower.wake <- struct{}{}
	stream, err := r.runs.WatchRun(t.Context(), &pb.WatchRunRequest{RunId: id})
	if err != nil {
		t.Fatal(err)
	}
	var got []*pb.WatchRunResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if len(got) != 3 || got[0].GetMissed() != 3 || len(got[0].GetEvents()) != 1 || got[2].GetRun().GetState() != pb.RunState_RUN_STATE_COMPLETED {
		t.Errorf("messages %v", got)
	}
	<-r.follower.closed

	r.follower = &follower{wake: make(chan struct{}), updates: make(chan []wire.Update, 1), closed: make(chan struct{})}
	r.follower.updates <- []wire.Update{{View: live}}
	ctx, cancel := context.WithCancel(t.Context())
	if stream, err = r.runs.WatchRun(ctx, &pb.WatchRunRequest{RunId: id}); err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Error(err)
	}
	cancel()
	<-r.follower.closed
	r.follower = nil
	r.runs2(id, run.Completed)
	if stream, err = r.runs.WatchRun(t.Context(), &pb.WatchRunRequest{RunId: id}); err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Errorf("watching an ended run: %v", err)
	}
}

// TestNotLeading: a coordinator that does not lead says who does.
func TestNotLeading(t *testing.T) {
	r := serve(t)
	r.stop()
	r.server.Follow(wire.Leader{Name: "c2", Address: "there:2", Epoch: 5})
	_, err := r.runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: "x"})
	d := detail[*pb.LeaderInfo](t, wantCode(t, err, codes.FailedPrecondition))
	if d.GetAddress() != "there:2" || d.GetEpoch() != 5 {
		t.Errorf("leader %v", d)
	}
	_, err = r.upload(t, "00", []byte("x"))
	wantCode(t, err, codes.FailedPrecondition)
}

// TestFleet shows workers by their labels, and the state of the cluster.
func TestFleet(t *testing.T) {
	r := serve(t)
	all, err := r.fleet.ListWorkers(t.Context(), &pb.ListWorkersRequest{})
	if err != nil || len(all.GetWorkers()) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	eu, err := r.fleet.ListWorkers(t.Context(), &pb.ListWorkersRequest{Match: map[string]string{"zone": "eu"}})
	if err != nil || len(eu.GetWorkers()) != 1 || eu.GetWorkers()[0].GetName() != "a" {
		t.Errorf("%v, %v", eu, err)
	}
	st, err := r.fleet.GetStatus(t.Context(), &pb.GetStatusRequest{})
	if err != nil || st.GetLeader().GetEpoch() != 3 || len(st.GetProblems()) != 1 {
		t.Errorf("%v, %v", st, err)
	}
}

// TestReflectionAndHealth: grpcurl finds every service without a proto file.
func TestReflectionAndHealth(t *testing.T) {
	r := serve(t)
	h, err := healthpb.NewHealthClient(r.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", h, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range m.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"proofload.v1.RunService", "proofload.v1.FleetService"} {
		if !slices.Contains(names, want) {
			t.Errorf("services %v do not have %s", names, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}
