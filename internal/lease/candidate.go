package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	clientv3 "go.etcd.io/etcd/client/v3"

	"proofload/internal/clock"
)

const (
	// DefaultTTL is the lease of a coordinator among several.
	DefaultTTL = 5 * time.Second
	// EmbeddedTTL is the lease with an embedded etcd: nobody waits to take over, and a slow disk must
	// not depose the only coordinator.
	EmbeddedTTL = 30 * time.Second

	electionPrefix = "/proofload/v1/election/"
	minTTL         = 2 * time.Second
)

// Options describe a Candidate.
type Options struct {
	Client  *clientv3.Client // required; stays the caller's
	Name    string           // of this coordinator; required
	Address string           // at which it serves the API
	TTL     time.Duration    // of its lease, in whole seconds; 0: DefaultTTL
	Logger  hclog.Logger     // nil: none
	// Clock is a monotonic clock that keeps counting while the machine sleeps; nil: the system's.
	Clock func() time.Duration
}

// Candidate stands for leadership. Its methods are safe for concurrent use, but one Lead or Run at
// a time is what makes sense.
type Candidate struct {
	client *clientv3.Client
	leader Leader
	ttl    time.Duration
	log    hclog.Logger
	now    func() time.Duration
}

// NewCandidate checks opts and returns a Candidate that does nothing yet.
func NewCandidate(opts Options) (*Candidate, error) {
	if opts.TTL == 0 {
		opts.TTL = DefaultTTL
	}
	if opts.Logger == nil {
		opts.Logger = hclog.NewNullLogger()
	}
	if opts.Clock == nil {
		opts.Clock = func() time.Duration { return time.Duration(clock.Nanos()) }
	}
	var errs []error
	if opts.Client == nil {
		errs = append(errs, errors.New("candidate: client is missing"))
	}
	if opts.Name == "" {
		errs = append(errs, errors.New("candidate: name is missing"))
	}
	if opts.TTL < minTTL || opts.TTL%time.Second != 0 {
		errs = append(errs, fmt.Errorf("candidate: ttl %s: want whole seconds, %s or more", opts.TTL, minTTL))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Candidate{
		client: opts.Client,
		leader: Leader{Name: opts.Name, Address: opts.Address},
		ttl:    opts.TTL,
		log:    opts.Logger.Named("lease"),
		now:    opts.Clock,
	}, nil
}

// Lead waits until this candidate is elected, calls fn once, and gives leadership up when fn
// returns. fn's context ends with cause ErrLeadershipLost before leadership can have passed to
// another candidate; fn has to return then. Lead returns fn's error, or one that wraps
// ErrLeadershipLost when that is what ended it (fn's own error joined, if it says anything else),
// or why it could not campaign. Each call is a new lease and so a new epoch.
func (c *Candidate) Lead(ctx context.Context, fn func(context.Context, *Term) error) error {
	k, lease, err := c.grant(ctx)
	if err != nil {
		return err
	}
	defer c.revoke(ctx, lease) // last: nobody else may win while anything of ours runs

	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wg.Go(func() { k.run(ctx, cancel) })

	key, epoch, err := c.campaign(ctx, lease)
	if err != nil {
		return lostOr(ctx, err)
	}
	term := &Term{Store: NewStore(c.client), epoch: epoch, key: key, keeper: k}
	term.end = func(cause error) { k.stop(cause); cancel(cause) }
	c.log.Info("leading", "name", c.leader.Name, "epoch", epoch)
	err = fn(ctx, term)
	c.log.Info("leading no more", "name", c.leader.Name, "epoch", epoch)
	return lostOr(ctx, err)
}

// Run leads again and again until ctx ends or fn returns an error of its own. Lost leadership and
// an etcd that does not answer are retried; ErrResign sits out one TTL first, so that another
// candidate can take over. It returns nil when fn returned nil.
func (c *Candidate) Run(ctx context.Context, fn func(context.Context, *Term) error) error {
	for {
		var own error
		led := false
		err := c.Lead(ctx, func(ctx context.Context, t *Term) error {
			led = true
			own = fn(ctx, t)
			return own
		})
		pause := time.Duration(0)
		switch {
		case ctx.Err() != nil:
			return err
		case errors.Is(err, ErrResign):
			pause = c.ttl
		case errors.Is(err, ErrLeadershipLost) && (own == nil || isDone(own) || stepsDown(own)):
			c.log.Warn("campaigning again", "error", err)
		case led, errors.Is(err, ErrDenied):
			return err
		default:
			c.log.Warn("campaign failed, trying again", "error", err)
			pause = time.Second
		}
		if pause > 0 && !sleep(ctx, pause) {
			return context.Cause(ctx)
		}
	}
}

// stepsDown tells that err only says that the term is over.
func stepsDown(err error) bool {
	return errors.Is(err, ErrLeadershipLost) || errors.Is(err, ErrFenced)
}

// lostOr prefers the loss of leadership as the reason over errors that only follow from it.
func lostOr(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, ErrLeadershipLost) {
		return err
	}
	if err == nil || isDone(err) || stepsDown(err) {
		return cause
	}
	return errors.Join(cause, err)
}

