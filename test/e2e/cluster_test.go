package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/coordinator"
	"proofload/internal/worker"
	pb "proofload/proto/proofload/v1"
)

// cluster is several coordinators on one etcd and one store, all in this process.
type cluster struct {
	t     *testing.T
	dir   string
	log   hclog.Logger
	etcd  string // address of etcd
	nodes []*node
}

// node is one coordinator and a client of it.
type node struct {
	fleet
	*coordinator.Coordinator
	name   string
	status pb.FleetServiceClient
	etcd   *gate // its way to etcd
	stop   func()
}

// listenEtcd starts an etcd that is reached by TCP.
func listenEtcd(t *testing.T) string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name = t.TempDir(), "e1"
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{loopback}, []url.URL{loopback}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{loopback}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.InitialClusterToken = uuid.NewString() // each a cluster of its own
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return e.Clients[0].Addr().String()
}

// startCluster starts coordinators one after the other, so that the first one leads. change may alter the
// options of each.
func startCluster(t *testing.T, n int, change func(i int, o *coordinator.Options)) *cluster {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // after all that is started here has ended
	c := &cluster{
		t: t, dir: t.TempDir(), etcd: listenEtcd(t),
		log: hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn}),
	}
	for i := range n {
		c.start(i, change)
	}
	return c
}

func (c *cluster) start(i int, change func(i int, o *coordinator.Options)) {
	c.t.Helper()
	n := &node{name: fmt.Sprintf("c%d", i+1), etcd: openGate(c.t, c.etcd)}
	o := coordinator.Options{
		Name: n.name, Listen: "127.0.0.1:0", HTTP: "-", DataDir: filepath.Join(c.dir, n.name), Version: "test",
		Store: "file://" + filepath.Join(c.dir, "store") + "?shared=true", EtcdEndpoints: []string{n.etcd.address},
		Logger: c.log.Named(n.name),
	}
	if change != nil {
		change(i, &o)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var err error
	if n.Coordinator, err = coordinator.New(ctx, o); err != nil {
		cancel()
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ended <- n.Run(ctx) })
	conn, err := grpc.NewClient(n.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		cancel()
		c.t.Fatal(err)
	}
	n.runs, n.status = pb.NewRunServiceClient(conn), pb.NewFleetServiceClient(conn)
	n.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := errors.Join(<-ended, n.Close(), conn.Close()); err != nil && !errors.Is(err, context.Canceled) {
			c.t.Errorf("coordinator %s: %v", n.name, err)
		}
	})
	c.t.Cleanup(n.stop)
	c.nodes = append(c.nodes, n)
	if i > 0 {
		c.eventually("the others know "+n.name, func() bool { return len(c.state(c.nodes[0]).GetCoordinators()) == i+1 })
		return
	}
	select {
	case <-n.Leading():
	case <-time.After(time.Minute):
		c.t.Fatal("nobody leads after a minute")
	}
}

// eventually waits for a condition that processes have to bring about among themselves.
func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// state returns the status as one coordinator tells it; empty while it does not.
func (c *cluster) state(n *node) *pb.GetStatusResponse {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	st, err := n.status.GetStatus(ctx, &pb.GetStatusRequest{})
	if err != nil {
		return &pb.GetStatusResponse{}
	}
	return st
}

// leads waits until all the given coordinators say that somebody leads who is not one of before, and
// returns its name.
func (c *cluster) leads(nodes []*node, before ...string) string {
	c.t.Helper()
	name := ""
	c.eventually("another one leads", func() bool {
		name = ""
		for _, n := range nodes {
			l := c.state(n).GetLeader()
			if l.GetEpoch() == 0 || name != "" && l.GetName() != name {
				return false
			}
			name = l.GetName()
		}
		return !slices.Contains(before, name)
	})
	return name
}

// roads decides which addresses workers can reach.
type roads struct {
	mu     sync.Mutex
	closed map[string]bool
	conns  map[net.Conn]string
}

func newRoads() *roads { return &roads{closed: map[string]bool{}, conns: map[net.Conn]string{}} }

// set closes or opens the way to an address, and cuts off what is on it.
func (r *roads) set(closed bool, addresses ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addresses {
		r.closed[a] = closed
	}
	for conn, to := range r.conns {
		if r.closed[to] {
			_ = conn.Close()
			delete(r.conns, conn)
		}
	}
}

func (r *roads) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed[address] {
		_ = conn.Close()
		return nil, errors.New("no way there")
	}
	r.conns[conn] = address
	return conn, nil
}

// work starts workers, which the test's end stops if stop has not been called before.
func (c *cluster) work(workers int, r *roads, join ...string) (stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var running sync.WaitGroup
	for i := range workers {
		name := fmt.Sprintf("w%d", i+1)
		running.Go(func() {
			err := worker.Run(ctx, worker.Options{
				Name: name, Join: join, DataDir: filepath.Join(c.dir, name), Version: "test", Logger: c.log.Named(name),
				Dial: []grpc.DialOption{grpc.WithContextDialer(r.dial)},
			})
			if err != nil && !errors.Is(err, context.Canceled) {
				c.t.Errorf("worker %s: %v", name, err)
			}
		})
	}
	stop = func() { cancel(); running.Wait() }
	c.t.Cleanup(stop)
	for _, n := range c.nodes {
		n.workers = workers
	}
	return stop
}

func (c *cluster) addresses() []string {
	var out []string
	for _, n := range c.nodes {
		out = append(out, n.Address())
	}
	return out
}
