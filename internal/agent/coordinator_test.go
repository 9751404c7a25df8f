package agent

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// coordinator serves Attach to one link over an in-memory connection and does only what the test says:
// every session is handed to the test, which conducts it.
type coordinator struct {
	pb.UnimplementedWorkerServiceServer
	sessions chan *attached
	// FindLeaderFn answers who leads; nil: nothing is known of that.
	FindLeaderFn func() *pb.FindLeaderResponse
}

// FindLeader implements WorkerService.
func (c *coordinator) FindLeader(context.Context, *pb.FindLeaderRequest) (*pb.FindLeaderResponse, error) {
	if c.FindLeaderFn == nil {
		return &pb.FindLeaderResponse{}, nil
	}
	return c.FindLeaderFn(), nil
}

// attached is the coordinator's end of one session.
type attached struct {
	t      *testing.T
	stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]
	hello  *pb.Hello
	direct bool                   // it is not to be relayed
	in     chan *pb.AttachRequest // closed when the worker has closed its side
	end    chan error             // ends the session with a status
	gone   chan struct{}          // closed when the session is over
}

// Attach implements WorkerService.
func (c *coordinator) Attach(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s := &attached{
		stream: stream, hello: first.GetHello(), direct: len(metadata.ValueFromIncomingContext(stream.Context(), wire.MetaDirect)) > 0, in: make(chan *pb.AttachRequest, 1<<16),
		end: make(chan error, 1), gone: make(chan struct{}),
	}
	defer close(s.gone)
	var reading sync.WaitGroup
	reading.Go(func() { // ends when the handler has returned
		defer close(s.in)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			s.in <- m
		}
	})
	c.sessions <- s
	select {
	case err := <-s.end:
		return err
	case <-stream.Context().Done():
		return context.Cause(stream.Context())
	}
}

// heard is what a link passed on.
type heard struct {
	assigned []wire.Assignment
	leases   []lease
	drains   []string
	lives    []Life
	halts    []wire.Halt
}

// ear is a receiver that keeps what it is told.
type ear struct {
	mu    sync.Mutex
	heard heard
}

func (e *ear) note(change func(*heard)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.heard)
}

func (e *ear) assigned(a wire.Assignment) {
	e.note(func(h *heard) { h.assigned = append(h.assigned, a) })
}

func (e *ear) tasked(wire.Task) {}

func (e *ear) leased(l lease) { e.note(func(h *heard) { h.leases = append(h.leases, l) }) }

func (e *ear) drained(reason string) { e.note(func(h *heard) { h.drains = append(h.drains, reason) }) }

// so returns what was passed on up to now, once nothing more comes by itself.
func (e *ear) so() heard {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard
}

// line is a link with the coordinator that it is attached to, in a bubble of synctest.
type line struct {
	t           *testing.T
	coordinator *coordinator
	agent       *Agent
	link        *link
	ear         *ear
	leave       context.CancelFunc // tells the worker to end
	slept       atomic.Int64       // nanoseconds in which the process did not get to run
	ended       chan error         // what run returned
}

// onLine runs fn with a link that keeps trying to attach.
func onLine(t *testing.T, fn func(l *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &line{t: t, coordinator: &coordinator{sessions: make(chan *attached, 16)}, ear: &ear{}, ended: make(chan error, 1)}
		listener := bufconn.Listen(1 << 20)
		server := grpc.NewServer(grpc.WaitForHandlers(true))
		pb.RegisterWorkerServiceServer(server, l.coordinator)
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := server.Serve(listener); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		began := time.Now().Add(-time.Hour)
		a, err := New(Options{
			Name: "w1", Addresses: []string{"passthrough:///c1"}, DataDir: t.TempDir(), Version: "test",
			Clock: func() int64 { return int64(time.Since(began)) + l.slept.Load() }, Logger: hclog.NewNullLogger(),
			Credentials: insecure.NewCredentials(), Lives: func(n Life) { l.ear.note(func(h *heard) { h.lives = append(h.lives, n) }) },
			Dial: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) })},
		})
		if err != nil {
			t.Fatal(err)
		}
		a.link.to = l.ear
		l.agent, l.link = a, a.link
		ctx, cancel := context.WithCancel(t.Context())
		l.leave = cancel
		serving.Go(func() { l.ended <- l.link.run(ctx) })
		defer func() {
			cancel()
			server.Stop()
			serving.Wait()
			l.link.dial.close()
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}()
		fn(l)
	})
}

