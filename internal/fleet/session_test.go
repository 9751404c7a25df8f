package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

var (
	bigFile   = bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB: beyond every window of a stream
	bigDigest = func() string { s := sha256.Sum256(bigFile); return hex.EncodeToString(s[:]) }()
)

// TestHeartbeat proves the clock offset and the lease: a grant is the assignment's, and none is given
// once leadership is in doubt.
func TestHeartbeat(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	b.fleet.Reserve("r1", nil, 1)
	b.fleet.Assign(life("w1", 101), wire.Assignment{Revision: 1, Run: "r1", Goal: wire.GoalPrepare}, 20*time.Second)

	// The worker's clock is 40 s ahead; each way takes 1 ms, which the server's clock does not see pass.
	const ahead = 40 * time.Second
	server := b.now.Load()
	c.beat(&pb.Heartbeat{Number: 1, SentNanos: server + int64(ahead) - int64(time.Millisecond)})
	r := c.until("a reply", heartbeat).GetHeartbeat()
	if r.GetNumber() != 1 || r.GetReceivedNanos() != server || r.GetSentNanos() != server || r.GetLease().AsDuration() != 20*time.Second {
		t.Errorf("reply = %v", r)
	}
	c.beat(&pb.Heartbeat{
		Number: 2, SentNanos: server + int64(ahead) + int64(time.Second),
		LastReplyNumber: 1, LastReplyReceivedNanos: server + int64(ahead) + int64(time.Millisecond),
	})
	c.until("a reply", heartbeat)
	w, _ := b.fleet.Worker("w1")
	if off := w.Offset - ahead; off < -w.Bound || off > w.Bound || w.Bound <= 0 || w.Bound > 2*time.Millisecond {
		t.Errorf("offset %v with bound %v, want %v", w.Offset, w.Bound, ahead)
	}
	b.leading.Store(false)
	c.beat(&pb.Heartbeat{Number: 3, SentNanos: server})
	if lease := c.until("a reply", heartbeat).GetHeartbeat().GetLease().AsDuration(); lease != 0 {
		t.Errorf("lease of %v granted without leadership", lease)
	}
}

// TestAssignmentBeforeLease proves the order that keeps two workers from firing one shard: whatever
// waits in the mailbox, the assignment goes out before an answer that may grant a lease.
func TestAssignmentBeforeLease(t *testing.T) {
	box := newMailbox()
	box.send(&pb.AttachResponse{Payload: &pb.AttachResponse_Heartbeat{Heartbeat: &pb.HeartbeatReply{Number: 1}}})
	box.ack([]wire.Mark{{Run: "r", Incarnation: 1, Through: 3}})
	box.assign(wire.Assignment{Revision: 1, Run: "r", Goal: wire.GoalRun})
	box.assign(wire.Assignment{Revision: 2, Run: "r", Goal: wire.GoalRun})
	box.ack([]wire.Mark{{Run: "r", Incarnation: 1, Through: 2}})
	out := box.take()
	if len(out) != 3 {
		t.Fatalf("took %d messages, want assignment, reply and ack", len(out))
	}
	if a := out[0].GetAssignment(); a.GetRevision() != 2 {
		t.Errorf("first is %v, want the newest assignment", out[0])
	}
	if out[1].GetHeartbeat() == nil {
		t.Errorf("second is %v, want the reply", out[1])
	}
	if m := out[2].GetAck().GetMarks(); len(m) != 1 || m[0].GetThroughSeq() != 3 {
		t.Errorf("acks = %v, want one merged to the highest mark", m)
	}
	if rest := box.take(); rest != nil {
		t.Errorf("left over: %v", rest)
	}
}

