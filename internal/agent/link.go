package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// receiver is what the link hands messages to. Its methods are called from the goroutine that
// reads the stream and must not block.
type receiver interface {
	assigned(a wire.Assignment)
	tasked(t wire.Task)
	leased(l lease)
	drained(reason string)
	// halted is called when the load of a run is to end although nobody may have recorded that.
	halted(h wire.Halt)
	// reborn is called when a coordinator has made another life of this process; see fleet.Fleet.Retire.
	reborn()
	// runTime returns the run whose load has begun here, and its run time at a reading of the clock.
	runTime(reading int64) (run string, at time.Duration, ok bool)
}

// link keeps one session with the leading coordinator alive: it dials, introduces the worker,
// resends what is not committed, and starts over when the stream breaks. Posting never blocks.
type link struct {
	opts   Options
	log    hclog.Logger
	id     *identity
	outbox *Outbox
	files  *files
	to     receiver
	dial   *dialer

	mu       sync.Mutex
	wake     chan struct{} // capacity 1: there is something to send
	beat     chan struct{} // capacity 1: a heartbeat is wanted now
	up       upward
	known    known
	draining bool
	left     bool
	leaving  chan struct{} // closed when the worker leaves because it was told to

	live     atomic.Pointer[session] // the session that is attached now; nil: none
	welcomes atomic.Int64            // sessions that were welcomed
}

// upward is what is to be sent besides batches, which the outbox holds.
type upward struct {
	status  *wire.Status
	changed bool // status has not been sent in this session
	finals  []wire.Final
	results []wire.TaskResult
	asks    []*pb.FileRequest
	leave   string // why the worker wants to leave; it is told in every session
}

// known is what the worker has learned from its coordinators.
type known struct {
	incarnation int64
	cluster     uint64
	epoch       int64
	leader      wire.Leader
}

const (
	// heartbeatEvery is used until the coordinator names its own interval.
	heartbeatEvery = time.Second
	backoffLeast   = 100 * time.Millisecond
	backoffMost    = 3 * time.Second

	// Right after a session the next leader is about to be elected, and samples wait for it: longer
	// pauses than backoffEager would be added to the failover.
	backoffEager = 500 * time.Millisecond
	eager        = 15 * time.Second

	// quietBeats is after how many intervals in which not even a heartbeat was answered a session is
	// given up. A process that hangs keeps its connections; keepalive would take thrice as long.
	quietBeats = 4
	// backoffRefused is the most where a coordinator answers: somebody will lead in a moment.
	backoffRefused = time.Second
)

// errSilent ends a session whose coordinator says nothing any more.
var errSilent = errors.New("coordinator answers no heartbeats")

// errDrained ends the link on purpose.
var errDrained = errors.New("drained")

// run keeps a session until ctx ends, when it says goodbye, or until an error that trying again
// cannot mend.
func (l *link) run(ctx context.Context) error {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waiting.Go(func() {
		select {
		case <-l.leaving:
			cancel()
		case <-ctx.Done():
		}
	})
	pause := pauses{backoff: backoffLeast}
	for {
		began, welcomes := time.Now(), l.welcomes.Load()
		err := l.session(ctx)
		l.heed(err)
		if ctx.Err() != nil {
			return nil
		}
		welcomed := l.welcomes.Load() != welcomes
		// What is refused after the welcome is one message, and no reason to lose the rest.
		if permanent := fatalStatus(err, l.welcomes.Load() > 0); permanent != nil && !welcomed {
			return permanent
		}
		address := l.dial.address()
		wait := pause.after(err, time.Since(began), welcomed, l.dial.note(err, welcomed))
		if move := (*moveError)(nil); errors.As(err, &move) {
			l.log.Info("going over to the leader", "address", address, "leader_address", move.leader)
			continue
		}
		l.log.Warn("session ended", "address", address, "retry_in", wait, "error", err)
		select {
		case <-time.After(wait/2 + rand.N(wait/2+1)):
		case <-ctx.Done():
			return nil
		}
	}
}

