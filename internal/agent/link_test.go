package agent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// sequence returns the numbers from first through last.
func sequence(first, last uint64) []uint64 {
	var out []uint64
	for seq := first; seq <= last; seq++ {
		out = append(out, seq)
	}
	return out
}

func wantBatches(t *testing.T, when string, got, want []uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s the worker sent batches %v, want %v", when, got, want)
	}
}

// TestResumeByTheCommittedMark proves that a broken stream is followed by another one in which the
// worker names what it holds and sends again exactly what is not committed, and that only what is
// committed leaves the outbox.
func TestResumeByTheCommittedMark(t *testing.T) {
	onLine(t, func(l *line) {
		l.seal(10)
		s := l.attach(0)
		wantBatches(t, "at first", s.batches(), sequence(1, 10))
		s.ack(4)
		s.so()
		s.breakOff(status.Error(codes.Unavailable, "the coordinator ended"))
		l.seal(2)

		s = l.accept()
		h := s.hello
		if o := h.GetOutbox(); len(o) != 1 || o[0].GetRunId() != "r" || o[0].GetOldestUnacked() != 5 || o[0].GetNextSeq() != 13 {
			t.Errorf("second hello describes the outbox as %v", o)
		}
		if h.GetIncarnation() != 7 || h.GetClusterId() != cluster || h.GetHighestEpoch() != epoch {
			t.Errorf("second hello = %v, want the incarnation, the cluster and the epoch of the first session", h)
		}
		s.welcome(epoch, 6) // an ack that was lost
		wantBatches(t, "after the mark 6", s.batches(), sequence(7, 12))
		if n, _ := l.agent.outbox.Depth(); n != 6 {
			t.Errorf("%d batches are kept, want the 6 that are not committed", n)
		}
	})
}

// TestNackSetsBack proves that a gap has everything from the batch that is wanted on sent again, at
// once and in order, and that the same answer to each batch that was under way costs no more than one
// repetition.
func TestNackSetsBack(t *testing.T) {
	onLine(t, func(l *line) {
		l.seal(100)
		s := l.attach(0)
		s.batches()
		s.nack(5, wire.NackGap)
		wantBatches(t, "after a gap", s.batches(), sequence(5, 100))
		for range 95 {
			s.nack(5, wire.NackGap)
			wantBatches(t, "after another answer for the same gap", s.batches(), nil)
		}
		time.Sleep(2 * time.Second)
		wantBatches(t, "two seconds later", s.batches(), sequence(5, 100))
		s.ack(100)
		s.nack(5, wire.NackGap)
		time.Sleep(2 * time.Second)
		wantBatches(t, "for a gap that a commit has overtaken", s.batches(), nil)
	})
}

// TestClosedRunIsForgotten proves that what is kept for a run goes when it is closed, and the rest stays.
func TestClosedRunIsForgotten(t *testing.T) {
	onLine(t, func(l *line) {
		appendBatch(t, l.agent.outbox, "other", 7, "samples")
		l.seal(3)
		l.link.Finish(wire.Final{Run: "r", Incarnation: 7, LastSeq: 3})
		s := l.attach(0)
		s.so()
		s.nack(1, wire.NackClosed)
		s.so()
		if l.agent.outbox.Holds("r") || !l.agent.outbox.Holds("other") {
			t.Error("the outbox does not hold just the run that is open")
		}
		s.breakOff(nil)
		s = l.attach(0)
		for _, m := range s.so() {
			if m.GetFinal() != nil || m.GetMetrics().GetRunId() == "r" {
				t.Errorf("in the next session the worker sent %v of a run that is closed", m)
			}
		}
	})
}

// TestPastLeaderIsRefused proves that a coordinator which led before one that the worker has heard is
// given no session, unless it belongs to another cluster, where epochs mean something else.
func TestPastLeaderIsRefused(t *testing.T) {
	onLine(t, func(l *line) {
		l.seal(1)
		s := l.attach(0)
		s.batches()
		s.breakOff(nil)

		s = l.accept()
		s.welcome(epoch-1, 0)
		<-s.gone
		if got := s.so(); len(got) > 0 {
			t.Errorf("a past leader was sent %v", got)
		}
		s = l.accept()
		if got := s.hello.GetHighestEpoch(); got != epoch {
			t.Errorf("next hello says that epoch %d is the highest, want %d", got, epoch)
		}
		s.sendOf(1, &pb.AttachResponse{Payload: &pb.AttachResponse_Welcome{Welcome: &pb.Welcome{
			SessionId: "s", Incarnation: 3, ClusterId: cluster + 1, Leader: wire.LeaderToProto(wire.Leader{Epoch: 1}),
		}}})
		wantBatches(t, "to the leader of another cluster", s.batches(), sequence(1, 1))
	})
}

