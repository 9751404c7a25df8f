package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// Halts passes stops that nobody could record to every worker whose stream comes through this coordinator, be
// it that it leads, relays, or is a caretaker, and keeps them until somebody has recorded them. A worker that
// comes meanwhile is told too, also with the refusal when nobody leads. It needs no term: a stop is heeded at
// any epoch. All methods may be called concurrently.
type Halts struct {
	inForce func() (wire.Halt, bool)

	mu   sync.Mutex
	taps map[*tap]bool
	kept []wire.Halt            // oldest first
	told map[string]wire.Passed // by the request: workers, and what they executed
}

// errTooManyStops refuses a stop because too many wait for being recorded.
var errTooManyStops = status.Errorf(codes.ResourceExhausted, "%d stops wait for being recorded here already, which etcd keeps them from: see the status, and ask another coordinator", mostHalts)

const (
	// mostHalts bounds what is kept, of stops of one run and of every run each.
	mostHalts = 100
	// confirmWithin is how long the workers' word that they have stopped is waited for.
	confirmWithin = time.Second
	// knockWithin is how long workers are waited for where none has a stream: they look for a leader, and are told
	// with the refusal.
	knockWithin = 2 * time.Second
)

// NewHalts returns one that keeps nothing. inForce returns the halt of every run that is recorded, as far as is known
// here; workers are told of it too, for their leader may be one that they cannot reach. nil: there never is one.
func NewHalts(inForce func() (wire.Halt, bool)) *Halts {
	if inForce == nil {
		inForce = func() (wire.Halt, bool) { return wire.Halt{}, false }
	}
	return &Halts{inForce: inForce, taps: map[*tap]bool{}, told: map[string]wire.Passed{}}
}

// Halt passes a stop to the workers that execute the run, and keeps it until Forget. It returns whom it was passed
// to, and who of those has confirmed it, after two seconds at most; with an error nothing was done. A repeated one
// is passed on again and kept once.
func (h *Halts) Halt(ctx context.Context, order wire.Halt) (wire.Passed, error) {
	taps, err := h.keep(order)
	if err != nil {
		return wire.Passed{}, err
	}
	within := confirmWithin
	if len(taps) == 0 {
		within = knockWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var sending sync.WaitGroup // one that does not read holds its own up, until its stream ends
	for _, t := range taps {
		sending.Go(func() {
			if t.inject(ctx, order) == nil {
				h.reach(order, t)
			}
		})
	}
	until(ctx, func() bool {
		for _, t := range taps {
			h.confirm(order, t)
		}
		// Without any stream the workers are about to come, and to be told with the refusal.
		return len(taps) > 0 && len(h.Reached(order.Request).Stopped) >= len(taps)
	})
	return h.Reached(order.Request), nil
}

// until asks again and again until done is true or ctx ends.
func until(ctx context.Context, done func() bool) {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !done() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// Confirmed returns who of the workers here executes a run, and who of those has confirmed that it was told to
// stop, once all have, or after a second.
func (h *Halts) Confirmed(ctx context.Context) wire.Passed {
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	seen := wire.Passed{}
	until(ctx, func() bool {
		seen = h.confirmed(seen) // one that is done with its run has been told
		return len(seen.Stopped) == len(seen.Told)
	})
	return seen
}

// confirmed adds to what was seen before.
func (h *Halts) confirmed(seen wire.Passed) wire.Passed {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range h.taps {
		if run := t.executing(); run != "" && t.meant(wire.Halt{}) {
			seen.Told, seen.Runs = wire.Union(seen.Told, []string{t.name()}), wire.Union(seen.Runs, []string{run})
		}
		if t.hasStopped(wire.Halt{}) {
			seen.Stopped = wire.Union(seen.Stopped, []string{t.name()})
		}
	}
	return seen
}

// reach notes that a stop was passed to a worker.
func (h *Halts) reach(order wire.Halt, t *tap) {
	name, run := t.name(), t.executing()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.keeps(order.Request) {
		return // it is settled, and nobody would ask, or forget, what is noted now
	}
	r := h.told[order.Request]
	r.Told = wire.Union(r.Told, []string{name})
	if order.Means(run) {
		r.Runs = wire.Union(r.Runs, []string{run})
	}
	h.told[order.Request] = r
}

// confirm notes that a worker has said that it was told to stop, if it has.
func (h *Halts) confirm(order wire.Halt, t *tap) {
	if !t.hasStopped(order) {
		return
	}
	name := t.name()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.keeps(order.Request) {
		return
	}
	r := h.told[order.Request]
	r.Told, r.Stopped = wire.Union(r.Told, []string{name}), wire.Union(r.Stopped, []string{name})
	h.told[order.Request] = r
}

// keeps reports whether a stop is still to be settled. The lock is held.
func (h *Halts) keeps(request string) bool {
	return slices.ContainsFunc(h.kept, func(k wire.Halt) bool { return k.Request == request })
}

// keep notes a stop and returns the streams of the workers that execute its run.
func (h *Halts) keep(order wire.Halt) ([]*tap, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.keeps(order.Request) {
		if h.count(order.Everything()) == mostHalts {
			return nil, errTooManyStops
		}
		h.kept = append(h.kept, order)
	}
	var out []*tap
	for t := range h.taps {
		if t.meant(order) {
			out = append(out, t)
		}
	}
	return out, nil
}

// count returns how many stops are kept of every run, or of one. Neither may keep the other from being asked for. The
// lock is held.
func (h *Halts) count(everything bool) (n int) {
	for _, k := range h.kept {
		if k.Everything() == everything {
			n++
		}
	}
	return n
}

// Kept returns the stops that nobody has recorded yet, oldest first.
func (h *Halts) Kept() []wire.Halt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.kept)
}

