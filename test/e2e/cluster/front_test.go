package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

const (
	// callWithin bounds one attempt of a call: a coordinator that is frozen takes it and says nothing.
	callWithin = 2 * time.Second
	// answersWithin bounds how long it may take until some coordinator carries a call out.
	answersWithin = time.Minute
)

// front is a client of all coordinators, as anybody could write one.
type front struct{ conns []*grpc.ClientConn }

func newFront(t *testing.T, addresses []string) *front {
	t.Helper()
	f := &front{}
	for _, address := range addresses {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1, MaxDelay: 100 * time.Millisecond}}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		f.conns = append(f.conns, conn)
	}
	return f
}

// one calls one coordinator, once.
func (f *front) one(ctx context.Context, i int, fn func(context.Context, grpc.ClientConnInterface) error) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	return fn(ctx, f.conns[i])
}

// call asks the coordinators in turn until one carries the call out.
func (f *front) call(t *testing.T, what string, fn func(context.Context, grpc.ClientConnInterface) error) {
	t.Helper()
	if err := f.insist(t.Context(), fn); err != nil {
		t.Fatalf("%s: no coordinator has done it within %v: %v", what, answersWithin, err)
	}
}

// insist is call for goroutines that cannot end a test.
func (f *front) insist(ctx context.Context, fn func(context.Context, grpc.ClientConnInterface) error) (err error) {
	for end := time.Now().Add(answersWithin); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for i := range f.conns {
			if err = f.one(ctx, i, fn); err == nil {
				return nil
			}
		}
	}
	return err
}

// status returns what the leader says of the cluster, and which coordinator that is; -1 when none leads. Whoever
// is asked passes the question on, or answers itself when it reaches no leader.
func (f *front) status(ctx context.Context) (int, *pb.GetStatusResponse) {
	for i := range f.conns {
		s, err := f.ask(ctx, i)
		var leader int
		if _, perr := fmt.Sscanf(s.GetLeader().GetName(), "c%d", &leader); err == nil && perr == nil && s.GetCaretakerSince() == nil {
			if leader--; f.reaches(ctx, leader) {
				return leader, s
			}
		}
	}
	return -1, nil
}

// ask returns what one coordinator says of the cluster.
func (f *front) ask(ctx context.Context, i int) (s *pb.GetStatusResponse, err error) {
	err = f.one(ctx, i, func(ctx context.Context, c grpc.ClientConnInterface) (err error) {
		s, err = pb.NewFleetServiceClient(c).GetStatus(ctx, &pb.GetStatusRequest{})
		return err
	})
	return s, err
}

// reaches tells whether a coordinator answers at its own address.
func (f *front) reaches(ctx context.Context, i int) bool {
	return i >= 0 && i < len(f.conns) && f.serves(ctx, i)
}

// serves tells whether a coordinator answers, be it that another one leads.
func (f *front) serves(ctx context.Context, i int) bool {
	err := f.one(ctx, i, func(ctx context.Context, c grpc.ClientConnInterface) error {
		_, err := pb.NewFleetServiceClient(c).GetStatus(ctx, &pb.GetStatusRequest{})
		return err
	})
	return err == nil || refusedByFollower(err)
}

// direct marks a call that is not to be passed on to the leader.
func direct(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, wire.MetaDirect, "1")
}

// refusedByFollower tells whether an error is the answer of a coordinator that does not lead.
func refusedByFollower(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	for _, detail := range status.Convert(err).Details() {
		if _, ok := detail.(*pb.LeaderInfo); ok {
			return true
		}
	}
	return false
}
