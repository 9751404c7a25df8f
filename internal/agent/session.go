package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

type clientStream = grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse]

// session is one attached stream of a link: one goroutine in send, one in receive.
type session struct {
	link    *link
	epoch   int64
	every   time.Duration
	leader  string // address of the leader
	cluster uint64 // identity of the leader's etcd cluster
	relayed bool   // another coordinator stands between
	began   int64  // on the worker's clock

	mu     sync.Mutex
	lanes  map[laneKey]*passage
	beats  map[uint64]int64 // when recent heartbeats were sent, by number
	number uint64
	last   reply
	clock  run.OffsetEstimator
	// orphaned says that the coordinator leads no more, as its last answer told.
	orphaned bool
	// foreign are the runs that this coordinator cannot know; nothing of them is sent in this session.
	foreign map[string]bool

	told map[string]bool // finals and results that have been sent in this session; only the sender uses it
}

// reply is the newest heartbeat reply.
type reply struct {
	number   uint64
	received int64
}

// run keeps the session until its stream breaks or is to end. ctx is the worker's, streamCtx the stream's,
// which cancel ends.
func (s *session) run(ctx, streamCtx context.Context, cancel context.CancelCauseFunc, stream clientStream) error {
	group, groupCtx := errgroup.WithContext(streamCtx)
	quiet := newQuiet(quietBeats*s.every, s.every, s.link.opts.Clock, func() { cancel(errSilent) })
	defer quiet.stop()
	group.Go(func() error { return s.receive(stream, quiet.heard) })
	group.Go(func() error { return s.send(ctx, groupCtx, stream) })
	group.Go(func() error {
		err := s.scout(groupCtx)
		if err != nil {
			cancel(err) // so that nothing waits for this stream any more
		}
		return err
	})
	err := group.Wait()
	if move := (*moveError)(nil); errors.As(context.Cause(streamCtx), &move) {
		return move
	}
	if cause := context.Cause(streamCtx); errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

// send is the only sender. It ends when groupCtx ends; when ctx ends it says goodbye first.
func (s *session) send(ctx, groupCtx context.Context, stream clientStream) error {
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	if err := s.heartbeat(stream); err != nil {
		return err
	}
	for {
		if err := s.flush(stream); err != nil {
			return err
		}
		select {
		case <-s.link.wake:
		case <-ticker.C:
			if err := s.heartbeat(stream); err != nil {
				return err
			}
		case <-s.link.beat:
			if err := s.heartbeat(stream); err != nil {
				return err
			}
		case <-ctx.Done():
			_ = s.flush(stream)
			_ = stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{Reason: "worker was told to end"}}})
			return stream.CloseSend()
		case <-groupCtx.Done():
			return context.Cause(groupCtx)
		}
	}
}

// heartbeat sends the worker's clock. The exchange is completed by the reply.
func (s *session) heartbeat(stream clientStream) error {
	s.mu.Lock()
	s.number++
	now := s.link.opts.Clock()
	if s.beats == nil || len(s.beats) > 64 {
		s.beats = map[uint64]int64{}
	}
	s.beats[s.number] = now
	h := &pb.Heartbeat{
		Number: s.number, SentNanos: now,
		LastReplyNumber: s.last.number, LastReplyReceivedNanos: s.last.received,
	}
	s.mu.Unlock()
	unacked, _ := s.link.outbox.Depth()
	h.UnackedBatches = uint64(unacked)
	if run, at, ok := s.link.to.runTime(now); ok {
		nanos := int64(at)
		h.RunId, h.RunTimeNanos = run, &nanos
	}
	return stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Heartbeat{Heartbeat: h}})
}

