package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// dialer chooses how to attach. The leader is preferred: the first coordinator that is reached is asked who
// leads, and that one is tried. Where it cannot be reached, the coordinator that named it is asked to relay
// the stream. Otherwise the given addresses are tried in turn. One connection is open at a time.
//
// A leader whose process or machine hangs takes connections and says nothing, and the others name it as
// the leader until its lease is over. So one that has fallen silent is passed over for as long as a
// lease lasts, unless there is no other.
type dialer struct {
	addresses []string
	creds     credentials.TransportCredentials
	extra     []grpc.DialOption

	mu      sync.Mutex
	next    int
	try     way  // that the last refusal has shown, for once
	shown   bool // the attempt that is under way follows it
	current way
	shunned map[string]time.Time // leaders that could not be reached, and until when that is believed
	silent  string               // has let a session or a hello wait
	until   time.Time            // until when silent is passed over
	open    *grpc.ClientConn
}

// way is one way to attach.
type way struct {
	address string
	relay   bool   // if the coordinator there does not lead, it shall relay
	via     string // the coordinator that has named this address as the leader's; empty: nobody has
}

const (
	// connectBackoff is the longest pause between two attempts to connect.
	connectBackoff = time.Second
	// connectWait is how long one attempt to connect may take.
	connectWait = 5 * time.Second
	// reachWait bounds an attempt to reach a leader that can be reached in another way too.
	reachWait = 3 * time.Second
	// shunFor is how long a leader that could not be reached is not tried again.
	shunFor = 10 * time.Second
)

// patience is how long the answer to a hello may take.
func (w way) patience() time.Duration {
	if w.via != "" {
		return reachWait
	}
	return handshakeWait
}

// marked tells the coordinator whether it shall relay.
func (w way) marked(ctx context.Context) context.Context {
	if w.relay {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, wire.MetaDirect, "1")
}

// conn returns a connection to the coordinator to try now, and how to attach there.
func (d *dialer) conn() (*grpc.ClientConn, way, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range d.addresses {
		if !d.passedOver(d.addresses[d.next%len(d.addresses)]) {
			break
		}
		d.next++
	}
	w := way{address: d.addresses[d.next%len(d.addresses)]}
	if d.shown = d.try.address != ""; d.shown {
		w, d.try = d.try, way{}
	}
	if d.open != nil {
		if d.current.address == w.address {
			d.current = w
			return d.open, w, nil
		}
		_ = d.open.Close()
		d.open = nil
	}
	d.current = w
	conn, err := d.dial(w.address)
	if err != nil {
		return nil, w, err
	}
	d.open = conn
	return conn, w, nil
}

func (d *dialer) dial(address string) (*grpc.ClientConn, error) {
	opts := append([]grpc.DialOption{
		grpc.WithTransportCredentials(d.creds),
		// The link has pauses of its own; those of gRPC, of up to two minutes, would hide behind them.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: backoffLeast, Multiplier: 1.6, Jitter: 0.2, MaxDelay: connectBackoff},
			MinConnectTimeout: connectWait,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)),
		grpc.WithInitialWindowSize(1 << 20),
	}, d.extra...)
	conn, err := grpc.NewClient(address, opts...)
	if err != nil {
		return nil, fmt.Errorf("coordinator %s: %w", address, err)
	}
	return conn, nil
}

// silence is how long a coordinator that has fallen silent is passed over: about the lease of a leader.
const silence = 5 * time.Second

// note takes what the end of a session, or of an attempt at one, says about how to try next, and tells whether
// that is news, which need not wait.
func (d *dialer) note(err error, welcomed bool) (news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	var move *moveError
	if errors.As(err, &move) {
		delete(d.shunned, move.leader)
		d.try = way{address: move.leader, via: move.via}
		return true
	}
	if errors.Is(err, errSilent) || errors.Is(err, errNoWelcome) {
		d.silent, d.until = d.current.address, now.Add(silence)
	}
	leader := leaderOf(err)
	switch {
	case leader == "" && d.current.via != "" && !welcomed:
		// The leader is out of reach from here, and the coordinator that named it is not.
		if d.shunned == nil {
			d.shunned = map[string]time.Time{}
		}
		d.shunned[d.current.address] = now.Add(shunFor)
		d.try = way{address: d.current.via, relay: true}
		return false
	case leader == "", d.passedOver(leader):
		d.next++
		return false
	case leader == d.current.address, now.Before(d.shunned[leader]):
		d.try = way{address: d.current.address, relay: true}
	default:
		d.try = way{address: leader, via: d.current.address}
	}
	return !d.shown // two that name each other are not asked in a tight loop
}

// passedOver tells whether an address is not worth trying now. The caller holds mu.
func (d *dialer) passedOver(address string) bool {
	return address == d.silent && time.Now().Before(d.until)
}

// succeeded keeps the address that works first in turn.
func (d *dialer) succeeded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent = ""
	if i := slices.Index(d.addresses, d.current.address); i >= 0 {
		d.next = i
	}
}

func (d *dialer) address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current.address
}

func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		_ = d.open.Close()
		d.open = nil
	}
}

// ask asks the coordinator at an address who leads, over a connection of its own.
func (d *dialer) ask(ctx context.Context, address string) (*pb.FindLeaderResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	conn, err := d.dial(address)
	if err != nil {
		return nil, err
	}
	resp, err := pb.NewWorkerServiceClient(conn).FindLeader(ctx, &pb.FindLeaderRequest{})
	return resp, errors.Join(err, conn.Close())
}

// leaderOf returns the address of the leader that a refusal names.
func leaderOf(err error) string {
	for _, detail := range details(err) {
		if l, ok := detail.(*pb.LeaderInfo); ok {
			return l.GetAddress()
		}
	}
	return ""
}

// ProtocolError says that worker and coordinator are of versions that do not fit.
type ProtocolError struct{ Want, Got uint32 }

// Error says what to do.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("coordinator speaks protocol version %d, this worker %d: install the same version of both", e.Want, e.Got)
}

// ErrNameTaken says that another living worker of the fleet has this worker's name.
var ErrNameTaken = errors.New("worker name is taken")

// fatalStatus returns the error for a refusal that trying again cannot mend, or nil. A worker that coordinators have
// welcomed before ends only for what a coordinator alone can say: the address of one that is gone may be another
// server's by now, and it is for the next leader to say what becomes of the load.
func fatalStatus(err error, known bool) error {
	for _, detail := range details(err) {
		switch d := detail.(type) {
		case *pb.ProtocolMismatch:
			return &ProtocolError{Want: d.GetWant(), Got: d.GetGot()}
		case *pb.WorkerNameTaken:
			return fmt.Errorf("%w: %s", ErrNameTaken, status.Convert(err).Message())
		}
	}
	if known {
		return nil
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("coordinator refused the worker: %s", status.Convert(err).Message())
	}
	return nil
}

func details(err error) []any {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return nil
	}
	return st.Details()
}
