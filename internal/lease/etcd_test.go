package lease

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"proofload/internal/lease/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newEtcd returns the client of a fresh embedded etcd that ends with the test.
func newEtcd(t *testing.T) *clientv3.Client {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Logger: testLogger(t)})
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close etcd: %v", err)
		}
	})
	return s.Client()
}

// listening starts an etcd that is reached by TCP and returns its endpoint and how to stop it.
func listening(t *testing.T, advertised ...string) (string, func()) {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name = t.TempDir(), "external"
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{loopback}, []url.URL{loopback}
	for _, address := range advertised {
		cfg.AdvertiseClientUrls = append(cfg.AdvertiseClientUrls, url.URL{Scheme: "http", Host: address})
	}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{loopback}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs = 10, 50
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	stop := sync.OnceFunc(e.Close)
	t.Cleanup(stop)
	<-e.Server.ReadyNotify()
	return e.Clients[0].Addr().String(), stop
}

func testLogger(t *testing.T) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Debug})
}

func newCandidate(t *testing.T, client *clientv3.Client, name string) *Candidate {
	t.Helper()
	c, err := NewCandidate(Options{Client: client, Name: name, Address: name + ":7470", TTL: 2 * time.Second, Logger: testLogger(t)})
	if err != nil {
		t.Fatalf("NewCandidate: %v", err)
	}
	return c
}

// leading is a candidate that leads until it is told to stop.
type leading struct {
	term *Term
	ctx  context.Context // of the leader's function
	quit chan struct{}
	err  chan error // what Lead returned
}

// lead makes a candidate lead, and stop with the test at the latest.
func lead(t *testing.T, c *Candidate) *leading {
	t.Helper()
	l := &leading{quit: make(chan struct{}), err: make(chan error, 1)}
	ready := make(chan struct{})
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wg.Go(func() {
		l.err <- c.Lead(ctx, func(ctx context.Context, term *Term) error {
			l.term, l.ctx = term, ctx
			close(ready)
			select {
			case <-l.quit:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	select {
	case <-ready:
	case err := <-l.err:
		t.Fatalf("Lead: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("not elected")
	}
	return l
}

func (l *leading) stop(t *testing.T) {
	t.Helper()
	close(l.quit)
	if err := <-l.err; err != nil {
		t.Errorf("Lead: %v", err)
	}
}

// entries returns the keys of the election, oldest first.
func entries(t *testing.T, client *clientv3.Client) []string {
	t.Helper()
	resp, err := client.Get(context.WithoutCancel(t.Context()), electionPrefix, clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		t.Fatalf("read election: %v", err)
	}
	var keys []string
	for _, kv := range resp.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}

// until waits for a condition that has to come about.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// revokeOf revokes the lease of an election entry behind its owner's back.
func revokeOf(t *testing.T, client *clientv3.Client, key string) {
	t.Helper()
	resp, err := client.Get(t.Context(), key)
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatalf("read %s: %v, %v", key, resp, err)
	}
	if _, err := client.Revoke(t.Context(), clientv3.LeaseID(resp.Kvs[0].Lease)); err != nil {
		t.Fatalf("revoke: %v", err)
	}
}

// lossyKV loses the replies of transactions, after or before applying them.
type lossyKV struct {
	clientv3.KV
	apply bool
}

var errLost = errors.New("connection reset")

func (k lossyKV) Txn(ctx context.Context) clientv3.Txn { return lossyTxn{k.KV.Txn(ctx), k.apply} }

type lossyTxn struct {
	clientv3.Txn
	apply bool
}

func (x lossyTxn) If(cs ...clientv3.Cmp) clientv3.Txn { return lossyTxn{x.Txn.If(cs...), x.apply} }

func (x lossyTxn) Then(ops ...clientv3.Op) clientv3.Txn { return lossyTxn{x.Txn.Then(ops...), x.apply} }

func (x lossyTxn) Else(ops ...clientv3.Op) clientv3.Txn { return lossyTxn{x.Txn.Else(ops...), x.apply} }

func (x lossyTxn) Commit() (*clientv3.TxnResponse, error) {
	if x.apply {
		if _, err := x.Txn.Commit(); err != nil {
			return nil, err
		}
	}
	return nil, errLost
}
