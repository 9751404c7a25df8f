package fleet

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// tapped is a coordinator whose worker streams pass through Halts; what serves them is the test's.
type tapped struct {
	pb.UnimplementedWorkerServiceServer
	halts    *Halts
	inForce  atomic.Pointer[wire.Halt]
	workers  pb.WorkerServiceClient
	conn     *grpc.ClientConn
	AttachFn func(grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error
}

// Attach implements WorkerService.
func (s *tapped) Attach(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
	return s.AttachFn(stream)
}

func newTapped(t *testing.T) *tapped {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &tapped{}
	s.halts = NewHalts(func() (wire.Halt, bool) {
		h := s.inForce.Load()
		if h == nil {
			return wire.Halt{}, false
		}
		return *h, true
	})
	server := grpc.NewServer(append(ServerOptions(), grpc.Creds(Lines(insecure.NewCredentials())), grpc.ChainStreamInterceptor(s.halts.Stream))...)
	pb.RegisterWorkerServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	if s.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	s.workers = pb.NewWorkerServiceClient(s.conn)
	t.Cleanup(func() { _ = s.conn.Close(); server.Stop(); serving.Wait() })
	return s
}

// welcoming serves a worker that is told nothing but a welcome and one assignment.
func welcoming(a *pb.Assignment) func(grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
	return func(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if err := stream.Send(&pb.AttachResponse{Payload: &pb.AttachResponse_Welcome{Welcome: &pb.Welcome{}}}); err != nil {
			return err
		}
		if a != nil {
			if err := stream.Send(&pb.AttachResponse{Payload: &pb.AttachResponse_Assignment{Assignment: a}}); err != nil {
				return err
			}
		}
		for {
			if _, err := stream.Recv(); err != nil {
				return err
			}
		}
	}
}

func (s *tapped) attach(t *testing.T, name, run string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	stream, err := s.workers.Attach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, stream: stream, cancel: cancel}
	h := helloOf(name)
	if run != "" {
		h.Status = &pb.AssignmentStatus{RunId: run}
	}
	if err := stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Hello{Hello: h}}); err != nil && !errors.Is(err, io.EOF) { // refused at once
		t.Fatal(err)
	}
	return c
}

func relayedBy(ctx context.Context, name string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, wire.MetaRelayedBy, name)
}

func order(runID, request string) wire.Halt {
	return wire.Halt{Run: runID, Kind: run.StopOperator, Reason: "enough", Order: wire.Order{Request: request, AskedOf: "c1", Asked: time.Unix(1000, 0).UTC()}}
}

func isHalt(m *pb.AttachResponse) bool { return m.GetHalt() != nil }

// TestHaltReachesWorkers proves that a stop reaches the workers which execute the run and no others, whoever
// serves them, that a worker's confirmation is seen, and that one which comes later, or is given the run later, is
// told as well until the stop is recorded.
func TestHaltReachesWorkers(t *testing.T) {
	s := newTapped(t)
	s.AttachFn = welcoming(nil)
	a, b, other := s.attach(t, "a", "r1"), s.attach(t, "b", "r1"), s.attach(t, "other", "r2")
	for _, c := range []*client{a, b, other} {
		c.until("the welcome", func(m *pb.AttachResponse) bool { return m.GetWelcome() != nil })
	}
	var confirming sync.WaitGroup
	confirming.Go(func() {
		m := a.until("the stop", isHalt).GetHalt()
		a.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Status{Status: &pb.AssignmentStatus{RunId: m.GetRunId(), StopKind: m.GetKind(), Halt: m}}})
	})
	passed, err := s.halts.Halt(t.Context(), order("r1", "q1"))
	confirming.Wait()
	if err != nil || !slices.Equal(passed.Told, []string{"a", "b"}) || !slices.Equal(passed.Stopped, []string{"a"}) || !slices.Equal(passed.Runs, []string{"r1"}) {
		t.Errorf("passed %+v, %v", passed, err)
	}
	m := b.until("the stop", isHalt).GetHalt()
	if got := wire.HaltFromProto(m); got != order("r1", "q1") {
		t.Errorf("the worker was told %+v", got)
	}
	late := s.attach(t, "late", "r1")
	late.until("the stop after the welcome", isHalt)
	s.AttachFn = welcoming(&pb.Assignment{RunId: "r1", Goal: pb.Assignment_GOAL_RUN})
	fresh := s.attach(t, "fresh", "")
	fresh.until("the assignment", assignment)
	fresh.until("the stop after the assignment", isHalt)
	eventually(t, "all are known to have been told", func() bool {
		passed := s.halts.Reached("q1")
		return slices.Equal(passed.Told, []string{"a", "b", "fresh", "late"}) && slices.Equal(passed.Stopped, []string{"a"})
	})
	if got := s.halts.Runs(); !slices.Equal(got, []string{"r1", "r2"}) {
		t.Errorf("runs %v", got)
	}
	// A repeated one is kept once, and one that is recorded is told to nobody any more.
	if _, err := s.halts.Halt(t.Context(), order("r1", "q1")); err != nil || len(s.halts.Kept()) != 1 {
		t.Errorf("kept %+v, %v", s.halts.Kept(), err)
	}
	s.halts.Forget("q1")
	s.AttachFn = func(grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
		return status.Error(codes.FailedPrecondition, "nobody leads")
	}
	if err := s.attach(t, "last", "r1").end(); len(status.Convert(err).Details()) > 0 {
		t.Errorf("refused with %v", err)
	}
}

