package lease

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

func TestOnlyOneLeadsAtATime(t *testing.T) {
	client := newEtcd(t)
	var leaders atomic.Int32
	var mu sync.Mutex
	var epochs []int64
	var wg sync.WaitGroup
	for i := range 6 {
		c := newCandidate(t, client, string(rune('a'+i)))
		wg.Go(func() {
			err := c.Lead(t.Context(), func(ctx context.Context, term *Term) error {
				if n := leaders.Add(1); n != 1 {
					t.Errorf("%d lead at once", n)
				}
				defer leaders.Add(-1)
				mu.Lock()
				defer mu.Unlock()
				epochs = append(epochs, term.Epoch())
				_, err := term.Commit(ctx, []Write{{Key: "/k", Value: []byte("v"), IfRevision: Any}})
				return err
			})
			if err != nil {
				t.Errorf("Lead: %v", err)
			}
		})
	}
	wg.Wait()
	if len(epochs) != 6 {
		t.Fatalf("%d terms, want 6", len(epochs))
	}
	for i := 1; i < len(epochs); i++ {
		if epochs[i] <= epochs[i-1] {
			t.Errorf("epochs do not grow: %v", epochs)
		}
	}
	if keys := entries(t, client); len(keys) != 0 {
		t.Errorf("entries left: %q", keys)
	}
}

func TestZombieIsRefusedAndToldSo(t *testing.T) {
	client := newEtcd(t)
	old := lead(t, newCandidate(t, client, "old"))
	revokeOf(t, client, old.term.key) // what an expired lease looks like to the others
	fresh := lead(t, newCandidate(t, client, "fresh"))
	if fresh.term.Epoch() <= old.term.Epoch() {
		t.Errorf("epoch %d follows %d", fresh.term.Epoch(), old.term.Epoch())
	}
	if _, err := old.term.Commit(t.Context(), []Write{{Key: "/k", IfRevision: Any}}); !errors.Is(err, ErrFenced) {
		t.Errorf("zombie's write: %v, want ErrFenced", err)
	}
	if err := <-old.err; !errors.Is(err, ErrLeadershipLost) {
		t.Errorf("zombie's Lead: %v, want ErrLeadershipLost", err)
	}
	if cause := context.Cause(old.ctx); !errors.Is(cause, ErrLeadershipLost) {
		t.Errorf("cause of the zombie's context: %v", cause)
	}
	if err := old.term.Check(); !errors.Is(err, ErrLeadershipLost) {
		t.Errorf("zombie's Check: %v", err)
	}
	if _, err := NewStore(client).Get(t.Context(), "/k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("zombie's key: %v, want ErrNotFound", err)
	}
	fresh.stop(t)
}

func TestRevokedLeaseEndsAnIdleLeader(t *testing.T) {
	client := newEtcd(t)
	l := lead(t, newCandidate(t, client, "a"))
	revokeOf(t, client, l.term.key)
	if err := <-l.err; !errors.Is(err, ErrLeadershipLost) {
		t.Errorf("Lead: %v, want ErrLeadershipLost", err)
	}
}

func TestEntryDeletedByHandFencesTheLeader(t *testing.T) {
	client := newEtcd(t)
	l := lead(t, newCandidate(t, client, "a"))
	if _, err := client.Delete(t.Context(), l.term.key); err != nil {
		t.Fatal(err)
	}
	if _, err := l.term.Commit(t.Context(), []Write{{Key: "/k", IfRevision: Any}}); !errors.Is(err, ErrFenced) {
		t.Errorf("write: %v, want ErrFenced", err)
	}
	if err := <-l.err; !errors.Is(err, ErrLeadershipLost) {
		t.Errorf("Lead: %v, want ErrLeadershipLost", err)
	}
}