// heed carries out the stops that a refusal tells of: where nobody leads, nothing else reaches a worker.
func (l *link) heed(err error) {
	for _, detail := range details(err) {
		if h, ok := detail.(*pb.Halt); ok {
			l.to.halted(wire.HaltFromProto(h))
		}
	}
}

// session runs one stream to its end.
func (l *link) session(ctx context.Context) error {
	conn, by, err := l.dial.conn()
	if err != nil {
		return err
	}
	// The stream outlives ctx by the time of a goodbye.
	streamCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(goodbyeWait, func() { cancel(nil) }) })
	defer stop()
	// A coordinator that takes the connection and then says nothing is as good as none.
	handshake := time.AfterFunc(by.patience(), func() { cancel(errNoWelcome) })
	defer handshake.Stop()
	stream, err := pb.NewWorkerServiceClient(conn).Attach(by.marked(streamCtx), grpc.WaitForReady(false))
	if err != nil {
		return err
	}
	welcome, err := l.greet(stream)
	handshake.Stop()
	if err != nil {
		if cause := context.Cause(streamCtx); errors.Is(cause, errNoWelcome) {
			return cause
		}
		return err
	}
	s, err := l.welcomed(welcome, relayedBy(stream))
	if err != nil {
		return err
	}
	l.welcomes.Add(1)
	if tell := l.opts.Lives; tell != nil {
		tell(l.life())
	}
	l.live.Store(s)
	defer l.live.Store(nil)
	for _, m := range wire.MarksFromProto(welcome.GetCommitted()) {
		s.committed(m)
	}
	l.files.resume()
	err = s.run(ctx, streamCtx, cancel, stream)
	cancel(nil)
	drainStream(stream)
	return err
}

// greet introduces the worker on a new stream and returns what the coordinator answers.
func (l *link) greet(stream clientStream) (*pb.Welcome, error) {
	if err := stream.Send(&pb.AttachRequest{Payload: &pb.AttachRequest_Hello{Hello: wire.HelloToProto(l.hello())}}); err != nil {
		return nil, streamError(stream, err)
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	welcome := first.GetWelcome()
	if welcome == nil {
		return nil, fmt.Errorf("coordinator answered hello with %T", first.GetPayload())
	}
	return welcome, nil
}

// errNoWelcome ends an attempt to attach that was not answered.
var errNoWelcome = errors.New("coordinator did not answer the worker's hello")

// handshakeWait bounds how long the answer to a hello may take.
const handshakeWait = 15 * time.Second

// goodbyeWait bounds how long a worker that was told to end waits for its last words to pass.
const goodbyeWait = 2 * time.Second

// drainStream receives to the end, so that grpc frees the stream.
func drainStream(stream clientStream) {
	for {
		if _, err := stream.Recv(); err != nil {
			return
		}
	}
}

// streamError turns the EOF that a failed Send returns into the status that the server gave.
func streamError(stream clientStream, sendErr error) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return sendErr
}

// hello describes the worker as it is now.
func (l *link) hello() wire.Hello {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.opts.hello()
	h.Instance, h.Nonce = l.id.instance, l.id.nonce
	h.HighestEpoch, h.Cluster, h.Incarnation = l.known.epoch, l.known.cluster, l.known.incarnation
	h.Outbox = l.outbox.State()
	h.Outbox = h.Outbox[:min(len(h.Outbox), helloSequences)] // the rest is described once these are gone
	h.Status = l.up.status
	return h
}

// helloSequences is how many sequences of the outbox one hello may describe.
const helloSequences = 1024

// EpochError refuses a coordinator that led before one that this worker has already heard.
type EpochError struct{ Got, Highest int64 }

// Error says both epochs.
func (e *EpochError) Error() string {
	return fmt.Sprintf("coordinator leads in epoch %d, which is over: epoch %d was seen", e.Got, e.Highest)
}

// relayedBy returns the coordinator that relays a stream; empty: it comes from the leader.
func relayedBy(stream clientStream) string {
	header, err := stream.Header()
	if by := header.Get(wire.MetaRelayedBy); err == nil && len(by) > 0 {
		return by[0]
	}
	return ""
}