// TestHaltOfEveryRun proves that a halt of every run reaches every worker that executes one, and says which runs those
// are; that a worker which comes meanwhile and executes any is told as well; and that one without a run is not.
func TestHaltOfEveryRun(t *testing.T) {
	s := newTapped(t)
	s.AttachFn = welcoming(nil)
	a, b, idle := s.attach(t, "a", "r1"), s.attach(t, "b", "r2"), s.attach(t, "idle", "")
	for _, c := range []*client{a, b, idle} {
		c.until("the welcome", func(m *pb.AttachResponse) bool { return m.GetWelcome() != nil })
	}
	all := order("", "q1")
	var confirming sync.WaitGroup
	for c, id := range map[*client]string{a: "r1", b: "r2"} {
		confirming.Go(func() {
			m := c.until("the halt", isHalt).GetHalt()
			c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Status{Status: &pb.AssignmentStatus{RunId: id, StopKind: m.GetKind(), Halt: m}}})
		})
	}
	passed, err := s.halts.Halt(t.Context(), all)
	confirming.Wait()
	if err != nil || !slices.Equal(passed.Told, []string{"a", "b"}) || !slices.Equal(passed.Stopped, []string{"a", "b"}) || !slices.Equal(passed.Runs, []string{"r1", "r2"}) {
		t.Errorf("passed %+v, %v", passed, err)
	}
	if got := s.halts.Confirmed(t.Context()); !slices.Equal(got.Told, []string{"a", "b"}) || !slices.Equal(got.Stopped, []string{"a", "b"}) || !slices.Equal(got.Runs, []string{"r1", "r2"}) {
		t.Errorf("confirmed %+v", got)
	}
	late := s.attach(t, "late", "r3")
	if m := late.until("the halt after the welcome", isHalt).GetHalt(); wire.HaltFromProto(m) != all {
		t.Errorf("the worker was told %v", m)
	}
	eventually(t, "the late one is known to have been told", func() bool {
		return slices.Equal(s.halts.Reached("q1").Runs, []string{"r1", "r2", "r3"})
	})
	s.halts.Forget("q1")
	if got := s.halts.Confirmed(t.Context()); !slices.Equal(got.Told, []string{"a", "b", "late"}) || !slices.Equal(got.Stopped, []string{"a", "b"}) {
		t.Errorf("confirmed %+v", got)
	}
}

// TestRefusalCarriesStops proves that a worker which nobody serves is told with the refusal.
func TestRefusalCarriesStops(t *testing.T) {
	s := newTapped(t)
	s.AttachFn = func(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		return withDetail(codes.FailedPrecondition, "this coordinator does not lead", &pb.LeaderInfo{Name: "c9"})
	}
	for _, one := range []wire.Halt{order("r1", "q1"), order("r2", "q2")} {
		if passed, err := s.halts.Halt(t.Context(), one); len(passed.Told) > 0 || err != nil {
			t.Fatalf("passed %+v, %v", passed, err)
		}
	}
	err := s.attach(t, "a", "r1").end()
	var halts []*pb.Halt
	for _, d := range status.Convert(err).Details() {
		if h, ok := d.(*pb.Halt); ok {
			halts = append(halts, h)
		}
	}
	if status.Code(err) != codes.FailedPrecondition || detail[*pb.LeaderInfo](t, err).GetName() != "c9" || len(halts) != 1 || halts[0].GetRequestId() != "q1" {
		t.Errorf("refused with %v and %v", err, halts)
	}
	if passed := s.halts.Reached("q1"); !slices.Equal(passed.Told, []string{"a"}) || len(passed.Stopped) > 0 {
		t.Errorf("passed %+v", passed)
	}
	// One whose run is not known, because nothing was read of it, is told everything.
	s.AttachFn = func(grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
		return status.Error(codes.Unavailable, "leader c9 cannot be reached from here")
	}
	if n := len(status.Convert(s.attach(t, "a", "r1").end()).Details()); n != 2 {
		t.Errorf("%d details, want both stops", n)
	}
}

