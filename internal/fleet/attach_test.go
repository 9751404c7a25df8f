package fleet

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// detail returns the typed detail of a refusal.
func detail[T any](t *testing.T, err error) T {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if v, ok := d.(T); ok {
			return v
		}
	}
	var none T
	t.Fatalf("%v has no detail %T", err, none)
	return none
}

// TestAttachRefusals proves that what is wrong with a first message is said with the right code, and
// that nothing of it is admitted.
func TestAttachRefusals(t *testing.T) {
	change := func(fn func(*pb.Hello)) *pb.AttachRequest {
		h := helloOf("w1")
		fn(h)
		return &pb.AttachRequest{Payload: &pb.AttachRequest_Hello{Hello: h}}
	}
	rows := []struct {
		name  string
		first *pb.AttachRequest
		code  codes.Code
		says  string
	}{
		{"heartbeat first", &pb.AttachRequest{Payload: &pb.AttachRequest_Heartbeat{Heartbeat: &pb.Heartbeat{Number: 1}}}, codes.InvalidArgument, "must be hello"},
		{"nothing", &pb.AttachRequest{}, codes.InvalidArgument, "must be hello"},
		{"no name", change(func(h *pb.Hello) { h.Name = "" }), codes.InvalidArgument, "name"},
		{"name with a slash", change(func(h *pb.Hello) { h.Name = "a/b" }), codes.InvalidArgument, "name"},
		{"instance is no uuid", change(func(h *pb.Hello) { h.InstanceId = "me" }), codes.InvalidArgument, "instance_id"},
		{"nonce is no uuid", change(func(h *pb.Hello) { h.ProcessNonce = "" }), codes.InvalidArgument, "process_nonce"},
		{"no capacity", change(func(h *pb.Hello) { h.Capacity = 0 }), codes.InvalidArgument, "capacity"},
		{"lower protocol", change(func(h *pb.Hello) { h.ProtocolVersion = wire.ProtocolVersion - 1 }), codes.FailedPrecondition, "install the same version"},
		{"unknown protocol", change(func(h *pb.Hello) { h.ProtocolVersion = 99 }), codes.FailedPrecondition, "install the same version"},
		{"unknown protocol with other rules", change(func(h *pb.Hello) { h.ProtocolVersion, h.InstanceId = 99, "one of theirs" }), codes.FailedPrecondition, "install the same version"},
		{"outbox without a run", change(func(h *pb.Hello) { h.Outbox = []*pb.OutboxState{{}} }), codes.InvalidArgument, "run_id"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			c := b.dial()
			c.send(row.first)
			err := c.end()
			if status.Code(err) != row.code || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v, want %v naming %q", err, row.code, row.says)
			}
			if row.code == codes.FailedPrecondition {
				if d := detail[*pb.ProtocolMismatch](t, err); d.GetGot() != row.first.GetHello().GetProtocolVersion() || d.GetWant() != wire.ProtocolVersion {
					t.Errorf("mismatch detail = %v", d)
				}
			}
			if w := b.fleet.Workers(); len(w) != 0 {
				t.Errorf("refused worker is known: %+v", w)
			}
		})
	}
}

// TestWelcome proves what a worker is told and what the fleet then knows of it.
func TestWelcome(t *testing.T) {
	b := newBench(t)
	b.handler.AttachedFn = func(_ Worker, h wire.Hello) []wire.Mark {
		return []wire.Mark{{Run: h.Outbox[0].Run, Incarnation: h.Outbox[0].Incarnation, Through: 41}}
	}
	h := helloOf("w1")
	h.Labels, h.Capacity = map[string]string{"zone": "eu"}, 2.5
	h.Outbox = []*pb.OutboxState{{RunId: "r0", Incarnation: 9, OldestUnacked: 40, NextSeq: 50}}
	c, welcome := b.join(h)
	if welcome.GetIncarnation() != 101 || welcome.GetClusterId() != 77 || welcome.GetSessionId() == "" ||
		welcome.GetLeader().GetEpoch() != 5 || welcome.GetHeartbeatInterval().AsDuration() != time.Second {
		t.Errorf("welcome = %v", welcome)
	}
	if m := welcome.GetCommitted(); len(m) != 1 || m[0].GetThroughSeq() != 41 || m[0].GetIncarnation() != 9 {
		t.Errorf("committed marks = %v", m)
	}
	w, ok := b.fleet.Worker("w1")
	if !ok || !w.Connected || w.Capacity != 2.5 || !maps.Equal(w.Labels, h.GetLabels()) || w.Hostname != "host-w1" || w.Run != "" {
		t.Errorf("worker = %+v, %v", w, ok)
	}
	if a := c.until("an assignment", assignment).GetAssignment(); a.GetRunId() != "" {
		t.Errorf("a free worker was assigned %v", a)
	}
	if taken, why := b.fleet.Reserve("r1", map[string]string{"zone": "us"}, 1); len(taken) != 0 || !strings.Contains(why, "zone=us") {
		t.Errorf("reserve of another zone = %v, %q", taken, why)
	}
	if taken, why := b.fleet.Reserve("r1", map[string]string{"zone": "eu"}, 1); len(taken) != 1 || why != "" {
		t.Errorf("reserve = %v, %q", taken, why)
	}
	if _, why := b.fleet.Reserve("r2", nil, 1); !strings.Contains(why, "busy with run r1") {
		t.Errorf("second reserve waits because %q", why)
	}
}