// TestMessagesOfARun proves that batches, repeated and out of order ones too, reach the handler as they
// came and in their order, that nothing is acked by the fleet itself, and that what the run answers
// reaches the worker.
func TestMessagesOfARun(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	sequence := []uint64{1, 2, 2, 5, 3}
	for _, seq := range sequence {
		c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Metrics{Metrics: &pb.MetricsBatch{RunId: "r1", Incarnation: 101, Seq: seq, Data: []byte{byte(seq)}}}})
	}
	c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_Status{Status: &pb.AssignmentStatus{RunId: "r1", State: pb.WorkerRunState_WORKER_RUN_STATE_READY}}})
	for i, want := range sequence {
		got, ok := b.handler.next(t, "received").message.(wire.Sealed)
		if !ok || got.Seq != want || !bytes.Equal(got.Data, []byte{byte(want)}) {
			t.Errorf("message %d = %+v, want batch %d", i, got, want)
		}
	}
	if s, ok := b.handler.next(t, "received").message.(wire.Status); !ok || s.State != wire.WorkerReady {
		t.Errorf("status = %+v", s)
	}
	b.fleet.Nack("w1", wire.Nack{Run: "r1", Incarnation: 101, Want: 3, Reason: wire.NackGap})
	n := c.until("the nack", func(m *pb.AttachResponse) bool {
		if m.GetAck() != nil {
			t.Errorf("acked without a commit: %v", m)
		}
		return m.GetNack() != nil
	})
	if n.GetNack().GetWantSeq() != 3 || n.GetEpoch() != 5 {
		t.Errorf("nack = %v", n)
	}
	b.fleet.Ack("w1", []wire.Mark{{Run: "r1", Incarnation: 101, Through: 3}})
	c.until("the ack", func(m *pb.AttachResponse) bool { return m.GetAck() != nil })
	if err := b.fleet.Task(life("w1", 101), wire.Task{ID: "t1", Run: "r1", Kind: "setup"}); err != nil {
		t.Error(err)
	}
	c.until("the task", func(m *pb.AttachResponse) bool { return m.GetTask().GetTaskId() == "t1" })
	if err := b.fleet.Task(life("w9", 109), wire.Task{ID: "t1"}); err == nil {
		t.Error("task for a worker that is not there was taken")
	}
}

// TestInvalidMessages proves that a session ends with InvalidArgument at a message that breaks the
// rules of the API, and not before.
func TestInvalidMessages(t *testing.T) {
	for name, m := range map[string]*pb.AttachRequest{
		"batch without data":  {Payload: &pb.AttachRequest_Metrics{Metrics: &pb.MetricsBatch{RunId: "r", Incarnation: 1, Seq: 1}}},
		"batch number 0":      {Payload: &pb.AttachRequest_Metrics{Metrics: &pb.MetricsBatch{RunId: "r", Incarnation: 1, Data: []byte("x")}}},
		"digest that is none": {Payload: &pb.AttachRequest_File{File: &pb.FileRequest{Digest: "../../etc/passwd"}}},
		"second hello":        {Payload: &pb.AttachRequest_Hello{Hello: helloOf("w1")}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c, _ := b.join(helloOf("w1"))
			c.send(m)
			if err := c.end(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("ended with %v", err)
			}
			b.handler.next(t, "detached")
		})
	}
}

// TestMessageLimits proves that a message beyond the bound is refused in both directions with an error
// that says so, and that one just below it passes.
func TestMessageLimits(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	status8 := func(n int) *pb.AttachRequest {
		return &pb.AttachRequest{Payload: &pb.AttachRequest_Status{Status: &pb.AssignmentStatus{RunId: "r", Error: strings.Repeat("x", n)}}}
	}
	c.send(status8(wire.MaxMessageBytes - 1024))
	b.handler.next(t, "received")
	_ = c.stream.Send(status8(wire.MaxMessageBytes + 1))
	err := c.end()
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("upward: %v", err)
	}
	b.handler.next(t, "detached")

	d, _ := b.join(helloOf("w2"))
	b.fleet.Assign(life("w2", 102), wire.Assignment{Revision: 1, Run: "r", Goal: wire.GoalPrepare, Setup: bytes.Repeat([]byte("x"), wire.MaxMessageBytes+1)}, 0)
	err = d.end()
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("downward: %v", err)
	}
}

// TestFile proves that a file arrives in order and whole from any offset, and that one that is not there
// is answered with an error.
func TestFile(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	const offset = 100_000
	c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_File{File: &pb.FileRequest{Digest: bigDigest, Offset: offset}}})
	got := []byte(nil)
	for len(got) < len(bigFile)-offset {
		f := c.until("a piece", func(m *pb.AttachResponse) bool { return m.GetFile() != nil }).GetFile()
		if f.GetOffset() != int64(offset+len(got)) || f.GetSize() != int64(len(bigFile)) || len(f.GetData()) > chunkBytes {
			t.Fatalf("piece at %d of %d bytes after %d", f.GetOffset(), len(f.GetData()), len(got))
		}
		got = append(got, f.GetData()...)
	}
	if !bytes.Equal(got, bigFile[offset:]) {
		t.Error("file has other content")
	}
	for _, r := range []*pb.FileRequest{{Digest: strings.Repeat("0", 64)}, {Digest: bigDigest, Offset: int64(len(bigFile)) + 1}} {
		c.send(&pb.AttachRequest{Payload: &pb.AttachRequest_File{File: r}})
		f := c.until("an answer", func(m *pb.AttachResponse) bool { return m.GetFile() != nil }).GetFile()
		if f.GetError() == "" || len(f.GetData()) > 0 {
			t.Errorf("answer = %v", f)
		}
	}
}

