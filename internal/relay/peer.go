package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	peers "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// peer is the connection to one leader in one epoch. Everything that is passed on to it ends with ctx.
type peer struct {
	leader wire.Leader
	name   string // of this coordinator
	conn   *grpc.ClientConn
	ctx    context.Context // kept because it is the life of the connection, and not of one call
	cancel context.CancelCauseFunc
}

func (r *Relay) connect(l wire.Leader) (*peer, error) {
	conn, err := r.dial(l.Address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &peer{leader: l, name: r.opts.Name, conn: conn, ctx: ctx, cancel: cancel}, nil
}

func (r *Relay) dial(address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(r.opts.Credentials),
		// A leader whose machine is gone is noticed within 15 s, also when nobody else has been elected.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)),
	}, r.opts.Dial...)...)
	if err != nil {
		return nil, fmt.Errorf("coordinator %s: %w", address, err)
	}
	return conn, nil
}

func (p *peer) close(cause error) {
	p.cancel(cause)
	_ = p.conn.Close() // what is under way has just been ended
}

// outgoing is the context of the call that passes another one on: with its deadline, its end and its
// metadata, and with the mark.
func (p *peer) outgoing(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	out := passed(incoming)
	out.Set(wire.MetaRelayedBy, p.name)
	ctx, cancel := context.WithCancelCause(metadata.NewOutgoingContext(ctx, out))
	stop := context.AfterFunc(p.ctx, func() { cancel(context.Cause(p.ctx)) })
	return ctx, func(cause error) { stop(); cancel(cause) }
}

// passed returns the metadata that goes through: all but what belongs to one connection.
func passed(md metadata.MD) metadata.MD {
	out := metadata.MD{}
	for key, values := range md {
		switch {
		case strings.HasPrefix(key, ":"), strings.HasPrefix(key, "grpc-"):
		case key == "content-type", key == "user-agent", key == "te", key == wire.MetaRelayedBy:
		default:
			out[key] = values
		}
	}
	return out
}

// header is what the caller is told before the answer.
func (p *peer) header(md metadata.MD) metadata.MD {
	out := passed(md)
	out.Set(wire.MetaRelayedBy, p.name)
	return out
}

// call passes a unary call on. An unreachableError says that the leader has not seen it.
func (p *peer) call(ctx context.Context, method string, req any) (any, error) {
	kind, err := typesOf(method)
	if err != nil {
		return nil, err
	}
	out, cancel := p.outgoing(ctx)
	defer cancel(nil)
	var header, trailer metadata.MD
	var at peers.Peer
	resp := kind.output.New().Interface()
	err = p.conn.Invoke(out, method, req, resp, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&at))
	if err != nil && at.Addr == nil && status.Code(err) == codes.Unavailable && p.ctx.Err() == nil || stranger(err) {
		return nil, &unreachableError{p.leader, err}
	}
	// These fail only where the answer cannot be given either.
	_ = grpc.SetHeader(ctx, p.header(header))
	_ = grpc.SetTrailer(ctx, passed(trailer))
	if err != nil {
		return nil, p.ended(err)
	}
	return resp, nil
}

// stranger reports whether an answer is one of a server that is no coordinator: the address of a leader that is gone may
// be another's by now. Every coordinator has all services; what an older one may lack is a method. The texts are those
// of grpc-go, for a service that a server does not have and for a server that does not speak gRPC.
func stranger(err error) bool {
	text := status.Convert(err).Message()
	return status.Code(err) == codes.Unimplemented &&
		(strings.HasPrefix(text, "unknown service ") || strings.HasPrefix(text, "unexpected HTTP status code"))
}

// either is the description of every stream that is passed on: what the two ends may send is theirs to know.
var either = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// stream passes a stream on to its end. An unreachableError says that the leader has not seen it.
func (p *peer) stream(caller grpc.ServerStream, method string) error {
	kind, err := typesOf(method)
	if err != nil {
		return err
	}
	ctx, cancel := p.outgoing(caller.Context())
	defer cancel(nil)
	leader, err := p.conn.NewStream(ctx, either, method)
	if err != nil {
		if status.Code(err) == codes.Unavailable && p.ctx.Err() == nil {
			return &unreachableError{p.leader, err}
		}
		return p.ended(err)
	}
	// Nobody waits for this one: its Recv ends when this handler returns, its Send with ctx.
	var upward sync.WaitGroup
	upward.Go(func() {
		switch err := forward(leader, caller, kind.input); {
		case errors.Is(err, io.EOF):
			_ = leader.CloseSend() // it never fails
		case !errors.Is(err, errEnded): // a stream that has ended is not cut off: its status is still to be read
			cancel(err)
		}
	})
	if header, err := leader.Header(); err == nil {
		if err := caller.SetHeader(p.header(header)); err != nil {
			return err
		}
	}
	err = forward(caller, leader, kind.output)
	caller.SetTrailer(passed(leader.Trailer()))
	if errors.Is(err, io.EOF) {
		return nil
	}
	if stranger(err) {
		return &unreachableError{p.leader, err}
	}
	if cause := context.Cause(ctx); cause != nil && caller.Context().Err() == nil {
		err = cause
	}
	return p.ended(err)
}