// TestNotLeading proves that a coordinator that does not lead names the one that does, and that the
// end of a term reaches workers that are attached.
func TestNotLeading(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	b.stop()
	if err := c.end(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("session at the end of the term: %v", err)
	}
	b.server.Follow(wire.Leader{Name: "c2", Address: "10.0.0.2:7470", Epoch: 6})
	other := b.dial()
	other.hello(helloOf("w2"))
	err := other.end()
	if status.Code(err) != codes.FailedPrecondition {
		t.Fatalf("attach at a follower: %v", err)
	}
	if l := detail[*pb.LeaderInfo](t, err); l.GetAddress() != "10.0.0.2:7470" || l.GetEpoch() != 6 {
		t.Errorf("leader named = %v", l)
	}
}

// TestResume proves that the same process keeps its incarnation over a broken stream and is told its
// assignment again, and that its older session is ended without the handler hearing of a departure.
func TestResume(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	first, welcome := b.join(h)
	b.fleet.Reserve("r1", nil, 1)
	b.fleet.Assign(life("w1", 101), wire.Assignment{Revision: 7, Run: "r1", Goal: wire.GoalRun, Ranges: []wire.ShardRange{{From: 0, To: 16384}}}, time.Minute)

	h.Incarnation, h.ClusterId = welcome.GetIncarnation(), welcome.GetClusterId()
	second, again := b.join(h)
	if again.GetIncarnation() != welcome.GetIncarnation() {
		t.Errorf("incarnation changed from %d to %d", welcome.GetIncarnation(), again.GetIncarnation())
	}
	if again.GetSessionId() == welcome.GetSessionId() {
		t.Error("both sessions have one id")
	}
	if err := first.end(); status.Code(err) != codes.Aborted {
		t.Errorf("older session ended with %v, want Aborted", err)
	}
	a := second.until("the assignment", assignment).GetAssignment()
	if a.GetRevision() != 7 || a.GetRunId() != "r1" || len(a.GetRanges()) != 1 {
		t.Errorf("assignment after the reconnect = %v", a)
	}
	second.cancel()
	if e := b.handler.next(t, "detached"); e.goodbye || e.worker.Incarnation != 101 {
		t.Errorf("detached = %+v", e)
	}
	b.now.Add(int64(30 * time.Second))
	if w, _ := b.fleet.Worker("w1"); w.Connected || w.Silent < 30*time.Second || w.Run != "r1" {
		t.Errorf("silent worker = %+v", w)
	}
}

// TestNewLifeInheritsNothing proves that a restarted worker is not given what its earlier life owned:
// those shards may be with others by then, and no arrival may be fired twice.
func TestNewLifeInheritsNothing(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	first, _ := b.join(h)
	b.fleet.Reserve("r1", nil, 1)
	b.fleet.Assign(life("w1", 101), wire.Assignment{Revision: 1, Run: "r1", Goal: wire.GoalRun, Ranges: []wire.ShardRange{{From: 0, To: 16384}}}, time.Minute)
	first.cancel()
	b.handler.next(t, "detached")

	h.ProcessNonce = uuid.NewString()
	second, welcome := b.join(h)
	if welcome.GetIncarnation() != 102 {
		t.Errorf("incarnation of the new life = %d, want a new one", welcome.GetIncarnation())
	}
	second.beat(&pb.Heartbeat{Number: 1, SentNanos: 1})
	reply := second.until("a heartbeat reply", func(m *pb.AttachResponse) bool {
		if len(m.GetAssignment().GetRanges()) > 0 {
			t.Errorf("new life was assigned %v", m.GetAssignment())
		}
		return heartbeat(m)
	})
	if lease := reply.GetHeartbeat().GetLease().AsDuration(); lease != 0 {
		t.Errorf("new life was granted a lease of %v", lease)
	}
	if w, _ := b.fleet.Worker("w1"); w.Run != "" {
		t.Errorf("new life is taken by run %s, which it has no part in", w.Run)
	}
}

