//go:build soak && linux

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/agent"
	"proofload/internal/clock"
	"proofload/internal/metric"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

type lightStream = grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse]

// lightWorker is a worker as the coordinator sees it: its own connection, hello, heartbeats with clock and
// lease, status, a batch each second from the outbox of the real agent, and a final. Only the load is
// missing.
type lightWorker struct {
	name, instance, nonce string
	load                  *lightLoad
	outbox                *agent.Outbox
	conn                  *grpc.ClientConn
	wake                  chan struct{} // capacity 1: there is something to send
	acks                  *latencies

	mu          sync.Mutex
	incarnation int64
	cluster     uint64
	epoch       int64
	every       time.Duration
	wanted      wire.Assignment
	state       wire.WorkerState
	told        *wire.Status // the status that was posted last
	news        bool         // it has not been sent in this session
	t0          *int64
	lease       int64       // reading of the clock through which it may fire
	second      int64       // sealed next
	totals      wire.Totals // of the run
	requests    int64       // of all runs
	final       *wire.Final
	closed      bool // the final was sent in this session
	sent        uint64
	sealed      map[uint64]time.Time // when each batch was that is not acked yet
	beat        *pb.Heartbeat        // the next one
	beats       map[uint64]int64
}

func newLightWorker(name, address, dir string, load *lightLoad, acks *latencies) (*lightWorker, error) {
	outbox, err := agent.OpenOutbox(agent.OutboxOptions{Dir: filepath.Join(dir, name)})
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		// The memory of a thousand connections is this process's, but so is the time of its collector.
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(8<<10))
	if err != nil {
		return nil, err
	}
	return &lightWorker{
		name: name, instance: uuid.NewString(), nonce: uuid.NewString(), load: load, outbox: outbox, conn: conn,
		acks: acks, wake: make(chan struct{}, 1), sealed: map[uint64]time.Time{}, beats: map[uint64]int64{}, beat: &pb.Heartbeat{},
	}, nil
}