// TestSlowReader proves that a worker that does not read its stream holds up neither another worker nor
// the end of the term, and that its unread answers are bounded.
func TestSlowReader(t *testing.T) {
	b := newBench(t)
	slow := b.dial(grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16))
	slow.hello(helloOf("slow"))
	b.handler.next(t, "attached")
	// The file fills the stream's window, and nobody reads.
	slow.send(&pb.AttachRequest{Payload: &pb.AttachRequest_File{File: &pb.FileRequest{Digest: bigDigest}}})

	quick, _ := b.join(helloOf("quick"))
	for n := range uint64(50) {
		b.fleet.Assign(life("slow", 101), wire.Assignment{Revision: n, Run: "r", Goal: wire.GoalPrepare}, 0)
		b.fleet.Assign(life("quick", 102), wire.Assignment{Revision: n, Run: "r", Goal: wire.GoalPrepare}, 0)
		quick.beat(&pb.Heartbeat{Number: n + 1, SentNanos: 1})
		quick.until("a reply", heartbeat)
	}
	for n := range uint64(2 * mostUnread) {
		if slow.stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Heartbeat{Heartbeat: &pb.Heartbeat{Number: n + 1, SentNanos: 1}}}) != nil {
			break
		}
	}
	if e := b.handler.next(t, "detached"); e.worker.Name != "slow" {
		t.Errorf("detached = %+v, want the slow one", e)
	}
	again := b.dial(grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16))
	again.hello(helloOf("stuck"))
	b.handler.next(t, "attached")
	again.send(&pb.AttachRequest{Payload: &pb.AttachRequest_File{File: &pb.FileRequest{Digest: bigDigest}}})
	b.stop()
	for range 2 {
		b.handler.next(t, "detached") // quick and stuck
	}
}

// TestDrain proves that a draining worker is told why, is reserved no more, stays so over a reconnect,
// and that its next life is free again.
func TestDrain(t *testing.T) {
	b := newBench(t)
	h := helloOf("w1")
	c, welcome := b.join(h)
	told := make(chan error, 1)
	go func() { told <- b.fleet.Drain(t.Context(), "w1", "kernel update") }()
	drained := func(m *pb.AttachResponse) bool { return m.GetDrain().GetReason() == "kernel update" }
	c.until("drain", drained)
	if _, why := b.fleet.Reserve("r1", nil, 1); why == "" {
		t.Error("a draining worker was reserved")
	}
	h.Incarnation, h.ClusterId = welcome.GetIncarnation(), welcome.GetClusterId()
	c, _ = b.join(h)
	c.until("drain after the reconnect", drained)
	if _, why := b.fleet.Reserve("r1", nil, 1); why == "" {
		t.Error("a draining worker was reserved after its reconnect")
	}
	select {
	case err := <-told:
		t.Errorf("the drain was answered (%v) before the worker had heard of it", err)
	default:
	}
	h.Incarnation, h.ProcessNonce = 0, welcome.GetSessionId()
	b.join(h)
	if err := <-told; err != nil {
		t.Errorf("a worker that was started again has left, and the drain is %v", err)
	}
	if _, why := b.fleet.Reserve("r1", nil, 1); why != "" {
		t.Errorf("a restarted worker was not reserved: %s", why)
	}
}

// TestRelease proves that a run's workers are free again and told to do nothing.
func TestRelease(t *testing.T) {
	b := newBench(t)
	c, _ := b.join(helloOf("w1"))
	b.fleet.Reserve("r1", nil, 1)
	b.fleet.Assign(life("w1", 101), wire.Assignment{Revision: 3, Run: "r1", Goal: wire.GoalRun}, time.Minute)
	c.until("the assignment", func(m *pb.AttachResponse) bool { return m.GetAssignment().GetRunId() == "r1" })
	b.fleet.Release("r1")
	c.until("the release", func(m *pb.AttachResponse) bool { return assignment(m) && m.GetAssignment().GetRunId() == "" })
	if w, _ := b.fleet.Worker("w1"); w.Run != "" {
		t.Errorf("worker still belongs to %q", w.Run)
	}
	c.beat(&pb.Heartbeat{Number: 1, SentNanos: 1})
	if lease := c.until("a reply", heartbeat).GetHeartbeat().GetLease().AsDuration(); lease != 0 {
		t.Errorf("a free worker holds a lease of %v", lease)
	}
}
