package fleet

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// report sends an obituary on a connection of its own, as a guard does.
func (b *bench) report(d *pb.ReportDeathRequest) error {
	b.t.Helper()
	conn, err := grpc.NewClient("passthrough:///fleet", grpc.WithTransportCredentials(insecure.NewCredentials()), b.dialer())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = pb.NewWorkerServiceClient(conn).ReportDeath(ctx, d)
	return err
}

func deathOf(h *pb.Hello, incarnation int64) *pb.ReportDeathRequest {
	return &pb.ReportDeathRequest{
		Name: h.GetName(), InstanceId: h.GetInstanceId(), ProcessNonce: h.GetProcessNonce(), Incarnation: incarnation, ClusterId: 77,
	}
}

// TestObituary proves that the report of a death ends the session of a worker that is silent, and that the
// handler hears of it as of a goodbye: once, and after what the worker sent last.
func TestObituary(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	c, _ := b.join(h)
	b.fleet.Reserve("r1", nil, 1)
	c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Status{Status: &pb.AssignmentStatus{RunId: "r1"}}})
	if err := b.report(deathOf(h, 101)); err != nil {
		t.Fatalf("obituary: %v", err)
	}
	b.handler.next(t, "received")
	if e := b.handler.next(t, "detached"); !e.goodbye || e.worker.Incarnation != 101 || e.worker.Run != "r1" {
		t.Errorf("detached = %+v", e)
	}
	if err := c.end(); status.Code(err) != codes.Aborted {
		t.Errorf("session of the dead ended with %v, want Aborted", err)
	}
	if w, ok := b.fleet.Worker("w1"); !ok || w.Connected || w.Run != "r1" {
		t.Errorf("dead worker = %+v, %v", w, ok)
	}
	if err := b.report(deathOf(h, 101)); err != nil {
		t.Errorf("obituary once more: %v", err)
	}
	if n := len(b.handler.events); n != 0 {
		t.Errorf("handler was told %d times more", n)
	}
}

// TestObituaryOfABrokenStream proves that the end of the stream, which comes by itself when a process dies,
// counts as a goodbye whichever of the two the leader hears of first.
func TestObituaryOfABrokenStream(t *testing.T) {
	for _, first := range []string{"stream", "obituary"} {
		t.Run(first, func(t *testing.T) {
			b := newBench(t)
			h := helloOf("w1")
			c, _ := b.join(h)
			b.fleet.Reserve("r1", nil, 1)
			if first == "stream" {
				c.cancel()
				b.handler.next(t, "detached")
			}
			var reporting sync.WaitGroup
			reporting.Go(func() {
				if err := b.report(deathOf(h, 101)); err != nil {
					t.Errorf("obituary: %v", err)
				}
			})
			defer reporting.Wait()
			eventually(t, "the obituary", func() (dead bool) {
				b.fleet.with("w1", func(m *member) { dead = m.dead })
				return dead
			})
			c.cancel()
			if e := b.handler.next(t, "detached"); !e.goodbye || e.worker.Run != "r1" {
				t.Errorf("detached = %+v", e)
			}
		})
	}
}

// TestObituaryOfAFreeWorker proves that a dead worker without a run is forgotten, and that its name is free.
func TestObituaryOfAFreeWorker(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	c, _ := b.join(h)
	c.cancel()
	b.handler.next(t, "detached")
	if err := b.report(deathOf(h, 101)); err != nil {
		t.Fatalf("obituary: %v", err)
	}
	if w := b.fleet.Workers(); len(w) != 0 {
		t.Errorf("workers = %+v", w)
	}
	b.join(helloOf("w1")) // from another machine, with another data directory
}