// welcomed takes over what the coordinator said and returns the session. relay is who stands between.
func (l *link) welcomed(w *pb.Welcome, relay string) (*session, error) {
	leader := wire.LeaderFromProto(w.GetLeader())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known.cluster == w.GetClusterId() && leader.Epoch < l.known.epoch {
		return nil, &EpochError{Got: leader.Epoch, Highest: l.known.epoch}
	}
	if l.known.cluster != w.GetClusterId() {
		l.known.epoch = 0 // epochs are compared within one cluster only
	}
	if was := l.known.incarnation; was != 0 && was != w.GetIncarnation() {
		defer l.to.reborn() // before anything is received
	}
	l.known = known{
		incarnation: w.GetIncarnation(), cluster: w.GetClusterId(),
		epoch: max(l.known.epoch, leader.Epoch), leader: leader,
	}
	l.outbox.Attached(w.GetClusterId())
	l.up.changed = l.up.status != nil
	l.dial.succeeded()
	l.log.Info("attached", "session_id", w.GetSessionId(), "incarnation", w.GetIncarnation(), "leader", leader.Name, "epoch", leader.Epoch, "relayed_by", relay)
	l.up.asks = nil // files.resume asks again for all that has not arrived
	s := &session{link: l, lanes: map[laneKey]*passage{}, told: map[string]bool{}, foreign: map[string]bool{}, epoch: leader.Epoch, every: heartbeatEvery}
	s.leader, s.cluster, s.relayed, s.began = leader.Address, w.GetClusterId(), relay != "", l.opts.Clock()
	if d := w.GetHeartbeatInterval().AsDuration(); d > 0 {
		s.every = d
	}
	return s, nil
}

// Incarnation returns the number of this worker's life; 0 before the first welcome.
func (l *link) Incarnation() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known.incarnation
}

// life returns what the last welcome made of this process.
func (l *link) life() Life {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Life{
		Instance: l.id.instance, Nonce: l.id.nonce,
		Incarnation: l.known.incarnation, Cluster: l.known.cluster, Leader: l.known.leader.Address,
	}
}

func (l *link) post(change func()) {
	l.mu.Lock()
	change()
	l.mu.Unlock()
	l.wakeUp()
}

// wakeUp makes the sender look for something to send.
func (l *link) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Beat sends a heartbeat at once, for the lease that its answer grants.
func (l *link) Beat() {
	select {
	case l.beat <- struct{}{}:
	default:
	}
}

// Report posts the newest status; an older one that was not sent is replaced.
func (l *link) Report(s *wire.Status) { l.post(func() { l.up.status, l.up.changed = s, true }) }

// led reports whether a leader answers now.
func (l *link) led() bool {
	s := l.live.Load()
	return s != nil && !s.forlorn()
}

// Leave asks, once in this session and in every later one, for the worker's part of its run to be handed over.
func (l *link) Leave(reason string) { l.post(func() { l.up.leave = reason }) }

// Finish posts a Final. It is sent after the last batch, and again in every later session until the
// run is closed.
func (l *link) Finish(f wire.Final) { l.post(func() { l.up.finals = append(l.up.finals, f) }) }

// Result posts the outcome of a task; it is sent again in a later session if this one breaks.
func (l *link) Result(r wire.TaskResult) { l.post(func() { l.up.results = append(l.up.results, r) }) }

// Ask posts a request for a file.
func (l *link) Ask(digest string, offset int64) {
	l.post(func() { l.up.asks = append(l.up.asks, &pb.FileRequest{Digest: digest, Offset: offset}) })
}

// drain ends the link once the worker has nothing to do; at once if that is so already.
func (l *link) drain(idle bool) {
	l.post(func() { l.draining = true })
	if idle {
		l.leave()
	}
}

// leave ends the link if the worker was told to drain.
func (l *link) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining && !l.left {
		l.left = true
		close(l.leaving)
	}
}

// forget drops what waits for a run that is closed or not known.
func (l *link) forget(run string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up.finals = slices.DeleteFunc(l.up.finals, func(f wire.Final) bool { return f.Run == run })
	l.up.results = slices.DeleteFunc(l.up.results, func(r wire.TaskResult) bool { return r.Run == run })
}