// flush sends everything that waits: the status first, batches in order, finals after the batches
// that they close.
func (s *session) flush(stream clientStream) error {
	for _, m := range s.waiting() {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	if err := s.batches(stream); err != nil {
		return err
	}
	return s.closings(stream)
}

func (s *session) waiting() []*pb.AttachRequest {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*pb.AttachRequest
	if l.up.changed {
		l.up.changed = false
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_Status{Status: wire.StatusToProto(l.up.status)}})
	}
	for _, a := range l.up.asks {
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_File{File: a}})
	}
	l.up.asks = nil
	if l.up.leave != "" && s.tell("leave") {
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_Leave{Leave: &pb.Leave{Reason: l.up.leave}}})
	}
	for _, r := range l.up.results {
		if key := "result/" + r.Run + "/" + r.ID; !s.tell(key) {
			continue
		}
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_TaskResult{TaskResult: wire.TaskResultToProto(r)}})
	}
	return out
}

// tell reports whether something has not been sent in this session yet, and notes that it is now.
func (s *session) tell(key string) bool {
	if s.told[key] {
		return false
	}
	s.told[key] = true
	return true
}

// batches sends, of every sequence, what may follow the last batch sent.
func (s *session) batches(stream clientStream) error {
	for _, o := range s.link.outbox.State() {
		key := laneKey{o.Run, o.Incarnation}
		for {
			s.mu.Lock()
			if s.foreign[o.Run] {
				s.mu.Unlock()
				break
			}
			from, most := s.lane(key).next(s.link.opts.Clock())
			s.mu.Unlock()
			if most <= 0 {
				break
			}
			out := s.link.outbox.Unacked(o.Run, o.Incarnation, from, min(most, 16))
			if len(out) == 0 {
				break
			}
			for _, b := range out {
				if err := stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Metrics{Metrics: wire.SealedToProto(b)}}); err != nil {
					return err
				}
			}
			s.mu.Lock()
			s.lane(key).passed(from, out[len(out)-1].Seq)
			s.mu.Unlock()
		}
	}
	return nil
}

// lane returns how far a sequence is. The caller holds mu.
func (s *session) lane(key laneKey) *passage {
	p, ok := s.lanes[key]
	if !ok {
		p = &passage{}
		s.lanes[key] = p
	}
	return p
}

// closings sends the finals whose last batch has been sent.
func (s *session) closings(stream clientStream) error {
	s.link.mu.Lock()
	finals := append([]wire.Final(nil), s.link.up.finals...)
	s.link.mu.Unlock()
	for _, f := range finals {
		name := fmt.Sprintf("final/%s/%d", f.Run, f.Incarnation)
		if s.told[name] {
			continue
		}
		s.mu.Lock()
		ready := s.lane(laneKey{f.Run, f.Incarnation}).sent >= f.LastSeq
		s.mu.Unlock()
		if !ready {
			continue
		}
		if err := stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Final{Final: wire.FinalToProto(f)}}); err != nil {
			return err
		}
		s.told[name] = true
	}
	return nil
}

// receive is the only receiver; it calls heard for each message.
func (s *session) receive(stream clientStream, heard func()) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		heard()
		if err := s.take(m); err != nil {
			return err
		}
	}
}

// take handles one message. Messages of an epoch lower than the session's are refused, except that
// a stop is always heeded, and so is a halt.
func (s *session) take(m *pb.AttachResponse) error {
	now := s.link.opts.Clock()
	if m.GetEpoch() < s.epoch && m.GetAssignment().GetGoal() != pb.Assignment_GOAL_STOP && m.GetHalt() == nil {
		s.link.log.Warn("message of a past epoch refused", "epoch", m.GetEpoch(), "highest_epoch", s.epoch)
		return nil
	}
	switch p := m.GetPayload().(type) {
	case *pb.AttachResponse_Heartbeat:
		s.replied(p.Heartbeat, now)
	case *pb.AttachResponse_Assignment:
		a, err := wire.AssignmentFromProto(p.Assignment)
		if err != nil {
			return err
		}
		a.Epoch = m.GetEpoch()
		s.link.to.assigned(a)
	case *pb.AttachResponse_Ack:
		for _, mark := range wire.MarksFromProto(p.Ack.GetMarks()) {
			s.committed(mark)
		}
		s.link.wakeUp()
	case *pb.AttachResponse_Nack:
		s.refused(wire.NackFromProto(p.Nack))
	case *pb.AttachResponse_File:
		s.link.files.receive(p.File)
	case *pb.AttachResponse_Task:
		s.link.to.tasked(wire.TaskFromProto(p.Task))
	case *pb.AttachResponse_Drain:
		s.link.to.drained(p.Drain.GetReason())
	case *pb.AttachResponse_Halt:
		s.link.to.halted(wire.HaltFromProto(p.Halt))
	}
	return nil
}