// end is one direction of a stream, as both ends of a relay offer it.
type end interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// forward sends what it receives, in order, until either fails; io.EOF says that the source has ended as it
// should. What the receiver does not take is not read from the sender.
func forward(to, from end, kind message) error {
	for {
		m := kind.New().Interface()
		if err := from.RecvMsg(m); err != nil {
			return err
		}
		if err := to.SendMsg(m); err != nil {
			if errors.Is(err, io.EOF) {
				return errEnded // the other direction says why
			}
			return err
		}
	}
}

var errEnded = errors.New("stream has ended")

// ended is the status with which something ends that was passed on.
func (p *peer) ended(err error) error {
	if p.ctx.Err() != nil {
		return status.Error(codes.Unavailable, context.Cause(p.ctx).Error())
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.FromContextError(err).Err()
}

// Answer is what a coordinator says about who leads.
type Answer struct {
	Leader  wire.Leader // Epoch 0: it knows none
	Leading bool        // it is the leader itself
	Cluster uint64      // identity of its etcd cluster
}

// Ask asks the coordinator at an address who leads.
func (r *Relay) Ask(ctx context.Context, address string) (Answer, error) {
	conn, err := r.dial(address)
	if err != nil {
		return Answer{}, err
	}
	resp, err := pb.NewWorkerServiceClient(conn).FindLeader(ctx, &pb.FindLeaderRequest{})
	if err = errors.Join(err, conn.Close()); err != nil {
		return Answer{}, fmt.Errorf("ask coordinator %s who leads: %w", address, err)
	}
	return Answer{Leader: wire.LeaderFromProto(resp.GetLeader()), Leading: resp.GetLeading(), Cluster: resp.GetClusterId()}, nil
}

// Stop passes a stop to the coordinator at an address, for its own workers, and to be recorded if it leads. It is
// passed on no further.
func (r *Relay) Stop(ctx context.Context, address string, h wire.Halt) (wire.Passed, error) {
	conn, err := r.dial(address)
	if err != nil {
		return wire.Passed{}, err
	}
	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(wire.MetaPassedOn, r.opts.Name))
	resp, err := pb.NewRunServiceClient(conn).StopRun(ctx, wire.StopRequestToProto(h))
	if err = errors.Join(refusal(err), conn.Close()); err != nil {
		return wire.Passed{}, fmt.Errorf("pass a stop to coordinator %s: %w", address, err)
	}
	passed := wire.PassedFromProto(resp.GetPassedOn())
	if resp.GetPassedOn() == nil {
		passed.Recorded = resp.GetRun()
	}
	return passed, nil
}

// Halt passes a halt of every run to the coordinator at an address, for its own workers, and to be recorded if it
// leads. It is passed on no further.
func (r *Relay) Halt(ctx context.Context, address string, h wire.Halt) (wire.Outcome, error) {
	conn, err := r.dial(address)
	if err != nil {
		return wire.Outcome{}, err
	}
	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(wire.MetaPassedOn, r.opts.Name))
	resp, err := pb.NewFleetServiceClient(conn).Halt(ctx, wire.HaltRequestToProto(h))
	if err = errors.Join(refusal(err), conn.Close()); err != nil {
		return wire.Outcome{}, fmt.Errorf("pass a halt to coordinator %s: %w", address, err)
	}
	return wire.OutcomeFromProto(resp), nil
}

// ErrRefused says that a leader has refused a stop for good: the run has ended, or there is none.
var ErrRefused = errors.New("the leader refuses it")

// refusal marks an error of another coordinator as ErrRefused if it stands.
func refusal(err error) error {
	if err == nil || unsettled(err) || !settledCodes[status.Code(err)] {
		return err
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// settledCodes are those of a refusal that stands, unless it names another leader.
var settledCodes = map[codes.Code]bool{codes.NotFound: true, codes.FailedPrecondition: true, codes.InvalidArgument: true}
