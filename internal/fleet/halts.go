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
	mu   sync.Mutex
	taps map[*tap]bool
	kept []wire.Halt        // oldest first
	told map[string]reached // by the request
}

// reached are the names of workers that a stop was passed to, and of those that have confirmed it; sorted.
type reached struct{ told, stopped []string }

// errTooManyStops refuses a stop because too many wait for being recorded.
var errTooManyStops = status.Error(codes.ResourceExhausted, "too many stops wait for being recorded")

const (
	// mostHalts bounds what is kept.
	mostHalts = 100
	// confirmWithin is how long the workers' word that they have stopped is waited for.
	confirmWithin = time.Second
	// knockWithin is how long workers are waited for where none has a stream: they look for a leader, and are told
	// with the refusal.
	knockWithin = 2 * time.Second
)

// NewHalts returns one that keeps nothing.
func NewHalts() *Halts { return &Halts{taps: map[*tap]bool{}, told: map[string]reached{}} }

// Halt passes a stop to the workers that execute the run, and keeps it until Forget. It returns the names of
// those that it was passed to, and of those among them that have confirmed it, after two seconds at most; with an
// error nothing was done. A repeated one is passed on again and kept once.
func (h *Halts) Halt(ctx context.Context, order wire.Halt) (told, stopped []string, err error) {
	taps, err := h.keep(order)
	if err != nil {
		return nil, nil, err
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
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			told, stopped = h.Reached(order.Request)
			return told, stopped, nil
		}
		for _, t := range taps {
			h.confirm(order, t)
		}
		// Without any stream the workers are about to come, and to be told with the refusal.
		if told, stopped = h.Reached(order.Request); len(taps) > 0 && len(stopped) >= len(taps) {
			return told, stopped, nil
		}
	}
}

// reach notes that a stop was passed to a worker.
func (h *Halts) reach(order wire.Halt, t *tap) {
	name := t.name()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.keeps(order.Request) {
		return // it is settled, and nobody would ask, or forget, what is noted now
	}
	r := h.told[order.Request]
	r.told = union(r.told, []string{name})
	h.told[order.Request] = r
}

// confirm notes that a worker has said that it was told to stop, if it has.
func (h *Halts) confirm(order wire.Halt, t *tap) {
	if !t.hasStopped(order.Run) {
		return
	}
	name := t.name()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.keeps(order.Request) {
		return
	}
	r := h.told[order.Request]
	r.told, r.stopped = union(r.told, []string{name}), union(r.stopped, []string{name})
	h.told[order.Request] = r
}

// keeps reports whether a stop is still to be settled. The lock is held.
func (h *Halts) keeps(request string) bool {
	return slices.ContainsFunc(h.kept, func(k wire.Halt) bool { return k.Request == request })
}

// union returns the names in either list, sorted and once each.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// keep notes a stop and returns the streams of the workers that execute its run.
func (h *Halts) keep(order wire.Halt) ([]*tap, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.keeps(order.Request) {
		if len(h.kept) == mostHalts {
			return nil, errTooManyStops
		}
		h.kept = append(h.kept, order)
	}
	var out []*tap
	for t := range h.taps {
		if t.executes(order.Run) {
			out = append(out, t)
		}
	}
	return out, nil
}

// Kept returns the stops that nobody has recorded yet, oldest first.
func (h *Halts) Kept() []wire.Halt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.kept)
}

// Reached returns the names of the workers that a stop was passed to here, and of those that have confirmed it.
func (h *Halts) Reached(request string) (told, stopped []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.told[request]
	return r.told, r.stopped
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
	return union(out, nil)
}

// of returns what is kept of a run; of every run when it is empty.
func (h *Halts) of(run string) []wire.Halt {
	return slices.DeleteFunc(h.Kept(), func(k wire.Halt) bool { return run != "" && k.Run != run })
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
		if t.executes(order.Run) {
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

// tap is a worker's stream, into which stops can be put between the messages of whoever serves it.
type tap struct {
	grpc.ServerStream
	halts *Halts
	turn  chan struct{} // capacity 1: who sends holds it

	mu      sync.Mutex
	worker  string
	run     string // that it executes, by what it was told and has said
	stopped string // the run of which it has said that it was told to stop
	greeted bool   // Welcome has passed: before it nothing may
	over    bool
}

// RecvMsg receives, and notes what the worker executes.
func (t *tap) RecvMsg(m any) error {
	if err := t.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if r, ok := m.(*pb.AttachRequest); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		switch p := r.GetPayload().(type) {
		case *pb.AttachRequest_Hello:
			t.worker = p.Hello.GetName()
			t.says(p.Hello.GetStatus())
		case *pb.AttachRequest_Status:
			t.says(p.Status)
		}
	}
	return nil
}

// says takes a worker's status. mu is held.
func (t *tap) says(s *pb.AssignmentStatus) {
	if s == nil {
		return
	}
	t.run = s.GetRunId()
	if s.GetStopKind() != "" {
		t.stopped = t.run
	}
}

// SendMsg sends, and then what is kept for a worker that has just come, or was just given a run.
func (t *tap) SendMsg(m any) error {
	select {
	case t.turn <- struct{}{}:
	case <-t.Context().Done():
		return context.Cause(t.Context())
	}
	defer func() { <-t.turn }()
	if err := t.ServerStream.SendMsg(m); err != nil {
		return err
	}
	r, ok := m.(*pb.AttachResponse)
	if !ok {
		return nil
	}
	run := ""
	t.mu.Lock()
	switch p := r.GetPayload().(type) {
	case *pb.AttachResponse_Welcome:
		t.greeted = true
		run = t.run
	case *pb.AttachResponse_Assignment:
		t.run = p.Assignment.GetRunId()
		run = t.run
	}
	t.mu.Unlock()
	if run == "" {
		return nil
	}
	for _, order := range t.halts.of(run) {
		if err := t.ServerStream.SendMsg(haltMessage(order)); err != nil {
			return err
		}
		t.halts.reach(order, t)
	}
	return nil
}

// inject puts a stop between the messages of whoever serves the stream. An error says that it was not sent.
func (t *tap) inject(ctx context.Context, order wire.Halt) error {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-t.turn }()
	t.mu.Lock()
	ready := t.greeted && !t.over
	t.mu.Unlock()
	if !ready {
		return ErrNotConnected // it is told with Welcome, or with the refusal
	}
	return t.ServerStream.SendMsg(haltMessage(order))
}

func (t *tap) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

func (t *tap) name() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.worker
}

func (t *tap) executing() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.run
}

func (t *tap) executes(run string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.run == run && run != "" && !t.over
}

func (t *tap) hasStopped(run string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped == run
}

func haltMessage(order wire.Halt) *pb.AttachResponse {
	return &pb.AttachResponse{Payload: &pb.AttachResponse_Halt{Halt: wire.HaltToProto(order)}}
}