// replied completes a clock exchange and passes the lease on, which counts from the sending of the
// heartbeat that is answered.
func (s *session) replied(r *pb.HeartbeatReply, now int64) {
	s.mu.Lock()
	sent, ok := s.beats[r.GetNumber()]
	delete(s.beats, r.GetNumber())
	if r.GetNumber() > s.last.number {
		s.last = reply{number: r.GetNumber(), received: now}
	}
	s.orphaned = r.GetCaretaker()
	if ok {
		s.clock.Add(run.Exchange{Sent: sent, Received: r.GetReceivedNanos(), Answered: r.GetSentNanos(), Back: now})
	}
	offset, known := s.clock.Best(now)
	s.mu.Unlock()
	if !ok || !known {
		return
	}
	l := lease{epoch: s.epoch, leader: offset, known: true, sent: sent}
	if granted := r.GetLease().AsDuration(); granted > 0 {
		l.until = sent + int64(granted)
	}
	s.link.to.leased(l)
}

// committed drops what a mark covers.
func (s *session) committed(m wire.Mark) {
	s.mu.Lock()
	s.lane(laneKey{m.Run, m.Incarnation}).commit(m.Through)
	s.mu.Unlock()
	if m.Closed {
		s.forget(m.Run)
		return
	}
	if err := s.link.outbox.Ack(m); err != nil {
		s.link.log.Warn("acked batches not removed", "run_id", m.Run, "error", err)
	}
}

// refused sets a sequence back to what is wanted, or drops it when nothing is.
func (s *session) refused(n wire.Nack) {
	log := s.link.log.With("run_id", n.Run, "seq", n.Want, "reason", n.Message)
	switch n.Reason {
	case wire.NackUnknownRun:
		s.unknown(n.Run, log)
		return
	case wire.NackClosed:
		log.Warn("batches dropped")
		s.forget(n.Run)
		return
	}
	spoiled := n.Reason == wire.NackCorrupt
	s.mu.Lock()
	atOnce := s.lane(laneKey{n.Run, n.Incarnation}).refuse(n.Want, spoiled, s.link.opts.Clock())
	s.mu.Unlock()
	if spoiled || atOnce {
		log.Warn("batch refused, sending again")
	}
	if atOnce {
		s.link.wakeUp() // else it goes out beside a heartbeat, once it is due
	}
}

// unknown drops a run that its own coordinators do not know: it was deleted. Others cannot say so.
func (s *session) unknown(runID string, log hclog.Logger) {
	if !s.link.outbox.Foreign(runID) {
		log.Warn("batches dropped")
		s.forget(runID)
		return
	}
	s.link.forget(runID)
	s.mu.Lock()
	told := s.foreign[runID]
	s.foreign[runID] = true
	s.mu.Unlock()
	if !told {
		log.Warn("batches kept: they belong to a run of other coordinators", "dir", s.link.outbox.dir)
	}
}

// forget drops all that is kept for a run that is closed.
func (s *session) forget(runID string) {
	s.link.forget(runID)
	if err := s.link.outbox.Forget(runID); err != nil {
		s.link.log.Warn("batches of a closed run not removed", "run_id", runID, "error", err)
	}
	s.mu.Lock()
	maps.DeleteFunc(s.lanes, func(key laneKey, _ *passage) bool { return key.run == runID })
	s.mu.Unlock()
}
