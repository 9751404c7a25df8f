package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// Options are what a Relay needs. Name, Credentials and Logger are required.
type Options struct {
	Name, Address string // of this coordinator, as it stands for election
	// Credentials are shown to the other coordinators, and decide which of them are trusted.
	Credentials credentials.TransportCredentials
	Dial        []grpc.DialOption // further options
	// Problems says what keeps this coordinator from its work, if anything does. It is added to the leader's word
	// on the cluster when that is passed on; nil: nothing is added.
	Problems func(context.Context) []string
	// Unanswered is told of a stop or a halt that the leader takes long to answer, once; nil: nobody is. It returns
	// soon after the context has ended.
	Unanswered func(ctx context.Context, h wire.Halt)
	Logger     hclog.Logger
}

// Relay passes calls on to the leader. Its methods may be called concurrently.
type Relay struct {
	opts Options
	log  hclog.Logger

	mu      sync.Mutex
	leader  wire.Leader // as it was told last; zero: none
	leading bool        // this coordinator leads
	to      *peer       // nil: there is nobody to pass anything on to
	closed  bool
}

// New returns a relay that passes nothing on before it is told who leads.
func New(opts Options) *Relay { return &Relay{opts: opts, log: opts.Logger.Named("relay")} }

// answeredHere are the methods of this product that every coordinator answers by itself: those that ask
// what this very coordinator knows.
var answeredHere = map[string]bool{pb.WorkerService_FindLeader_FullMethodName: true}

// answeredAlone are the methods that are passed on, but that a coordinator answers as well as it can when
// the leader cannot be reached, or does not answer within that time: somebody has to tell that. The
// workers do not wait that long for a stop or a halt: see hedgeAfter.
var answeredAlone = map[string]time.Duration{
	pb.FleetService_GetStatus_FullMethodName: 8 * time.Second,
	pb.RunService_StopRun_FullMethodName:     10 * time.Second, // a leader takes 3 s to give up, and 6 s to pass it on
	pb.FleetService_Halt_FullMethodName:      10 * time.Second,
}

// stops are those of them that end load, and for which the word that somebody does not lead is no answer.
var stops = map[string]bool{pb.RunService_StopRun_FullMethodName: true, pb.FleetService_Halt_FullMethodName: true}

// hedgeAfter is how long a leader may take to answer a stop or a halt before this coordinator tells the workers that it
// hears, too.
const hedgeAfter = time.Second

// errNoAnswer ends such a call to a leader that takes calls and says nothing.
var errNoAnswer = errors.New("it does not answer")

// product begins the names of the methods that are passed on. Reflection and health are each server's own.
const product = "/proofload."

// Follow takes who leads. Calls that are under way to an earlier leader end once there is another one;
// while there is none they go on, for they may still be answered.
func (r *Relay) Follow(l wire.Leader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leader = l
	r.settle()
}

// Lead ends passing on until the returned function is called: this coordinator answers by itself.
func (r *Relay) Lead() (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leading = true
	r.settle()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.leading = false
		r.settle()
	}
}

// Close ends what is under way. Nothing is passed on any more.
func (r *Relay) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.drop(errors.New("this coordinator ends: ask another one, or again in a moment"))
}

// settle connects to the leader of now. The lock is held.
func (r *Relay) settle() {
	l := r.leader
	switch {
	case r.closed:
	case r.leading:
		r.drop(errors.New("this coordinator leads now: ask again"))
	case l.Address == "" || r.to != nil && r.to.leader == l:
	case l.Name == r.opts.Name && l.Address == r.opts.Address:
		r.drop(errors.New("this coordinator is about to lead: ask again")) // it does not call itself
	default:
		r.drop(fmt.Errorf("leadership has passed to %s at %s: ask again", l.Name, l.Address))
		to, err := r.connect(l)
		if err != nil {
			r.log.Warn("leader cannot be called", "leader", l.Name, "address", l.Address, "error", err)
			return
		}
		r.to = to
	}
}

// drop ends what is under way with a cause. The lock is held.
func (r *Relay) drop(cause error) {
	if r.to != nil {
		r.to.close(cause)
		r.to = nil
	}
}

// Troubled reports whether the leader could not be reached when it was tried last.
func (r *Relay) Troubled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.to != nil && r.to.conn.GetState() == connectivity.TransientFailure
}

// route returns whom a call is to be passed on to; nil: it is answered here.
func (r *Relay) route(ctx context.Context, method string) *peer {
	if !strings.HasPrefix(method, product) || answeredHere[method] {
		return nil
	}
	if marked(ctx, wire.MetaRelayedBy) || marked(ctx, wire.MetaDirect) || marked(ctx, wire.MetaPassedOn) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leader.Address == "" {
		return nil // there was one, and there is none now
	}
	return r.to
}

