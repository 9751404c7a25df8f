package guard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	pb "proofload/proto/proofload/v1"
)

// Obituary tells the leader that the worker is dead: the leader that welcomed it, the coordinators that the
// worker was given, and whomever those name. It is a Duty.
type Obituary struct {
	// Credentials reads the files of the worker's TLS, when they are needed.
	Credentials func(TLS) (credentials.TransportCredentials, error)
	Dial        []grpc.DialOption // further options, for tests
	Logger      hclog.Logger
}

const (
	// callTime bounds one try: an address that does not answer must not keep the next one waiting.
	callTime     = 2 * time.Second
	backoffLeast = 50 * time.Millisecond
	backoffMost  = time.Second
)

// Do implements Duty. It returns nil once a leader knows of the death or has no use for it, and otherwise,
// when ctx ends, what the last coordinator answered.
func (o *Obituary) Do(ctx context.Context, dead Ward) error {
	if dead.Life.Incarnation == 0 {
		return nil // no coordinator has ever welcomed it
	}
	creds, err := o.Credentials(dead.TLS)
	if err != nil {
		return fmt.Errorf("obituary of worker %s: %w", dead.Name, err)
	}
	for backoff := backoffLeast; ; backoff = min(2*backoff, backoffMost) {
		next := o.round(ctx, creds, dead)
		if next == nil {
			return nil
		}
		if err == nil || ctx.Err() == nil { // else the round was cut short, and tells only that
			err = next
		}
		select {
		case <-time.After(backoff/2 + rand.N(backoff/2+1)):
		case <-ctx.Done():
			return fmt.Errorf("obituary of worker %s: %w: %w", dead.Name, context.Cause(ctx), err)
		}
	}
}

// round asks every coordinator once, and next the leader that one names, until one has taken the obituary.
func (o *Obituary) round(ctx context.Context, creds credentials.TransportCredentials, dead Ward) error {
	var errs []error
	queue := slices.Clone(dead.Join)
	if leader := dead.Life.Leader; leader != "" {
		queue = ahead(queue, 0, leader)
	}
	for i := 0; i < len(queue) && ctx.Err() == nil; i++ {
		err := o.report(ctx, queue[i], creds, dead)
		if err == nil {
			return nil
		}
		o.Logger.Debug("obituary not taken", "address", queue[i], "error", err)
		errs = append(errs, fmt.Errorf("coordinator %s: %w", queue[i], err))
		if leader := leaderOf(err); leader != "" && !slices.Contains(queue[:i+1], leader) {
			queue = ahead(queue, i+1, leader)
		}
	}
	return errors.Join(errs...)
}

// ahead puts an address at a place of the queue, and nowhere behind that.
func ahead(queue []string, at int, address string) []string {
	behind := slices.DeleteFunc(slices.Clone(queue[at:]), func(a string) bool { return a == address })
	return append(append(slices.Clone(queue[:at]), address), behind...)
}

// report tells one coordinator, and returns nil if it leads and has nothing more to hear.
func (o *Obituary) report(ctx context.Context, address string, creds credentials.TransportCredentials, dead Ward) error {
	conn, err := grpc.NewClient(address, append([]grpc.DialOption{grpc.WithTransportCredentials(creds)}, o.Dial...)...)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing more is said on it
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err = pb.NewWorkerServiceClient(conn).ReportDeath(ctx, &pb.ReportDeathRequest{
		Name: dead.Name, InstanceId: dead.Life.Instance, ProcessNonce: dead.Life.Nonce,
		Incarnation: dead.Life.Incarnation, ClusterId: dead.Life.Cluster,
	})
	switch {
	case err == nil:
		o.Logger.Info("obituary taken", "address", address)
		return nil
	case status.Code(err) == codes.NotFound:
		o.Logger.Info("obituary not needed", "address", address, "reason", status.Convert(err).Message())
		return nil
	}
	return err
}

// leaderOf returns the address of the leader that a refusal names.
func leaderOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if l, ok := detail.(*pb.LeaderInfo); ok {
			return l.GetAddress()
		}
	}
	return ""
}
