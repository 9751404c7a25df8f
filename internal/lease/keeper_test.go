package lease

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

const testTTL = 4 * time.Second

// fakeKeeper returns a keeper with intervals of one second whose keepalives are answered by renew.
func fakeKeeper(renew func(context.Context) (time.Duration, error)) *keeper {
	start := time.Now()
	return &keeper{
		renew: renew, now: func() time.Duration { return time.Since(start) },
		every: testTTL / 4, retry: testTTL / 20, log: hclog.NewNullLogger(),
		tenure: newTenure(0, testTTL),
	}
}

// runKeeper runs k until its tenure ends and returns when that was and why.
func runKeeper(t *testing.T, k *keeper) (time.Duration, error) {
	t.Helper()
	var at time.Duration
	var cause error
	k.run(t.Context(), func(err error) { at, cause = k.now(), err })
	return at, cause
}

func TestLeadershipEndsAtTheLastAnsweredSendTime(t *testing.T) {
	answered := func(n int32, then func(context.Context) (time.Duration, error)) func(context.Context) (time.Duration, error) {
		var calls atomic.Int32
		return func(ctx context.Context) (time.Duration, error) {
			if calls.Add(1) <= n {
				return testTTL, nil
			}
			return then(ctx)
		}
	}
	hang := func(ctx context.Context) (time.Duration, error) { <-ctx.Done(); return 0, ctx.Err() }
	deaf := func(context.Context) (time.Duration, error) { time.Sleep(time.Minute); return testTTL, nil }
	refuse := func(context.Context) (time.Duration, error) { return 0, errors.New("unavailable") }
	gone := func(context.Context) (time.Duration, error) { return 0, rpctypes.ErrLeaseNotFound }
	slow := func(context.Context) (time.Duration, error) { time.Sleep(2 * time.Second); return testTTL, nil }

	for name, tc := range map[string]struct {
		renew func(context.Context) (time.Duration, error)
		want  time.Duration
	}{
		"never answered":              {refuse, testTTL - Margin},
		"never returns":               {hang, testTTL - Margin},
		"ignores its context":         {deaf, testTTL - Margin},
		"two answers, then silence":   {answered(2, hang), 2*time.Second + testTTL - Margin},
		"two answers, then refusals":  {answered(2, refuse), 2*time.Second + testTTL - Margin},
		"lease revoked":               {answered(2, gone), 3 * time.Second},
		"a slow answer, then silence": {answered(0, onceThen(slow, hang)), time.Second + testTTL - Margin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := fakeKeeper(tc.renew)
				at, cause := runKeeper(t, k)
				if at != tc.want || !errors.Is(cause, ErrLeadershipLost) {
					t.Errorf("ended at %v because %v; want %v and ErrLeadershipLost", at, cause, tc.want)
				}
				if k.left() > 0 {
					t.Errorf("left = %v after the end", k.left())
				}
			})
		})
	}
}

func onceThen(first, then func(context.Context) (time.Duration, error)) func(context.Context) (time.Duration, error) {
	var called atomic.Bool
	return func(ctx context.Context) (time.Duration, error) {
		if !called.Swap(true) {
			return first(ctx)
		}
		return then(ctx)
	}
}

func TestLeadershipLastsWhileKeepalivesAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := fakeKeeper(func(context.Context) (time.Duration, error) { return testTTL, nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		k.run(ctx, func(err error) { t.Errorf("lost: %v", err) })
		if k.left() <= 0 {
			t.Error("nothing left after an hour of answers")
		}
	})
}

// The clock of the timers stands still while a machine is suspended; the lease's does not.
func TestSuspendedMachineNoticesAtOnceThatItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := fakeKeeper(func(context.Context) (time.Duration, error) { return testTTL, nil })
		var asleep atomic.Int64
		inner := k.now
		k.now = func() time.Duration { return inner() + time.Duration(asleep.Load()) }
		term := &Term{keeper: k, epoch: 7}
		if err := term.Check(); err != nil {
			t.Errorf("Check before: %v", err)
		}
		asleep.Store(int64(time.Hour))
		if err := term.Check(); !errors.Is(err, ErrLeadershipLost) {
			t.Errorf("Check after: %v, want ErrLeadershipLost", err)
		}
		at, cause := runKeeper(t, k)
		if !errors.Is(cause, ErrLeadershipLost) || at > time.Hour+time.Second {
			t.Errorf("ended at %v: %v", at, cause)
		}
	})
}