// TestPastEpochIsRefusedButForStop proves that a message which was sent before the present term is not
// carried out, except that a stop is: stopping needs no leader.
func TestPastEpochIsRefusedButForStop(t *testing.T) {
	onLine(t, func(l *line) {
		l.seal(1)
		s := l.attach(0)
		s.batches()
		s.assign(epoch-1, wire.Assignment{Revision: 8, Run: "r", Goal: wire.GoalRun})
		s.sendOf(epoch-1, &pb.AttachResponse{Payload: &pb.AttachResponse_Drain{Drain: &pb.Drain{Reason: "old"}}})
		s.sendOf(epoch-1, &pb.AttachResponse{Payload: &pb.AttachResponse_Ack{Ack: &pb.Ack{
			Marks: wire.MarksToProto([]wire.Mark{{Run: "r", Incarnation: 7, Through: 1}}),
		}}})
		s.so()
		if h := l.ear.so(); len(h.assigned)+len(h.drains) > 0 || !l.agent.outbox.Holds("r") {
			t.Errorf("messages of a past epoch were carried out: %+v", h)
		}
		s.assign(epoch-1, wire.Assignment{Revision: 9, Run: "r", Goal: wire.GoalStop})
		s.assign(epoch, wire.Assignment{Revision: 1, Run: "r", Goal: wire.GoalRun})
		s.so()
		h := l.ear.so()
		if len(h.assigned) != 2 || h.assigned[0].Goal != wire.GoalStop || h.assigned[1].Goal != wire.GoalRun {
			t.Errorf("passed on %+v, want the stop and then the present leader's word", h.assigned)
		}
	})
}

// TestFinal proves that a final follows the last batch that it closes, that it is sent once in a
// session, and again in the next one until the run is closed.
func TestFinal(t *testing.T) {
	onLine(t, func(l *line) {
		l.seal(window + 2)
		l.link.Finish(wire.Final{Run: "r", Incarnation: 7, LastSeq: window + 2, Totals: wire.Totals{Requests: 40}})
		s := l.attach(0)
		wantBatches(t, "at first", s.batches(), sequence(1, window)) // and with them no final
		s.ack(window)
		ended := func(when string) {
			t.Helper()
			var order []string
			for _, m := range s.so() {
				switch {
				case m.GetMetrics() != nil:
					order = append(order, "batch")
				case m.GetFinal() != nil:
					order = append(order, "final")
					if f := m.GetFinal(); f.GetLastSeq() != window+2 || f.GetTotals().GetRequests() != 40 {
						t.Errorf("%s the final is %v", when, f)
					}
				}
			}
			if want := []string{"batch", "batch", "final"}; !slices.Equal(order, want) {
				t.Errorf("%s the worker sent %v, want %v", when, order, want)
			}
		}
		ended("after the commit")
		l.link.wakeUp()
		if got := s.so(); len(got) > 0 {
			t.Errorf("then it sent %v", got)
		}
		s.breakOff(nil)
		s = l.attach(window)
		ended("in the next session")
	})
}

// TestLifeIsTold proves that each welcome is told as the life that a report of the worker's death names, also
// by the next leader.
func TestLifeIsTold(t *testing.T) {
	onLine(t, func(l *line) {
		l.attach(0).breakOff(status.Error(codes.Unavailable, "the coordinator ended"))
		s := l.accept()
		s.welcome(epoch+1, 0)
		want := Life{Instance: s.hello.GetInstanceId(), Nonce: s.hello.GetProcessNonce(), Incarnation: 7, Cluster: cluster, Leader: "c1:7470"}
		if got := l.ear.so().lives; !slices.Equal(got, []Life{want, want}) {
			t.Errorf("lives told = %+v, want twice %+v", got, want)
		}
	})
}

// TestGoodbye proves that a worker which is told to end sends what it still has, says goodbye and
// closes the stream.
func TestGoodbye(t *testing.T) {
	onLine(t, func(l *line) {
		s := l.attach(0)
		s.so()
		appendBatch(t, l.agent.outbox, "r", 7, "samples") // nobody has woken the sender
		l.leave()
		got := s.so()
		if len(got) != 2 || got[0].GetMetrics().GetSeq() != 1 || got[1].GetGoodbye() == nil {
			t.Errorf("told to end, the worker sent %v, want its batch and goodbye", got)
		}
		if _, open := <-s.in; open {
			t.Error("the worker went on after its goodbye")
		}
		s.breakOff(nil)
		if err := <-l.ended; err != nil {
			t.Errorf("the link ended with %v", err)
		}
	})
}