// TestRecordedHaltReachesWhoIsCutOff proves that a worker whose leader cannot be reached from here is told of the halt
// that is recorded, with the refusal, and so is one that is welcomed.
func TestRecordedHaltReachesWhoIsCutOff(t *testing.T) {
	s := newTapped(t)
	s.inForce.Store(new(order("", "q1")))
	s.AttachFn = func(grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
		return status.Error(codes.Unavailable, "leader c9 cannot be reached from here")
	}
	if h := detail[*pb.Halt](t, s.attach(t, "a", "r1").end()); h.GetRequestId() != "q1" || h.GetRunId() != "" {
		t.Errorf("refused with the halt %v", h)
	}
	s.AttachFn = welcoming(nil)
	c := s.attach(t, "a", "r1")
	if h := c.until("the halt", isHalt).GetHalt(); h.GetRequestId() != "q1" {
		t.Errorf("told of %v", h)
	}
}

// TestStopsAreBounded proves that stops which nobody can record do not fill the memory.
func TestStopsAreBounded(t *testing.T) {
	h := NewHalts(nil)
	for i := range mostHalts {
		if _, err := h.keep(order("r", string(rune('a'+i)))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Halt(t.Context(), order("r", "one too many")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one too many: %v", err)
	}
	if _, err := h.keep(order("", "everything")); err != nil {
		t.Errorf("many stops of one run keep all from being stopped: %v", err)
	}
}

// TestWhyAWorkerIsAway proves that people are told what became of a worker's stream, and not that a context
// was canceled.
func TestWhyAWorkerIsAway(t *testing.T) {
	for name, row := range map[string]struct {
		leave func(t *testing.T, s *tapped, c *client)
		via   string
		want  string
	}{
		"its connection is closed":  {func(t *testing.T, s *tapped, _ *client) { _ = s.conn.Close() }, "", "its connection is gone: the other end closed it"},
		"it gives its stream up":    {func(_ *testing.T, _ *tapped, c *client) { c.cancel() }, "", "it gave its stream up without a goodbye"},
		"it closes its stream":      {func(_ *testing.T, _ *tapped, c *client) { _ = c.stream.CloseSend() }, "", "it closed its stream without a goodbye"},
		"its relay's stream ends":   {func(_ *testing.T, _ *tapped, c *client) { c.cancel() }, "c2", "its stream through coordinator c2 has ended without a goodbye"},
		"its relay's connection is": {func(_ *testing.T, s *tapped, _ *client) { _ = s.conn.Close() }, "c2", "the connection to coordinator c2, which relayed it, is gone: the other end closed it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTapped(t)
			b := &recorder{events: make(chan event, 16)}
			f := New(Options{
				Logger: hclog.NewNullLogger(), Leader: wire.Leader{Name: "c1", Epoch: 5}, Cluster: 77, Clock: func() int64 { return int64(time.Hour) },
				Heartbeat: time.Second, Leading: func() bool { return true }, Handler: b,
				Incarnation: func(context.Context) (int64, error) { return 7, nil },
			})
			server := NewServer(hclog.NewNullLogger(), 77)
			server.Lead(f)
			s.AttachFn = server.Attach
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if row.via != "" {
				ctx = relayedBy(ctx, row.via)
			}
			stream, err := s.workers.Attach(ctx)
			if err != nil {
				t.Fatal(err)
			}
			c := &client{t: t, stream: stream, cancel: cancel}
			c.hello(helloOf("w"))
			c.until("the welcome", func(m *pb.AttachResponse) bool { return m.GetWelcome() != nil })
			row.leave(t, s, c)
			got := strings.Replace(b.next(t, "detached").reason, "the other end reset it", "the other end closed it", 1) // what was unread then is the kernel's
			if got != row.want {
				t.Errorf("it is away because %q, want %q", got, row.want)
			}
		})
	}
}

// TestUnackedBatchesAreShown proves that what a worker says of its outbox is what the fleet shows.
func TestUnackedBatchesAreShown(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	h.Outbox = []*pb.OutboxState{{RunId: "r1", Incarnation: 5, OldestUnacked: 4, NextSeq: 10}, {RunId: "r2", Incarnation: 5, OldestUnacked: 3, NextSeq: 3}}
	c, _ := b.join(h)
	if w, _ := b.fleet.Worker("w1"); w.Unacked != 6 {
		t.Errorf("%d unacked after the hello, want 6", w.Unacked)
	}
	c.beat(&pb.Heartbeat{Number: 1, SentNanos: 1, UnackedBatches: 9})
	c.until("the answer", heartbeat)
	if w, _ := b.fleet.Worker("w1"); w.Unacked != 9 {
		t.Errorf("%d unacked after the heartbeat, want 9", w.Unacked)
	}
}
