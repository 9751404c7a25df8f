package fleet

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc/metadata"

	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// Worker is a snapshot of what the leader knows of one worker.
type Worker struct {
	Name        string
	Instance    string
	Nonce       string
	Incarnation int64
	Version     string
	Labels      map[string]string // as the worker gave them; nobody changes them
	Capacity    float64
	Hostname    string
	Platform    string
	CPUs        uint32
	MemoryBytes uint64

	Attached  time.Time     // wall clock, for people
	LastHeard time.Time     // wall clock, for people
	Silent    time.Duration // since it was last heard, on the leader's monotonic clock
	Connected bool
	Met       bool // it has attached in this term
	Left      bool // it has said goodbye, and not come back
	Draining  bool
	Loopback  bool          // its stream comes over this machine's loopback
	Run       string        // run that it is reserved for; empty: free
	Bound     time.Duration // bound on the error of its clock offset; 0: no estimate yet
	Offset    time.Duration // worker clock minus leader clock
	Unacked   uint64        // batches sealed and not acked, as the worker has told
	Clock     *RunClock     // nil: no load has begun on it, as far as it has told
}

// RunClock is where T0 of a run is by a worker's own clock.
type RunClock struct {
	Run string
	T0  int64 // reading of the worker's clock at run time 0, nanoseconds
}

// T0 returns where T0 of a run is on the leader's clock by what the worker says, and by how much that may
// be wrong. It is false before the worker has told, and before its clock has been compared.
func (w Worker) T0(runID string) (t0 int64, bound time.Duration, ok bool) {
	if w.Clock == nil || w.Clock.Run != runID || w.Bound == 0 {
		return 0, 0, false
	}
	return w.Clock.T0 - int64(w.Offset), w.Bound, true
}

// loopback reports whether the worker at the other end of a stream is on this machine. Of one that comes
// through another coordinator that is not known: the peer is that coordinator.
func loopback(ctx context.Context) bool {
	if len(metadata.ValueFromIncomingContext(ctx, wire.MetaRelayedBy)) > 0 {
		return false
	}
	at, _ := remote(ctx)
	switch addr := at.(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// unknownBound is what the clock of a worker may be off by that no estimate bounds yet, beyond what it
// takes to make one: its second heartbeat, a second after the first, brings it.
const unknownBound = 500 * time.Millisecond

// ClockBound is the most that the estimate of the worker's clock may be off by. On the same machine the
// clock is the same.
func (w Worker) ClockBound() time.Duration {
	if w.Bound == 0 && !w.Loopback {
		return unknownBound
	}
	return w.Bound
}

// Matches reports whether the worker carries every label of match.
func (w Worker) Matches(match map[string]string) bool {
	for name, value := range match {
		if w.Labels[name] != value {
			return false
		}
	}
	return true
}

// member is the leader's own record of a worker; guarded by Fleet.mu.
type member struct {
	info       Worker
	session    *session // nil while disconnected
	assignment *wire.Assignment
	drain      drain
	lease      time.Duration // granted with each heartbeat reply; 0: none
	lastHeard  int64         // monotonic
	clock      offsets
	retired    bool // this life has been ended, its process goes on
	dead       bool // its death was reported: this life does nothing any more
}

// resume posts what the worker must hear first in a new session. Fleet.mu is held, so that no newer
// assignment can be overtaken by this one. A worker that belongs to a run of which nothing was
// assigned in this term yet goes on with what it does: silence does not stop a run.
func (m *member) resume(box *mailbox) {
	switch {
	case m.assignment != nil:
		box.assign(*m.assignment)
	case m.info.Run == "":
		box.assign(wire.Assignment{})
	}
	if m.drain.told {
		box.send(drainMessage(m.drain.reason))
	}
}

// told takes what a heartbeat says of the run time on the worker, and of its outbox.
func (m *member) told(h *pb.Heartbeat) {
	m.info.Clock, m.info.Unacked = nil, h.GetUnackedBatches()
	if h.RunTimeNanos != nil {
		m.info.Clock = &RunClock{Run: h.GetRunId(), T0: h.GetSentNanos() - h.GetRunTimeNanos()}
	}
}

// unacked counts the batches in the outbox that a hello describes.
func unacked(outbox []wire.OutboxState) (n uint64) {
	for _, o := range outbox {
		n += o.NextSeq - min(o.OldestUnacked, o.NextSeq)
	}
	return n
}

func (m *member) snapshot(now int64) Worker {
	w := m.info
	w.Connected = m.session != nil
	w.Silent = time.Duration(now - m.lastHeard)
	w.Offset, w.Bound = m.clock.estimate()
	return w
}

// offsets estimates a worker's clock from the exchanges of its heartbeats, as the worker does itself.
type offsets struct {
	estimator run.OffsetEstimator
	last      int64 // newest reading of the worker's clock
}

func (o *offsets) add(e run.Exchange) {
	if o.estimator.Add(e) {
		o.last = e.Back
	}
}

// estimate returns the worker's clock minus the leader's, and the bound of its error.
func (o *offsets) estimate() (offset, bound time.Duration) {
	best, ok := o.estimator.Best(o.last)
	if !ok {
		return 0, 0
	}
	return -best.Value, best.Bound
}