// TestGoodbyeToNobody proves that a worker ends within goodbyeWait if the coordinator does not react.
func TestGoodbyeToNobody(t *testing.T) {
	onLine(t, func(l *line) {
		s := l.attach(0)
		s.so()
		began := time.Now()
		l.leave()
		if err := <-l.ended; err != nil || time.Since(began) > goodbyeWait {
			t.Errorf("the link ended with %v after %v, want an end within %v", err, time.Since(began), goodbyeWait)
		}
	})
}

// TestHelloThatIsNeverAnswered proves that a coordinator which takes the connection and says nothing is
// given up after handshakeWait, and that the worker tries again.
func TestHelloThatIsNeverAnswered(t *testing.T) {
	onLine(t, func(l *line) {
		began := time.Now()
		s := l.accept()
		<-s.gone
		if waited := time.Since(began); waited != handshakeWait {
			t.Errorf("given up after %v, want %v", waited, handshakeWait)
		}
		l.seal(1)
		wantBatches(t, "to the one that answers", l.attach(0).batches(), sequence(1, 1))
	})
}

// TestRefusals proves which refusals end a worker, with what it tells the user, and that what is wrong
// with one message of a session that stood ends only the session.
func TestRefusals(t *testing.T) {
	invalid := status.Error(codes.InvalidArgument, "batch is not valid")
	taken, err := status.New(codes.AlreadyExists, "held by another").WithDetails(&pb.WorkerNameTaken{Name: "w1"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := status.New(codes.FailedPrecondition, "other versions").WithDetails(&pb.ProtocolMismatch{Want: 7, Got: wire.ProtocolVersion})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		refusal error
		says    string // empty: the worker tries again
	}{
		"other version":  {other.Err(), "install the same version of both"},
		"invalid hello":  {invalid, "coordinator refused the worker: batch is not valid"},
		"no permission":  {status.Error(codes.PermissionDenied, "no"), "coordinator refused the worker"},
		"another server": {status.Error(codes.Unimplemented, "unknown service"), "coordinator refused the worker: unknown service"},
		"name is taken":  {taken.Err(), "worker name is taken"},
		"not leading":    {status.Error(codes.FailedPrecondition, "does not lead"), ""},
		"unavailable":    {status.Error(codes.Unavailable, "ends"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			onLine(t, func(l *line) {
				l.accept().end <- row.refusal
				if row.says == "" {
					l.attach(0)
					return
				}
				if err := <-l.ended; err == nil || !strings.Contains(err.Error(), row.says) {
					t.Errorf("the link ended with %v, want %q", err, row.says)
				}
			})
		})
	}
	for _, code := range []codes.Code{codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument} {
		t.Run("another server has the address of a coordinator that is gone: "+code.String(), func(t *testing.T) {
			onLine(t, func(l *line) {
				l.attach(0).breakOff(status.Error(codes.Unavailable, "killed"))
				l.accept().end <- status.Error(code, "who are you?")
				l.attach(0)
			})
		})
	}
	t.Run("another version leads", func(t *testing.T) {
		onLine(t, func(l *line) {
			l.attach(0).breakOff(status.Error(codes.Unavailable, "killed"))
			l.accept().end <- other.Err()
			if err := <-l.ended; err == nil || !strings.Contains(err.Error(), "install the same version of both") {
				t.Errorf("the link ended with %v", err)
			}
		})
	})
	t.Run("invalid message", func(t *testing.T) {
		onLine(t, func(l *line) {
			l.attach(0).breakOff(invalid)
			l.attach(0)
		})
	})
}

// TestLeaseCountsFromSending proves that a lease lasts from the sending of the heartbeat that was
// answered, however long the answer took, and that an answer to no heartbeat grants nothing.
func TestLeaseCountsFromSending(t *testing.T) {
	onLine(t, func(l *line) {
		s := l.attach(0)
		var beat *pb.Heartbeat
		for _, m := range s.so() {
			if h := m.GetHeartbeat(); h != nil {
				beat = h
			}
		}
		if beat == nil {
			t.Fatal("the worker sent no heartbeat when it was welcomed")
		}
		answer := func(number uint64) {
			s.send(&pb.AttachResponse{Payload: &pb.AttachResponse_Heartbeat{Heartbeat: &pb.HeartbeatReply{
				Number: number, ReceivedNanos: 1, SentNanos: 2, Lease: durationpb.New(20 * time.Second),
			}}})
			s.so()
		}
		time.Sleep(3 * time.Second)
		answer(beat.GetNumber())
		answer(beat.GetNumber()) // repeated
		answer(1000)             // never sent
		h := l.ear.so()
		if want := beat.GetSentNanos() + int64(20*time.Second); len(h.leases) != 1 || h.leases[0].until != want {
			t.Errorf("leases %+v, want one until %d", h.leases, want)
		}
	})
}
