package agent

import (
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
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// dialer chooses the coordinator to attach to: the leader that the last refusal named, else the
// given addresses in turn. One connection is open at a time.
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
	hint    string // the leader's address; tried once
	hinted  bool   // the attempt that is under way follows a hint
	current string
	silent  string    // has let a session or a hello wait
	until   time.Time // until when silent is passed over
	open    *grpc.ClientConn
}

const (
	// connectBackoff is the longest pause between two attempts to connect.
	connectBackoff = time.Second
	// connectWait is how long one attempt to connect may take.
	connectWait = 5 * time.Second
)

// conn returns a connection to the coordinator to try now.
func (d *dialer) conn() (*grpc.ClientConn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range d.addresses {
		if !d.passedOver(d.addresses[d.next%len(d.addresses)]) {
			break
		}
		d.next++
	}
	address := d.addresses[d.next%len(d.addresses)]
	d.hinted = d.hint != ""
	if d.hinted {
		address, d.hint = d.hint, ""
	}
	if d.open != nil {
		if d.current == address {
			return d.open, nil
		}
		_ = d.open.Close()
		d.open = nil
	}
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
	d.open, d.current = conn, address
	return conn, nil
}

// silence is how long a coordinator that has fallen silent is passed over: about the lease of a leader.
const silence = 5 * time.Second

// note takes what a failed session says about whom to try next, and tells whether that is news, which
// need not wait.
func (d *dialer) note(err error) (news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(err, errSilent) || errors.Is(err, errNoWelcome) {
		d.silent, d.until = d.current, time.Now().Add(silence)
	}
	if leader := leaderOf(err); leader != "" && leader != d.current && !d.passedOver(leader) {
		d.hint = leader
		return !d.hinted // two that name each other are not asked in a tight loop
	}
	d.next++
	return false
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
	if i := slices.Index(d.addresses, d.current); i >= 0 {
		d.next = i
	}
}

func (d *dialer) address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		_ = d.open.Close()
		d.open = nil
	}
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

// fatalStatus returns the error for a refusal that trying again cannot mend, or nil.
func fatalStatus(err error) error {
	for _, detail := range details(err) {
		switch d := detail.(type) {
		case *pb.ProtocolMismatch:
			return &ProtocolError{Want: d.GetWant(), Got: d.GetGot()}
		case *pb.WorkerNameTaken:
			return fmt.Errorf("%w: %s", ErrNameTaken, status.Convert(err).Message())
		}
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
