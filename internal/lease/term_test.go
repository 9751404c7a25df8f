package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestCommitComparesAndAppliesAllOrNothing(t *testing.T) {
	l := lead(t, newCandidate(t, newEtcd(t), "a"))
	term, ctx := l.term, t.Context()
	at, err := term.Commit(ctx, []Write{{Key: "/a", Value: []byte("1")}, {Key: "/b", Value: []byte("1")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		writes []Write
		want   error
	}{
		"create what exists":         {[]Write{{Key: "/c"}, {Key: "/a"}}, ErrConflict},
		"change at another revision": {[]Write{{Key: "/c"}, {Key: "/a", IfRevision: at + 1}}, ErrConflict},
		"delete at another revision": {[]Write{{Key: "/c"}, {Key: "/a", IfRevision: at - 1, Delete: true}}, ErrConflict},
		"too many":                   {slices.Repeat([]Write{{Key: "/c"}}, MaxWrites+1), ErrTooLarge},
		"too large":                  {[]Write{{Key: "/c", Value: make([]byte, 8<<20)}}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := term.Commit(ctx, tc.writes); !errors.Is(err, tc.want) {
				t.Errorf("Commit: %v, want %v", err, tc.want)
			}
			if _, err := term.Get(ctx, "/c"); !errors.Is(err, ErrNotFound) {
				t.Errorf("part of it was applied: %v", err)
			}
		})
	}
	next, err := term.Commit(ctx, []Write{{Key: "/a", Value: []byte("2"), IfRevision: at}, {Key: "/b", IfRevision: at, Delete: true}, {Key: "/x", IfRevision: Any}})
	if err != nil || next <= at {
		t.Fatalf("Commit = %d, %v", next, err)
	}
	a, err := term.Get(ctx, "/a")
	if err != nil || string(a.Value) != "2" || a.Revision != next || a.Created != at {
		t.Errorf("/a = %+v, %v", a, err)
	}
	if _, err := term.Get(ctx, "/b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("/b: %v, want ErrNotFound", err)
	}
	full := make([]Write, MaxWrites)
	for i := range full {
		full[i] = Write{Key: fmt.Sprintf("/full/%d", i)}
	}
	if _, err := term.Commit(ctx, full); err != nil {
		t.Errorf("Commit of %d writes: %v", MaxWrites, err)
	}
	l.stop(t)
	if _, err := term.Commit(ctx, []Write{{Key: "/a", IfRevision: Any}}); !errors.Is(err, ErrFenced) {
		t.Errorf("Commit after the term: %v, want ErrFenced", err)
	}
}

func TestOutcomeIsUnknownWhenTheReplyIsLost(t *testing.T) {
	client := newEtcd(t)
	l := lead(t, newCandidate(t, client, "a"))
	for _, applied := range []bool{true, false} {
		lossy := clientv3.NewCtxClient(t.Context())
		lossy.KV = lossyKV{client.KV, applied}
		term := *l.term
		term.Store = NewStore(lossy)
		key := fmt.Sprint("/applied/", applied)
		if _, err := term.Commit(t.Context(), []Write{{Key: key}}); !errors.Is(err, ErrUnknown) || !errors.Is(err, errLost) {
			t.Errorf("Commit: %v, want ErrUnknown", err)
		}
		if _, err := term.Get(t.Context(), key); applied != (err == nil) {
			t.Errorf("reading %s: %v", key, err)
		}
		_ = lossy.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.term.Commit(ctx, []Write{{Key: "/k"}}); !errors.Is(err, ErrUnknown) {
		t.Errorf("Commit with a context that is over: %v, want ErrUnknown", err)
	}
	l.stop(t)
}

func TestIncarnationsGrow(t *testing.T) {
	client := newEtcd(t)
	var last int64
	for range 2 {
		l := lead(t, newCandidate(t, client, "a"))
		for range 3 {
			n, err := l.term.Incarnation(t.Context(), "w")
			if err != nil || n <= last {
				t.Errorf("Incarnation = %d, %v after %d", n, err, last)
			}
			last = n
		}
		l.stop(t)
	}
}

func TestListingsArePaged(t *testing.T) {
	client := newEtcd(t)
	var want []string
	for i := range 7 {
		key := fmt.Sprintf("/list/%04d", i)
		want = append(want, key)
		if _, err := client.Put(t.Context(), key, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"/lisa", "/list", "/list0", "/lisu"} {
		if _, err := client.Put(t.Context(), key, ""); err != nil {
			t.Fatal(err)
		}
	}
	s := NewStore(client)
	var got []string
	for after, more := "", true; more; {
		var page []Entry
		var err error
		if page, more, err = s.Page(t.Context(), "/list/", after, 3); err != nil || len(page) == 0 || len(page) > 3 {
			t.Fatalf("Page behind %q = %d entries, %v", after, len(page), err)
		}
		for _, e := range page {
			got = append(got, e.Key)
		}
		after = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages hold %v, want %v", got, want)
	}
}

func TestClustersHaveIdentities(t *testing.T) {
	a, b := NewStore(newEtcd(t)), NewStore(newEtcd(t))
	id, err := a.ClusterID(t.Context())
	if err != nil || id == 0 {
		t.Fatalf("ClusterID = %x, %v", id, err)
	}
	if again, err := a.ClusterID(t.Context()); again != id || err != nil {
		t.Errorf("ClusterID of the same = %x, %v; want %x", again, err, id)
	}
	if other, err := b.ClusterID(t.Context()); other == id || err != nil {
		t.Errorf("ClusterID of another = %x, %v", other, err)
	}
}

func TestObserversSeeLeadersComeAndGo(t *testing.T) {
	client := newEtcd(t)
	s := NewStore(client)
	if _, err := s.Leader(t.Context()); !errors.Is(err, ErrNoLeader) {
		t.Errorf("Leader of nobody: %v, want ErrNoLeader", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan Leader, 100)
	ended := make(chan error, 1)
	go func() { ended <- s.WatchCandidates(ctx, func(c []Leader) { seen <- First(c) }) }()
	next := func() Leader {
		select {
		case l := <-seen:
			return l
		case <-time.After(30 * time.Second):
			t.Fatal("no change was seen")
		}
		return Leader{}
	}
	if l := next(); l != (Leader{}) {
		t.Errorf("first seen: %+v, want none", l)
	}
	for _, name := range []string{"a", "b"} {
		l := lead(t, newCandidate(t, client, name))
		want := Leader{Name: name, Address: name + ":7470", Epoch: l.term.Epoch()}
		if got := next(); got != want {
			t.Errorf("seen %+v, want %+v", got, want)
		}
		if got, err := s.Leader(t.Context()); got != want || err != nil {
			t.Errorf("Leader = %+v, %v, want %+v", got, err, want)
		}
		l.stop(t)
		if got := next(); got != (Leader{}) {
			t.Errorf("seen %+v after the resignation, want none", got)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("WatchCandidates: %v", err)
	}
}

// TestCandidates proves that all who stand for election are listed, the leader first and alone with an epoch,
// and that an entry which no coordinator has written hides none of them.
func TestCandidates(t *testing.T) {
	client := newEtcd(t)
	s := NewStore(client)
	first := lead(t, newCandidate(t, client, "first"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		_ = newCandidate(t, client, "second").Lead(ctx, func(ctx context.Context, _ *Term) error { <-ctx.Done(); return nil })
	})
	until(t, "both campaign", func() bool { return len(entries(t, client)) == 2 })
	if _, err := client.Put(t.Context(), electionPrefix+"zz", "not ours"); err != nil {
		t.Fatal(err)
	}
	want := []Leader{{Name: "first", Address: "first:7470", Epoch: first.term.Epoch()}, {Name: "second", Address: "second:7470"}}
	if got, err := s.Candidates(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("Candidates = %+v, %v, want %+v", got, err, want)
	}
	first.stop(t)
	until(t, "the second leads", func() bool {
		got, err := s.Candidates(t.Context())
		return err == nil && First(got).Name == "second" && len(got) == 1
	})
}

func TestConnect(t *testing.T) {
	endpoint, stop := listening(t)
	client, err := Connect(t.Context(), ConnectOptions{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	l := lead(t, newCandidate(t, client, "a"))
	if _, err := l.term.Commit(t.Context(), []Write{{Key: "/k"}}); err != nil {
		t.Errorf("Commit: %v", err)
	}
	l.stop(t)
	if err := client.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	stop()
	_, err = Connect(t.Context(), ConnectOptions{Endpoints: []string{endpoint}, Timeout: 300 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), endpoint) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Connect to nothing: %v", err)
	}
}

func TestConnectOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]ConnectOptions{
		"no endpoints":            {},
		"absent CA":               {Endpoints: []string{"a:1"}, CAFile: "/absent"},
		"certificate without key": {Endpoints: []string{"a:1"}, CertFile: "/absent"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Connect(t.Context(), opts); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("Connect: %v, want an error of one line", err)
			}
		})
	}
}