// grant takes a new lease. The tenure counts from before the request, so never too long.
func (c *Candidate) grant(ctx context.Context) (*keeper, clientv3.LeaseID, error) {
	gctx, cancel := context.WithTimeout(ctx, c.ttl)
	defer cancel()
	sent := c.now()
	resp, err := c.client.Grant(gctx, int64(c.ttl/time.Second))
	if err == nil && resp == nil {
		err = errors.New("etcd answered without a lease")
	}
	if err != nil {
		return nil, 0, readError("take", "leadership lease", err)
	}
	lease := resp.ID
	k := &keeper{
		now:    c.now,
		every:  c.ttl / 4,
		retry:  min(c.ttl/20, 500*time.Millisecond),
		log:    c.log,
		tenure: newTenure(sent, time.Duration(resp.TTL)*time.Second),
	}
	k.renew = func(ctx context.Context) (time.Duration, error) {
		resp, err := c.client.KeepAliveOnce(ctx, lease)
		if err != nil {
			return 0, err
		}
		return time.Duration(resp.TTL) * time.Second, nil
	}
	return k, lease, nil
}

// revoke gives the lease back, and with it the election key, so that others need not wait for it
// to expire. It works although ctx has ended; what it cannot do, expiry does.
func (c *Candidate) revoke(ctx context.Context, lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(c.ttl, 2*time.Second))
	defer cancel()
	if _, err := c.client.Revoke(ctx, lease); err != nil && !isGone(err) {
		c.log.Warn("lease not given back, it expires by itself", "ttl", c.ttl, "error", err)
	}
}

// campaign enters the election and returns when every earlier entry is gone and the own one is
// known to be there.
func (c *Candidate) campaign(ctx context.Context, lease clientv3.LeaseID) (string, int64, error) {
	key := fmt.Sprintf("%s%016x", electionPrefix, int64(lease))
	value, err := json.Marshal(c.leader)
	if err != nil {
		return "", 0, fmt.Errorf("campaign: %w", err)
	}
	resp, err := c.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(value), clientv3.WithLease(lease))).
		Commit()
	if err != nil {
		return "", 0, readError("enter", "election", err)
	}
	if !resp.Succeeded {
		return "", 0, fmt.Errorf("enter election: %s exists already", key)
	}
	epoch := resp.Header.Revision
	if err := c.awaitTurn(ctx, epoch); err != nil {
		return "", 0, err
	}
	return key, epoch, c.verify(ctx, key, epoch)
}

// awaitTurn returns when no entry older than epoch is left.
func (c *Candidate) awaitTurn(ctx context.Context, epoch int64) error {
	opts := append(clientv3.WithLastCreate(), clientv3.WithMaxCreateRev(epoch-1))
	for ctx.Err() == nil {
		resp, err := c.client.Get(ctx, electionPrefix, opts...)
		if err != nil {
			return readError("read", "election", err)
		}
		if len(resp.Kvs) == 0 {
			return nil
		}
		c.awaitDelete(ctx, string(resp.Kvs[0].Key), resp.Header.Revision)
	}
	return context.Cause(ctx)
}

// awaitDelete returns when key was deleted after revision, when the watch broke, or after a TTL:
// a watch that misses its event costs time and nothing else.
func (c *Candidate) awaitDelete(ctx context.Context, key string, revision int64) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), c.ttl)
	defer cancel()
	changes := c.client.Watch(ctx, key, clientv3.WithRev(revision+1), clientv3.WithFilterPut())
	for resp := range changes {
		if resp.Err() == nil && len(resp.Events) > 0 {
			return
		}
	}
	sleep(ctx, 100*time.Millisecond) // a watch that closes at once must not spin
}

// verify makes sure that the own entry exists and is the oldest. A campaign whose lease ran out
// while it waited would otherwise believe that it won.
func (c *Candidate) verify(ctx context.Context, key string, epoch int64) error {
	resp, err := c.client.Get(ctx, electionPrefix, clientv3.WithFirstCreate()...)
	if err != nil {
		return readError("verify", "election", err)
	}
	if len(resp.Kvs) == 1 && string(resp.Kvs[0].Key) == key && resp.Kvs[0].CreateRevision == epoch {
		return nil
	}
	return fmt.Errorf("verify election: own entry %s is gone: %w", key, ErrLeadershipLost)
}
