package fleet

import (
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// answered sends a heartbeat and returns all that comes up to its answer.
func (c *client) answered(number uint64) (reply *pb.HeartbeatReply, before []*pb.AttachResponse) {
	c.t.Helper()
	c.beat(&pb.Heartbeat{Number: number, SentNanos: 1})
	m := c.until("the answer to a heartbeat", func(m *pb.AttachResponse) bool {
		if m.GetHeartbeat().GetNumber() == number {
			return true
		}
		before = append(before, m)
		return false
	})
	return m.GetHeartbeat(), before
}

// TestCaretakerKeepsAndCommandsNothing proves that a coordinator which lost leadership keeps its workers'
// sessions, and that from then on it grants, acknowledges and commands nothing, whoever asks it to.
func TestCaretakerKeepsAndCommandsNothing(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	c.until("the first assignment", assignment)
	if taken, why := b.fleet.Reserve("r1", nil, 1); len(taken) != 1 {
		t.Fatal(why)
	}
	b.fleet.Assign(life("w1", 101), wire.Assignment{Run: "r1", Revision: 1}, 20*time.Second)
	c.until("the assignment", assignment)
	if reply, _ := c.answered(1); reply.GetLease().AsDuration() != 20*time.Second || reply.GetCaretaker() {
		t.Fatalf("a leader answers %v", reply)
	}
	b.keep()
	b.fleet.Assign(life("w1", 101), wire.Assignment{Run: "r1", Revision: 2, Goal: wire.GoalStop}, 20*time.Second)
	b.fleet.Ack("w1", []wire.Mark{{Run: "r1", Incarnation: 101, Through: 3}})
	b.fleet.Nack("w1", wire.Nack{Run: "r1", Incarnation: 101, Want: 1, Reason: wire.NackClosed})
	if err := b.fleet.Drain(t.Context(), "w1", "go"); !errors.Is(err, ErrTermOver) {
		t.Errorf("drain: %v, want that the term is over", err)
	}
	b.fleet.Release("r1")
	if err := b.fleet.Task(life("w1", 101), wire.Task{ID: "t", Run: "r1"}); err == nil {
		t.Error("a task was sent")
	}
	for i := range uint64(3) {
		reply, before := c.answered(i + 2)
		if reply.GetLease().AsDuration() != 0 || !reply.GetCaretaker() || len(before) > 0 {
			t.Errorf("a caretaker sent %v before %v", before, reply)
		}
	}
	late := b.dial()
	late.hello(helloOf("w2"))
	if err := late.end(); status.Code(err) != codes.FailedPrecondition || detail[*pb.LeaderInfo](t, err).GetEpoch() != 0 {
		t.Errorf("a worker that came late: %v", err)
	}
}

// TestCaretakerEnds proves that kept workers are sent to a later leader as soon as it is known, also when it
// was known before the own term ended and when it is this coordinator itself, and that the leader that they
// had, told again, changes nothing.
func TestCaretakerEnds(t *testing.T) {
	later := wire.Leader{Name: "c2", Address: "there:2", Epoch: 9}
	own := wire.Leader{Name: "c1", Address: "127.0.0.1:7470", Epoch: 5}
	rows := map[string]struct {
		end  func(b *bench)
		want wire.Leader
	}{
		"another leads":           {func(b *bench) { b.keep(); b.server.Follow(own); b.server.Follow(later) }, later},
		"another led already":     {func(b *bench) { b.server.Follow(later); b.keep() }, later},
		"it leads again":          {func(b *bench) { b.keep(); b.server.Lead(b.term(11)) }, wire.Leader{Name: "c1", Address: "127.0.0.1:7470", Epoch: 11}},
		"it ends":                 {func(b *bench) { b.keep(); b.server.Release() }, wire.Leader{}},
		"it gave leadership up":   {func(b *bench) { b.server.Follow(own); b.stop() }, wire.Leader{}},
		"given up, another leads": {func(b *bench) { b.server.Follow(later); b.stop() }, later},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c, _ := b.join(helloOf("w1"))
			row.end(b)
			err := c.end()
			if got := wire.LeaderFromProto(detail[*pb.LeaderInfo](t, err)); status.Code(err) != codes.FailedPrecondition || got != row.want {
				t.Errorf("the session ended with %v and leader %+v, want %+v", err, got, row.want)
			}
		})
	}
}

// TestEndedTermTakesNobody proves that a worker which comes while a term ends is not taken into a fleet that
// nobody closes any more.
func TestEndedTermTakesNobody(t *testing.T) {
	for name, end := range map[string]func(*bench){"given up": func(b *bench) { b.stop() }, "lost": func(b *bench) { b.keep() }} {
		b := newBench(t)
		end(b)
		_, err := b.fleet.attach(t.Context(), wire.HelloFromProto(helloOf("w1")), newSession(b.fleet))
		if !errors.Is(err, ErrTermOver) {
			t.Errorf("%s: attached with %v", name, err)
		}
	}
}

// TestFindLeader proves what a coordinator says about who leads: in its term itself, then nobody, then a
// later leader, and never one whose term is over.
func TestFindLeader(t *testing.T) {
	b := newBench(t)
	ask := func() (wire.Leader, bool) {
		m, err := b.server.FindLeader(t.Context(), &pb.FindLeaderRequest{})
		if err != nil || m.GetClusterId() != 77 {
			t.Errorf("FindLeader %v, %v", m, err)
		}
		return wire.LeaderFromProto(m.GetLeader()), m.GetLeading()
	}
	own := b.fleet.opts.Leader
	if l, leading := ask(); l != own || !leading {
		t.Errorf("in its term: %+v, %v", l, leading)
	}
	b.server.Follow(own)
	b.keep()
	if l, leading := ask(); l != (wire.Leader{}) || leading {
		t.Errorf("after its term: %+v, %v", l, leading)
	}
	later := wire.Leader{Name: "c2", Address: "there:2", Epoch: 9}
	b.server.Follow(later)
	if l, leading := ask(); l != later || leading {
		t.Errorf("in the term of another: %+v, %v", l, leading)
	}
}

// TestRelayedIsNotLoopback proves that a worker which comes through another coordinator does not count as one
// on the leader's machine, although its stream comes over loopback.
func TestRelayedIsNotLoopback(t *testing.T) {
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(wire.MetaRelayedBy, "c2"))
	near := &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}}
	if loopback(peer.NewContext(ctx, near)) {
		t.Error("a relayed stream counts as loopback")
	}
	if !loopback(peer.NewContext(t.Context(), near)) {
		t.Error("a stream over loopback does not count as that")
	}
}

// TestLeft proves that a worker which said goodbye is told from one that is only silent.
func TestLeft(t *testing.T) {
	for name, goodbye := range map[string]bool{"goodbye": true, "broken off": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c, _ := b.join(helloOf("w1"))
			b.fleet.Reserve("r1", nil, 1)
			if w, _ := b.fleet.Worker("w1"); !w.Met || w.Left {
				t.Errorf("attached: %+v", w)
			}
			if goodbye {
				c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}})
			} else {
				c.cancel()
			}
			b.handler.next(t, "detached")
			if w, _ := b.fleet.Worker("w1"); w.Left != goodbye || w.Connected {
				t.Errorf("detached: %+v", w)
			}
		})
	}
	b := newBench(t)
	b.fleet.Adopt(life("w9", 7), "", "r1", 0)
	if w, _ := b.fleet.Worker("w9"); w.Met {
		t.Error("one that only the record names counts as met")
	}
}