// TestEarlierLifeIsToldNothing proves that what is meant for the life of a worker that has ended does
// not reach the next one, which may have attached before whoever conducts the run heard of it: shards,
// a lease or a task of the earlier life would be executed twice.
func TestEarlierLifeIsToldNothing(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	b.join(h)
	b.fleet.Reserve("r1", nil, 1)
	h.ProcessNonce = uuid.NewString()
	second, _ := b.join(h)
	b.fleet.Assign(life("w1", 101), wire.Assignment{Revision: 1, Run: "r1", Goal: wire.GoalRun, Ranges: []wire.ShardRange{{From: 0, To: 16384}}}, time.Minute)
	if err := b.fleet.Task(life("w1", 101), wire.Task{ID: "t", Run: "r1", Kind: "setup"}); !errors.Is(err, ErrNotConnected) {
		t.Errorf("task for a life that has ended: %v", err)
	}
	second.beat(&pb.Heartbeat{Number: 1, SentNanos: 1})
	reply := second.until("a heartbeat reply", func(m *pb.AttachResponse) bool {
		if m.GetAssignment().GetRunId() != "" || m.GetTask() != nil {
			t.Errorf("the next life was told %v", m)
		}
		return heartbeat(m)
	})
	if lease := reply.GetHeartbeat().GetLease().AsDuration(); lease != 0 {
		t.Errorf("the next life was granted a lease of %v", lease)
	}
}

// TestSameNameOtherDirectory proves that a second worker with a taken name is refused while the holder
// lives or may live, by name of the holder, and admitted after.
func TestSameNameOtherDirectory(t *testing.T) {
	b := newBench(t)
	holder, _ := b.join(helloOf("w1"))
	refused := func(when string) {
		t.Helper()
		c := b.dial()
		c.hello(helloOf("w1"))
		err := c.end()
		if status.Code(err) != codes.AlreadyExists {
			t.Fatalf("%s: %v, want AlreadyExists", when, err)
		}
		if d := detail[*pb.WorkerNameTaken](t, err); d.GetHolderHostname() != "host-w1" || d.GetName() != "w1" {
			t.Errorf("%s: detail = %v", when, d)
		}
	}
	refused("while the holder is attached")
	b.fleet.Reserve("r1", nil, 1)
	b.fleet.Assign(life("w1", 101), wire.Assignment{Revision: 1, Run: "r1", Goal: wire.GoalPrepare}, time.Minute)
	holder.cancel()
	b.handler.next(t, "detached")
	b.now.Add(int64(time.Minute+leaseMargin) - 1)
	refused("while the holder's lease lives")
	b.now.Add(1)
	_, welcome := b.join(helloOf("w1"))
	if welcome.GetIncarnation() == 101 {
		t.Error("another worker was given the holder's incarnation")
	}
}

// TestGoodbye proves that a worker that leaves on purpose is told apart from one that breaks off.
func TestGoodbye(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{Reason: "maintenance"}}})
	if e := b.handler.next(t, "detached"); !e.goodbye {
		t.Errorf("detached = %+v, want a goodbye", e)
	}
	eventually(t, "forgetting the worker", func() bool { return len(b.fleet.Workers()) == 0 })
}

// TestUnassignedTermLeavesWorkAlone proves that a new term that has adopted a worker for a run, but
// has not assigned it anything yet, does not tell it to do nothing.
func TestUnassignedTermLeavesWorkAlone(t *testing.T) {
	b := newBench(t)
	b.fleet.Adopt(life("w1", 101), "", "r1", 0)
	c, _ := b.join(helloOf("w1"))
	c.beat(&pb.Heartbeat{Number: 1, SentNanos: 1})
	c.until("a heartbeat reply", func(m *pb.AttachResponse) bool {
		if m.GetAssignment() != nil {
			t.Errorf("adopted worker was told %v", m.GetAssignment())
		}
		return heartbeat(m)
	})
}

// TestAdoptedNameIsHeld proves that nobody takes the name of a worker that a new leader knows from the record
// before its last lease is over, and that the worker itself gets leases at once.
func TestAdoptedNameIsHeld(t *testing.T) {
	b := newBench(t)
	mine := helloOf("w1")
	b.fleet.Adopt(life("w1", 101), mine.GetInstanceId(), "r1", 20*time.Second)
	other := helloOf("w1")
	other.InstanceId = uuid.NewString()
	stranger := b.dial()
	stranger.hello(other)
	if err := stranger.end(); status.Code(err) != codes.AlreadyExists {
		t.Errorf("another worker of its name was answered with %v", err)
	}
	mine.Incarnation, mine.ClusterId = 101, b.fleet.opts.Cluster
	c, _ := b.join(mine)
	c.beat(&pb.Heartbeat{Number: 1, SentNanos: 1})
	reply := c.until("a heartbeat reply", heartbeat).GetHeartbeat()
	if reply.GetLease().AsDuration() != 20*time.Second {
		t.Errorf("granted %v", reply.GetLease().AsDuration())
	}
}
