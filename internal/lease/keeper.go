package lease

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// keeper keeps one lease alive and knows until when its holder may act. It sends its keepalives
// itself, one at a time, because the end of leadership counts from their send times, which
// etcd's own keepalive loop does not tell.
type keeper struct {
	renew func(context.Context) (time.Duration, error) // one keepalive; returns the TTL granted
	now   func() time.Duration
	every time.Duration // between keepalives
	retry time.Duration // pause after one that failed
	log   hclog.Logger

	mu     sync.Mutex
	tenure tenure
	over   error // why it ended; nil while it lasts
}

// left is how long leadership certainly lasts from now on.
func (k *keeper) left() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over != nil {
		return 0
	}
	return k.tenure.left(k.now())
}

// stop ends the tenure for the given reason, at once and for good; the first reason stands.
func (k *keeper) stop(cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over == nil {
		k.over = cause
	}
}

// extend applies the answer to a keepalive sent at sent.
func (k *keeper) extend(sent, ttl time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over != nil {
		return false
	}
	var ok bool
	k.tenure, ok = k.tenure.renew(sent, ttl, k.now())
	return ok
}

// run sends keepalives until ctx ends or the tenure does, and calls lost exactly once with the
// reason when it was the tenure. A timer of its own ends the tenure, so that a keepalive which
// hangs cannot delay the end.
func (k *keeper) run(ctx context.Context, lost func(error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	end := func(cause error) {
		once.Do(func() {
			k.stop(cause)
			lost(cause)
			cancel()
		})
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { k.expire(ctx, end) })

	for pause := k.every; sleep(ctx, pause); {
		sent := k.now()
		ttl, err := k.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case isGone(err):
			end(fmt.Errorf("%w: the lease is gone: %w", ErrLeadershipLost, err))
			return
		case err != nil:
			if pause == k.every {
				k.log.Warn("lease keepalive unanswered, trying again", "left", k.left(), "error", err)
			}
			pause = k.retry
		case k.extend(sent, ttl):
			pause = k.every
		default:
			end(fmt.Errorf("%w: the keepalive was answered too late", ErrLeadershipLost))
			return
		}
	}
}

// attempt sends one keepalive and waits for its answer no longer than two intervals, so that a
// dead connection leaves time for another try.
func (k *keeper) attempt(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, max(min(2*k.every, k.left()), 0))
	defer cancel()
	return k.renew(ctx)
}

// expire waits for the end of the tenure. It sleeps in slices because the timer's clock may stand
// still (machine suspended) while the tenure's does not.
func (k *keeper) expire(ctx context.Context, end func(error)) {
	for {
		left := k.left()
		if left <= 0 {
			end(fmt.Errorf("%w: no keepalive was answered in time", ErrLeadershipLost))
			return
		}
		if !sleep(ctx, min(left, time.Second)) {
			return
		}
	}
}

// sleep waits for d and tells whether ctx lived that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