// run keeps a session until ctx ends.
func (w *lightWorker) run(ctx context.Context) error {
	defer func() { _, _ = w.conn.Close(), w.outbox.Close() }()
	for ctx.Err() == nil {
		_ = w.session(ctx) // a coordinator that is gone is what some of the measurements are about
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

func (w *lightWorker) session(ctx context.Context) error {
	w.conn.ResetConnectBackoff()
	group, groupCtx := errgroup.WithContext(ctx)
	stream, err := pb.NewWorkerServiceClient(w.conn).Attach(groupCtx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Hello{Hello: wire.HelloToProto(w.hello())}}); err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetWelcome() == nil {
		return fmt.Errorf("answer to hello: %v", first)
	}
	w.welcomed(first.GetWelcome())
	group.Go(func() error {
		for {
			m, err := stream.Recv()
			if err != nil {
				return err
			}
			if err := w.take(m); err != nil {
				return err
			}
		}
	})
	group.Go(func() error { return w.send(groupCtx, stream) })
	return group.Wait()
}

func (w *lightWorker) hello() wire.Hello {
	w.mu.Lock()
	defer w.mu.Unlock()
	return wire.Hello{
		Protocol: wire.ProtocolVersion, Name: w.name, Instance: w.instance, Nonce: w.nonce, Version: "bench",
		Labels: map[string]string{"site": "bench", "zone": "z" + w.name[len(w.name)-1:]}, Capacity: 1,
		HighestEpoch: w.epoch, Cluster: w.cluster, Incarnation: w.incarnation, Outbox: w.outbox.State(), Status: w.told,
		CPUs: 1, MemoryBytes: 1 << 30, Platform: "linux/bench", Hostname: "bench",
	}
}

func (w *lightWorker) welcomed(m *pb.Welcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.incarnation, w.cluster, w.epoch = m.GetIncarnation(), m.GetClusterId(), m.GetLeader().GetEpoch()
	w.every, w.sent, w.closed, w.news = m.GetHeartbeatInterval().AsDuration(), 0, false, w.told != nil
	w.beat = &pb.Heartbeat{}
	for _, mark := range wire.MarksFromProto(m.GetCommitted()) {
		w.committed(mark)
	}
}

// take handles one message of the coordinator.
func (w *lightWorker) take(m *pb.AttachResponse) error {
	now := clock.Nanos()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch p := m.GetPayload().(type) {
	case *pb.AttachResponse_Heartbeat:
		w.beat.LastReplyNumber, w.beat.LastReplyReceivedNanos = p.Heartbeat.GetNumber(), now
		if sent, ok := w.beats[p.Heartbeat.GetNumber()]; ok {
			w.lease = max(w.lease, sent+int64(p.Heartbeat.GetLease().AsDuration()))
			clear(w.beats)
		}
	case *pb.AttachResponse_Assignment:
		a, err := wire.AssignmentFromProto(p.Assignment)
		if err != nil {
			return err
		}
		w.assigned(a)
	case *pb.AttachResponse_Ack:
		for _, mark := range wire.MarksFromProto(p.Ack.GetMarks()) {
			w.committed(mark)
		}
	case *pb.AttachResponse_Nack:
		w.acks.refused(p.Nack.GetMessage())
		w.sent = min(w.sent, max(p.Nack.GetWantSeq(), 1)-1)
	}
	w.wakeUp()
	return nil
}

func (w *lightWorker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// assigned takes what is wanted; the lock is held.
func (w *lightWorker) assigned(a wire.Assignment) {
	if a.Run != w.wanted.Run {
		w.state, w.t0, w.second, w.totals, w.final, w.sent, w.told = wire.WorkerReady, nil, 0, wire.Totals{}, nil, 0, nil
	}
	w.wanted = a
	if a.Run == "" {
		return
	}
	if w.t0 == nil && a.Goal == wire.GoalRun {
		w.t0 = a.T0 // one machine has one clock: no offset
	}
	if a.Goal == wire.GoalStop && w.state < wire.WorkerDone {
		if w.t0 != nil {
			w.seal(time.Duration(clock.Nanos() - *w.t0))
		}
		w.state = wire.WorkerDone
		w.final = &wire.Final{Run: a.Run, Incarnation: w.incarnation, LastSeq: uint64(w.second), Totals: w.totals}
	}
	w.report()
}

// report posts the status; the lock is held.
func (w *lightWorker) report() {
	w.told = &wire.Status{
		Run: w.wanted.Run, Revision: w.wanted.Revision, State: w.state, T0: w.wanted.T0, Changes: len(w.wanted.History),
		HandOver: w.wanted.HandOver(), Stop: w.wanted.Stop, Permits: w.wanted.Permits,
		Phases: []wire.PhaseStatus{{Phase: "hold", Started: w.t0 != nil, Ended: w.state == wire.WorkerDone}},
	}
	w.news = true
}

// committed drops what a mark covers; the lock is held.
func (w *lightWorker) committed(m wire.Mark) {
	now := time.Now()
	for seq, at := range w.sealed {
		if seq <= m.Through {
			w.acks.add(now.Sub(at))
			delete(w.sealed, seq)
		}
	}
	_ = w.outbox.Ack(m)
	w.sent = max(w.sent, m.Through)
	if m.Closed {
		_ = w.outbox.Forget(m.Run)
		w.final = nil
	}
}

// sealLag is that of the real agent.
const sealLag = 30 * time.Millisecond

// due seals the seconds that are over by the worker's own clock; the lock is held. It returns how long it is
// until the next one is.
func (w *lightWorker) due() time.Duration {
	if w.t0 == nil || w.state >= wire.WorkerDone {
		return time.Hour
	}
	next := func() time.Duration {
		return time.Duration(*w.t0+(w.second+1)*int64(time.Second)-clock.Nanos()) + sealLag
	}
	for next() <= 0 {
		if w.state < wire.WorkerRunning {
			w.state = wire.WorkerRunning
			w.report()
		}
		w.seal(time.Duration(w.second+1) * time.Second)
	}
	return next()
}

// seal closes the present second, which the load has filled if the lease has lasted; the lock is held.
func (w *lightWorker) seal(until time.Duration) {
	from := time.Duration(w.second) * time.Second
	b := metric.Batch{
		Run: w.wanted.Run, Source: metric.Source{Worker: w.name, Incarnation: w.incarnation}, ShardRevision: w.wanted.ShardRevision,
		From: from, To: max(from, min(until, from+time.Second)), Second: w.load.second(w.name, w.second),
	}
	if w.lease < *w.t0+int64(b.To) {
		b.Second, b.To = metric.NewSecond(w.second), from
		w.acks.idle()
	} else {
		t := w.load.totals
		w.totals.Planned += t.Planned
		w.totals.Sent += t.Sent
		w.totals.Succeeded += t.Succeeded
		w.totals.Requests += t.Requests
		w.requests += t.Requests
	}
	sealed, err := w.outbox.Append(b.Run, w.incarnation, func(seq uint64) []byte {
		b.Seq = seq
		return metric.EncodeBatch(b)
	})
	if err != nil {
		w.acks.refused(err.Error())
		return
	}
	w.acks.batch(len(sealed.Data))
	w.sealed[sealed.Seq] = time.Now()
	w.second++
}

// send is the only sender of a session.
func (w *lightWorker) send(ctx context.Context, stream lightStream) error {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	seal := time.NewTimer(0)
	defer seal.Stop()
	beat := true
	for {
		w.mu.Lock()
		seal.Reset(w.due())
		out := w.waiting(beat)
		w.mu.Unlock()
		for _, m := range out {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		beat = false
		select {
		case <-w.wake:
		case <-seal.C:
		case <-ticker.C:
			beat = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// waiting is what is to be sent now; the lock is held.
func (w *lightWorker) waiting(beat bool) (out []*pb.AttachRequest) {
	if beat {
		w.beat.Number++
		w.beat.SentNanos = clock.Nanos()
		w.beats[w.beat.Number] = w.beat.SentNanos
		h := &pb.Heartbeat{
			Number: w.beat.Number, SentNanos: w.beat.SentNanos, LastReplyNumber: w.beat.LastReplyNumber,
			LastReplyReceivedNanos: w.beat.LastReplyReceivedNanos,
		}
		if w.t0 != nil && w.wanted.Run != "" {
			at := h.SentNanos - *w.t0
			h.RunId, h.RunTimeNanos = w.wanted.Run, &at
		}
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_Heartbeat{Heartbeat: h}})
	}
	if w.news && w.told != nil {
		w.news = false
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_Status{Status: wire.StatusToProto(w.told)}})
	}
	for _, b := range w.outbox.Unacked(w.wanted.Run, w.incarnation, w.sent+1, 64) {
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_Metrics{Metrics: wire.SealedToProto(b)}})
		w.sent = b.Seq
	}
	if w.final != nil && !w.closed && w.sent >= w.final.LastSeq {
		w.closed = true
		out = append(out, &pb.AttachRequest{Payload: &pb.AttachRequest_Final{Final: wire.FinalToProto(*w.final)}})
	}
	return out
}