func marked(ctx context.Context, key string) bool {
	return len(metadata.ValueFromIncomingContext(ctx, key)) > 0
}

// Unary is the interceptor of calls. It stands before all others: what a call must be like, the leader says.
func (r *Relay) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	to := r.route(ctx, info.FullMethod)
	if to == nil {
		return next(ctx, req)
	}
	patience, alone := answeredAlone[info.FullMethod]
	calling := ctx
	if alone {
		var cancel context.CancelFunc
		calling, cancel = context.WithTimeoutCause(ctx, patience, errNoAnswer)
		defer cancel()
	}
	here := r.problems(ctx, info.FullMethod)
	answered := r.hedge(ctx, req)
	resp, err := to.call(calling, info.FullMethod, req)
	answered()
	if alone && ctx.Err() == nil && status.Code(err) == codes.DeadlineExceeded { // the leader's end may notice it first
		err = &unreachableError{to.leader, errNoAnswer}
	}
	var away *unreachableError
	switch unreachable := errors.As(err, &away); {
	case unreachable && alone:
		return next(context.WithValue(ctx, awayKey{}, away.Error()), req)
	case unreachable:
		return nil, away.status()
	case err != nil && stops[info.FullMethod] && unsettled(err):
		return next(ctx, req) // whom this coordinator took for the leader does not lead, or has just ended
	}
	if s, ok := resp.(*pb.GetStatusResponse); ok && s != nil {
		add(s, here())
	}
	return resp, err
}

// hedge begins to wait for hedgeAfter with a stop or a halt that the leader was asked for. The returned function ends
// that, once the leader has answered.
func (r *Relay) hedge(ctx context.Context, req any) (stop func()) {
	h, ok := order(req)
	if !ok || r.opts.Unanswered == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-time.After(hedgeAfter):
			r.opts.Unanswered(ctx, h)
		case <-ctx.Done():
		}
	})
	return func() { cancel(); waiting.Wait() }
}

// order returns the stop or the halt that a request asks for, unless that would be refused: nobody has looked at it yet,
// and a stop of the empty run must not become a halt.
func order(req any) (h wire.Halt, ok bool) {
	if m, is := req.(proto.Message); !is || protovalidate.Validate(m) != nil {
		return wire.Halt{}, false
	}
	switch m := req.(type) {
	case *pb.StopRunRequest:
		return wire.StopRequestFromProto(m), true
	case *pb.HaltRequest:
		return wire.HaltRequestFromProto(m), true
	}
	return wire.Halt{}, false
}

// unsettled reports whether another coordinator might do what this error says was not done.
func unsettled(err error) bool {
	st := status.Convert(err)
	if st.Code() == codes.Unavailable || st.Code() == codes.Unimplemented { // the latter: of an older version
		return true
	}
	for _, d := range st.Details() {
		if _, ok := d.(*pb.LeaderInfo); ok {
			return true
		}
	}
	return false
}

// problems begins to find out what is wrong here, while the leader is asked for the status: it cannot know. The
// returned function waits for that.
func (r *Relay) problems(ctx context.Context, method string) (wait func() []string) {
	if method != pb.FleetService_GetStatus_FullMethodName || r.opts.Problems == nil {
		return func() []string { return nil }
	}
	var found []string
	var asking sync.WaitGroup
	asking.Go(func() { found = r.opts.Problems(ctx) })
	return func() []string {
		asking.Wait()
		return found
	}
}

// add adds to the leader's word on the cluster what is wrong here.
func add(s *pb.GetStatusResponse, problems []string) {
	for _, problem := range problems {
		if !slices.Contains(s.GetProblems(), problem) {
			s.Problems = append(s.Problems, problem)
		}
	}
}

// Stream is the interceptor of streams.
func (r *Relay) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	to := r.route(stream.Context(), info.FullMethod)
	if to == nil {
		return next(srv, stream)
	}
	err := to.stream(stream, info.FullMethod)
	var away *unreachableError
	if errors.As(err, &away) {
		return away.status()
	}
	return err
}

type awayKey struct{}

// Away returns why a call is answered here although there is a leader: it could not be reached. It is empty
// for every other call.
func Away(ctx context.Context) string {
	why, _ := ctx.Value(awayKey{}).(string)
	return why
}

// unreachableError says that the leader did not take a call.
type unreachableError struct {
	leader wire.Leader
	cause  error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("leader %s at %s cannot be reached from here: %s", e.leader.Name, e.leader.Address, status.Convert(e.cause).Message())
}

func (e *unreachableError) Unwrap() error { return e.cause }

// status is what the caller is told: it may reach the leader where this coordinator cannot.
func (e *unreachableError) status() error {
	st := status.New(codes.Unavailable, e.Error())
	if with, err := st.WithDetails(protoadapt.MessageV1Of(wire.LeaderToProto(e.leader))); err == nil {
		st = with
	}
	return st.Err()
}
