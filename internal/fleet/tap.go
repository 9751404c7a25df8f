package fleet

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

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

// meant reports whether a stop is of what the worker executes.
func (t *tap) meant(order wire.Halt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return order.Means(t.run) && !t.over
}

// hasStopped reports whether the worker has said that it was told to stop what the stop is of.
func (t *tap) hasStopped(order wire.Halt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return order.Means(t.stopped) && (t.stopped == t.run || !order.Everything())
}

func haltMessage(order wire.Halt) *pb.AttachResponse {
	return &pb.AttachResponse{Payload: &pb.AttachResponse_Halt{Halt: wire.HaltToProto(order)}}
}
