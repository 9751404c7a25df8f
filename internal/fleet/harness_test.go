package fleet

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; no test expects anything to take a certain time.
const patience = 20 * time.Second

// event is one call of the handler.
type event struct {
	kind    string // attached, detached, received
	worker  Worker
	message wire.Upward
	goodbye bool
	reason  string
}

// recorder is a Handler that passes every call on.
type recorder struct {
	events     chan event
	AttachedFn func(Worker, wire.Hello) []wire.Mark
}

func (r *recorder) Attached(w Worker, h wire.Hello) []wire.Mark {
	r.events <- event{kind: "attached", worker: w}
	if r.AttachedFn != nil {
		return r.AttachedFn(w, h)
	}
	return nil
}

func (r *recorder) Detached(w Worker, reason string, goodbye bool) {
	r.events <- event{kind: "detached", worker: w, goodbye: goodbye, reason: reason}
}

func (r *recorder) Leaving(w Worker, _ string) {
	r.events <- event{kind: "leaving", worker: w}
}

func (r *recorder) Received(w Worker, m wire.Upward) {
	r.events <- event{kind: "received", worker: w, message: m}
}

// next returns the next call of a kind, passing over others.
func (r *recorder) next(t testing.TB, kind string) event {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-r.events:
			if e.kind == kind {
				return e
			}
		case <-deadline:
			t.Fatalf("handler was not told %q", kind)
		}
	}
}

// bench is a real gRPC server over an in-memory connection, with a fleet that leads and a clock that
// the test moves.
type bench struct {
	t        testing.TB
	server   *Server
	fleet    *Fleet
	handler  *recorder
	now      atomic.Int64
	leading  atomic.Bool
	life     atomic.Int64
	listener *bufconn.Listener
	stop     func() // ends the term
	keep     func() // ends the term, and keeps the workers
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{
		t: t, server: NewServer(hclog.NewNullLogger(), 77), listener: bufconn.Listen(1 << 16),
		handler: &recorder{events: make(chan event, 1<<16)},
	}
	b.now.Store(int64(time.Hour))
	b.leading.Store(true)
	b.life.Store(100)
	b.fleet = b.term(5)
	b.stop, b.keep = b.server.Lead(b.fleet)
	srv := grpc.NewServer(append(ServerOptions(), grpc.WaitForHandlers(true))...)
	b.server.Register(srv)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(b.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() { srv.Stop(); serving.Wait() })
	return b
}

// term is the fleet of one term of this coordinator.
func (b *bench) term(epoch int64) *Fleet {
	return New(Options{
		Logger: hclog.NewNullLogger(), Leader: wire.Leader{Name: "c1", Address: "127.0.0.1:7470", Epoch: epoch},
		Cluster: 77, Clock: b.now.Load, Heartbeat: time.Second, Leading: b.leading.Load, Handler: b.handler,
		Incarnation: func(context.Context) (int64, error) { return b.life.Add(1), nil },
		File: func(_ context.Context, digest string) ([]byte, error) {
			if digest != bigDigest {
				return nil, errors.New("there is no such file")
			}
			return bigFile, nil
		},
	})
}

// client is a worker as the server sees it.
type client struct {
	t      testing.TB
	stream grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse]
	cancel context.CancelFunc
}

func (b *bench) dialer() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return b.listener.DialContext(ctx) })
}

// dial opens a stream on a connection of its own and sends nothing.
func (b *bench) dial(opts ...grpc.DialOption) *client {
	b.t.Helper()
	conn, err := grpc.NewClient("passthrough:///fleet", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes)),
		b.dialer(),
	}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	b.t.Cleanup(func() { cancel(); _ = conn.Close() })
	stream, err := pb.NewWorkerServiceClient(conn).Attach(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return &client{t: b.t, stream: stream, cancel: cancel}
}

// life names one life of a worker; the bench hands out 101, 102 and so on.
func life(name string, incarnation int64) run.Member {
	return run.Member{Worker: name, Incarnation: incarnation}
}

func helloOf(name string) *pb.Hello {
	return wire.HelloToProto(wire.Hello{
		Protocol: wire.ProtocolVersion, Name: name, Instance: uuid.NewString(), Nonce: uuid.NewString(),
		Version: "test", Capacity: 1, Hostname: "host-" + name, CPUs: 2, Platform: "linux/amd64",
	})
}

// join attaches a worker and reads the welcome.
func (b *bench) join(h *pb.Hello) (*client, *pb.Welcome) {
	b.t.Helper()
	c := b.dial()
	c.hello(h)
	m, err := c.stream.Recv()
	if err != nil {
		b.t.Fatalf("attach: %v", err)
	}
	if m.GetWelcome() == nil {
		b.t.Fatalf("first answer is %T, want Welcome", m.GetPayload())
	}
	return c, m.GetWelcome()
}

func (c *client) send(m *pb.AttachRequest) {
	c.t.Helper()
	if err := c.stream.Send(m); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) hello(h *pb.Hello) {
	c.t.Helper()
	c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Hello{Hello: h}})
}

func (c *client) beat(h *pb.Heartbeat) {
	c.t.Helper()
	c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Heartbeat{Heartbeat: h}})
}

// until receives until want accepts a message.
func (c *client) until(what string, want func(*pb.AttachResponse) bool) *pb.AttachResponse {
	c.t.Helper()
	for {
		m, err := c.stream.Recv()
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", what, err)
		}
		if want(m) {
			return m
		}
	}
}

// end receives until the stream ends and returns why.
func (c *client) end() error {
	c.t.Helper()
	for {
		if _, err := c.stream.Recv(); err != nil {
			return err
		}
	}
}

func assignment(m *pb.AttachResponse) bool { return m.GetAssignment() != nil }
func heartbeat(m *pb.AttachResponse) bool  { return m.GetHeartbeat() != nil }

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(time.Millisecond)
	}
}