// TestObituaryAfterATakeOver proves that a new leader takes the obituary of a worker that it knows from the
// record alone.
func TestObituaryAfterATakeOver(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	b.fleet.Adopt(run.Member{Worker: "w1", Incarnation: 42}, h.GetInstanceId(), "r1", 0)
	if err := b.report(deathOf(h, 41)); status.Code(err) != codes.NotFound {
		t.Errorf("obituary of an earlier life: %v", err)
	}
	if err := b.report(deathOf(h, 42)); err != nil {
		t.Fatalf("obituary: %v", err)
	}
	if e := b.handler.next(t, "detached"); !e.goodbye || e.worker.Run != "r1" || e.worker.Incarnation != 42 {
		t.Errorf("detached = %+v", e)
	}
}

// TestObituaryRefused proves that an obituary which is not of the life that the leader knows changes nothing
// and says so.
func TestObituaryRefused(t *testing.T) {
	rows := []struct {
		name   string
		change func(*pb.ReportDeathRequest)
		code   codes.Code
		known  int64
	}{
		{"earlier incarnation", func(d *pb.ReportDeathRequest) { d.Incarnation = 100 }, codes.NotFound, 101},
		{"other process", func(d *pb.ReportDeathRequest) { d.ProcessNonce = uuid.NewString() }, codes.NotFound, 101},
		{"other data directory", func(d *pb.ReportDeathRequest) { d.InstanceId = uuid.NewString() }, codes.NotFound, 101},
		{"other cluster", func(d *pb.ReportDeathRequest) { d.ClusterId = 78 }, codes.NotFound, 101},
		{"other worker", func(d *pb.ReportDeathRequest) { d.Name = "w2" }, codes.NotFound, 0},
		{"no name", func(d *pb.ReportDeathRequest) { d.Name = "" }, codes.InvalidArgument, 0},
		{"no life", func(d *pb.ReportDeathRequest) { d.Incarnation = 0 }, codes.InvalidArgument, 0},
		{"nonce is no uuid", func(d *pb.ReportDeathRequest) { d.ProcessNonce = "me" }, codes.InvalidArgument, 0},
	}
	b := newBench(t)
	h := helloOf("w1")
	b.join(h)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			d := deathOf(h, 101)
			row.change(d)
			err := b.report(d)
			if status.Code(err) != row.code {
				t.Fatalf("got %v, want %v", err, row.code)
			}
			if row.code != codes.NotFound {
				return
			}
			if u := detail[*pb.WorkerLifeUnknown](t, err); u.GetName() != d.GetName() || u.GetKnownIncarnation() != row.known {
				t.Errorf("detail = %v", u)
			}
		})
	}
	if w, ok := b.fleet.Worker("w1"); !ok || !w.Connected {
		t.Errorf("living worker = %+v, %v", w, ok)
	}
}

// TestObituaryNeedsTheLeader proves that one whose lead has ended takes none, and names the leader.
func TestObituaryNeedsTheLeader(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	b.join(h)
	b.leading.Store(false)
	if err := b.report(deathOf(h, 101)); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("after the lead has ended: %v", err)
	}
	b.stop()
	b.server.Follow(wire.Leader{Name: "c2", Address: "10.0.0.2:7470", Epoch: 6})
	err := b.report(deathOf(h, 101))
	if status.Code(err) != codes.FailedPrecondition {
		t.Fatalf("at a follower: %v", err)
	}
	if l := detail[*pb.LeaderInfo](t, err); l.GetAddress() != "10.0.0.2:7470" {
		t.Errorf("leader named = %v", l)
	}
	if e := b.handler.next(t, "detached"); e.goodbye {
		t.Error("the end of the term counts as a death")
	}
}

// TestNameOfTheDead proves that the name of a worker that died while it had a part in a run is kept for it: it
// is started again with what it has sealed.
func TestNameOfTheDead(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	b.join(h)
	b.fleet.Reserve("r1", nil, 1)
	if err := b.report(deathOf(h, 101)); err != nil {
		t.Fatal(err)
	}
	other := helloOf("w1")
	other.InstanceId = uuid.NewString()
	stranger := b.dial()
	stranger.hello(other)
	if err := stranger.end(); status.Code(err) != codes.AlreadyExists {
		t.Errorf("another worker of its name was answered with %v", err)
	}
	h.ProcessNonce, h.Incarnation = uuid.NewString(), 0
	b.join(h)
}