// seal puts batches of run r into the outbox, as the work of incarnation 7 does.
func (l *line) seal(n int) {
	l.t.Helper()
	for range n {
		appendBatch(l.t, l.agent.outbox, "r", 7, "samples")
		l.link.wakeUp()
	}
}

// accept waits for the worker to attach; it is not welcomed yet.
func (l *line) accept() *attached {
	l.t.Helper()
	select {
	case s := <-l.coordinator.sessions:
		s.t = l.t
		return s
	case err := <-l.ended:
		l.t.Fatalf("the link ended with %v", err)
	case <-time.After(time.Minute):
		l.t.Fatal("the worker did not attach within a minute")
	}
	return nil
}

// epoch is that of the leader which the tests begin with, cluster its etcd cluster.
const (
	epoch   = 5
	cluster = 77
)

// attach accepts and welcomes the worker; it says through which batch run r is committed.
func (l *line) attach(through uint64) *attached {
	l.t.Helper()
	s := l.accept()
	s.welcome(epoch, through)
	return s
}

func (s *attached) welcome(epoch int64, through uint64) {
	s.t.Helper()
	s.sendOf(epoch, &pb.AttachResponse{Payload: &pb.AttachResponse_Welcome{Welcome: &pb.Welcome{
		SessionId: "s", Incarnation: 7, ClusterId: cluster, Leader: wire.LeaderToProto(wire.Leader{Name: "c1", Address: "c1:7470", Epoch: epoch}),
		HeartbeatInterval: durationpb.New(time.Second),
		Committed:         wire.MarksToProto([]wire.Mark{{Run: "r", Incarnation: 7, Through: through}}),
	}}})
}

func (s *attached) send(m *pb.AttachResponse) {
	s.t.Helper()
	s.sendOf(epoch, m)
}

func (s *attached) sendOf(epoch int64, m *pb.AttachResponse) {
	s.t.Helper()
	m.Epoch = epoch
	if err := s.stream.Send(m); err != nil {
		s.t.Fatalf("send %T: %v", m.GetPayload(), err)
	}
}

func (s *attached) ack(through uint64) {
	s.t.Helper()
	marks := []wire.Mark{{Run: "r", Incarnation: 7, Through: through}}
	s.send(&pb.AttachResponse{Payload: &pb.AttachResponse_Ack{Ack: &pb.Ack{Marks: wire.MarksToProto(marks)}}})
}

// breathe says something that means nothing: the worker gives a coordinator up that says nothing at all.
func (s *attached) breathe() {
	s.t.Helper()
	s.send(&pb.AttachResponse{Payload: &pb.AttachResponse_Heartbeat{Heartbeat: &pb.HeartbeatReply{}}})
}

func (s *attached) nack(want uint64, reason wire.NackReason) {
	s.t.Helper()
	n := wire.Nack{Run: "r", Incarnation: 7, Want: want, Reason: reason, Message: "refused"}
	s.send(&pb.AttachResponse{Payload: &pb.AttachResponse_Nack{Nack: wire.NackToProto(n)}})
}

func (s *attached) assign(epoch int64, a wire.Assignment) {
	s.t.Helper()
	s.sendOf(epoch, &pb.AttachResponse{Payload: &pb.AttachResponse_Assignment{Assignment: wire.AssignmentToProto(a)}})
}

// so returns what the worker has sent since the last call, once it sends nothing more by itself.
func (s *attached) so() []*pb.AttachRequest {
	s.t.Helper()
	synctest.Wait()
	var out []*pb.AttachRequest
	for {
		select {
		case m, ok := <-s.in:
			if !ok {
				return out
			}
			out = append(out, m)
		default:
			return out
		}
	}
}

// batches returns the numbers of the batches sent since the last call.
func (s *attached) batches() []uint64 {
	s.t.Helper()
	var out []uint64
	for _, m := range s.so() {
		if b := m.GetMetrics(); b != nil {
			out = append(out, b.GetSeq())
		}
	}
	return out
}

// breakOff ends the session from the coordinator's side and waits until it is over.
func (s *attached) breakOff(err error) {
	s.t.Helper()
	s.end <- err
	<-s.gone
}

func (e *ear) runTime(int64) (string, time.Duration, bool) { return "", 0, false }

func (e *ear) reborn() {}

func (e *ear) halted(h wire.Halt) { e.note(func(n *heard) { n.halts = append(n.halts, h) }) }