// etcd's own campaign returns success here although the winner's key is gone.
func TestCandidateWhoseLeaseEndedWhileWaitingNeverLeads(t *testing.T) {
	client := newEtcd(t)
	first := lead(t, newCandidate(t, client, "first"))
	second := newCandidate(t, client, "second")
	result := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		result <- second.Lead(t.Context(), func(context.Context, *Term) error {
			t.Error("a phantom leads")
			return nil
		})
	})
	defer wg.Wait()
	until(t, "both campaign", func() bool { return len(entries(t, client)) == 2 })
	revokeOf(t, client, entries(t, client)[1])
	first.stop(t)
	if err := <-result; !errors.Is(err, ErrLeadershipLost) {
		t.Errorf("phantom's Lead: %v, want ErrLeadershipLost", err)
	}
}

func TestCandidateThatGivesUpLeavesNoEntry(t *testing.T) {
	client := newEtcd(t)
	first := lead(t, newCandidate(t, client, "first"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := newCandidate(t, client, "second").Lead(ctx, func(context.Context, *Term) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Lead: %v, want Canceled", err)
		}
	})
	until(t, "both campaign", func() bool { return len(entries(t, client)) == 2 })
	cancel()
	wg.Wait()
	if keys := entries(t, client); len(keys) != 1 {
		t.Errorf("entries = %q, want the leader's alone", keys)
	}
	first.stop(t)
}

func TestEachLeadIsANewLeaseAndEpoch(t *testing.T) {
	client := newEtcd(t)
	c := newCandidate(t, client, "a")
	first := lead(t, c)
	first.stop(t)
	second := lead(t, c)
	if second.term.key == first.term.key || second.term.Epoch() == first.term.Epoch() {
		t.Errorf("term %s/%d was resumed", first.term.key, first.term.Epoch())
	}
	if _, err := first.term.Commit(t.Context(), []Write{{Key: "/k", IfRevision: Any}}); !errors.Is(err, ErrFenced) {
		t.Errorf("write in the former term: %v, want ErrFenced", err)
	}
	second.stop(t)
}

func TestLeadReturnsWhatTheFunctionSays(t *testing.T) {
	client, errOwn := newEtcd(t), errors.New("own")
	if err := newCandidate(t, client, "a").Lead(t.Context(), func(context.Context, *Term) error { return errOwn }); !errors.Is(err, errOwn) {
		t.Errorf("Lead: %v", err)
	}
}

func TestRunCampaignsAgain(t *testing.T) {
	client, terms := newEtcd(t), 0
	err := newCandidate(t, client, "a").Run(t.Context(), func(ctx context.Context, term *Term) error {
		switch terms++; terms {
		case 1:
			revokeOf(t, client, term.key)
			_, err := term.Commit(ctx, []Write{{Key: "/k", IfRevision: Any}})
			return err
		case 2:
			return ErrResign
		}
		return nil
	})
	if err != nil || terms != 3 {
		t.Errorf("Run = %v after %d terms, want nil after 3", err, terms)
	}
}

func TestRunStopsOnAnErrorOfItsOwn(t *testing.T) {
	errOwn := errors.New("own")
	if err := newCandidate(t, newEtcd(t), "a").Run(t.Context(), func(context.Context, *Term) error { return errOwn }); !errors.Is(err, errOwn) {
		t.Errorf("Run: %v", err)
	}
}

func TestLeaderOfADeadEtcdEndsByItselfWithoutSpinning(t *testing.T) {
	endpoint, stop := listening(t)
	var streams atomic.Int64
	count := func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, s grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		streams.Add(1)
		return s(ctx, d, cc, method, opts...)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialOptions: []grpc.DialOption{grpc.WithChainStreamInterceptor(count)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	l := lead(t, newCandidate(t, client, "a"))
	stop()
	if err := <-l.err; !errors.Is(err, ErrLeadershipLost) {
		t.Errorf("Lead: %v, want ErrLeadershipLost", err)
	}
	t.Logf("%d streams opened", streams.Load())
	if n := streams.Load(); n > 200 {
		t.Errorf("%d keepalives were tried: that is spinning", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]Options{
		"nothing given":    {},
		"ttl too short":    {Client: &clientv3.Client{}, Name: "a", TTL: time.Second},
		"ttl not in whole": {Client: &clientv3.Client{}, Name: "a", TTL: 2500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewCandidate(opts); err == nil {
				t.Error("accepted")
			}
		})
	}
}