// Reached returns which workers a stop was passed to here, and who of those has confirmed it.
func (h *Halts) Reached(request string) wire.Passed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told[request]
}

// Forget drops a stop: it is recorded, or its run has ended.
func (h *Halts) Forget(request string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = slices.DeleteFunc(h.kept, func(k wire.Halt) bool { return k.Request == request })
	delete(h.told, request)
}

// Runs returns the runs that the workers here execute, sorted.
func (h *Halts) Runs() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for t := range h.taps {
		if run := t.executing(); run != "" {
			out = append(out, run)
		}
	}
	return wire.Union(out, nil)
}

// of returns the stops of a run that a worker has to hear of; of every run when it is empty.
func (h *Halts) of(run string) []wire.Halt {
	orders := slices.DeleteFunc(h.Kept(), func(k wire.Halt) bool { return run != "" && !k.Means(run) })
	if halt, ok := h.inForce(); ok {
		orders = append(orders, halt)
	}
	return orders
}

// Stream is the interceptor of streams. It stands before the relay, so that it sees every worker.
func (h *Halts) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if info.FullMethod != pb.WorkerService_Attach_FullMethodName {
		return next(srv, stream)
	}
	t := &tap{ServerStream: stream, halts: h, turn: make(chan struct{}, 1)}
	h.mu.Lock()
	h.taps[t] = true
	h.mu.Unlock()
	err := next(srv, t)
	h.mu.Lock()
	delete(h.taps, t)
	h.mu.Unlock()
	err = h.refusal(t, err)
	t.close()
	return err
}

// refusal adds to an error what the worker is to stop: one that nobody serves hears of it in no other way.
func (h *Halts) refusal(t *tap, err error) error {
	orders := h.of(t.executing())
	if err == nil || len(orders) == 0 {
		return err
	}
	st := status.Convert(err)
	if st.Code() == codes.OK {
		return err
	}
	details := make([]protoadapt.MessageV1, 0, len(orders))
	for _, order := range orders {
		if t.meant(order) {
			h.reach(order, t)
			h.confirm(order, t)
		}
		details = append(details, protoadapt.MessageV1Of(wire.HaltToProto(order)))
	}
	with, derr := st.WithDetails(details...)
	if derr != nil {
		return err
	}
	return with.Err()
}
