package cluster

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	members      = 3 // of etcd
	coordinators = 3
	workers      = 4
	// comesWithin bounds how long anything that has to come about may take.
	comesWithin = time.Minute
	// leaseTTL is that of the election among several coordinators, as documented.
	leaseTTL = 5 * time.Second
)

// cluster is all of the processes, and clients of etcd and of the API.
type cluster struct {
	dir          string
	store        string
	etcd         []*process
	coordinators []*process
	workers      []*process
	front        *front
	heads        *clientv3.Client
	target       func(*testing.T) *target                 // starts one that the workers reach
	machine      func(name string) machine                // nil: the processes above
	outbox       func(t *testing.T, worker string) string // directory with the outbox of a worker that does not run

	// What leads to etcd, by coordinator, and from the workers to each coordinator; nil: they are
	// connected directly.
	toEtcd         [][]*cable
	toCoordinators []*cable
}

// zoneOf returns the zone of a worker, by its number from 0: half of them are in one, half in the other.
func zoneOf(worker int) string {
	if worker < workers/2 {
		return "a"
	}
	return "b"
}

// machine is what a program of the cluster runs on: a process of this machine, or a container.
type machine interface {
	start(t *testing.T)
	kill(t *testing.T)
	interrupt(t *testing.T) // it is told to end, and ends in order
	freeze(t *testing.T)    // it stands where it is
	thaw(t *testing.T)
}

// coordinator returns what a coordinator runs on, by its number from 0.
func (c *cluster) coordinator(i int) machine {
	if c.machine != nil {
		return c.machine(fmt.Sprintf("c%d", i+1))
	}
	return c.coordinators[i]
}

// member is the same of a member of etcd.
func (c *cluster) member(i int) machine {
	if c.machine != nil {
		return c.machine(fmt.Sprintf("e%d", i+1))
	}
	return c.etcd[i]
}

// worker is the same of a worker.
func (c *cluster) worker(i int) machine {
	if c.machine != nil {
		return c.machine(fmt.Sprintf("w%d", i+1))
	}
	return c.workers[i]
}

// startCluster starts everything and returns when a coordinator leads and every worker is free. The
// test's end kills all of it; the logs are shown if the test failed.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	return start(t, false)
}

// startCabled starts a cluster whose coordinators can be cut off.
func startCabled(t *testing.T) *cluster {
	t.Helper()
	return start(t, true)
}

func start(t *testing.T, cabled bool) *cluster {
	t.Helper()
	dir := logDirectory(t)
	c := &cluster{target: startTarget, dir: dir, store: filepath.Join(dir, "store")}
	c.outbox = func(_ *testing.T, worker string) string { return filepath.Join(dir, worker, "outbox") }
	t.Cleanup(func() { c.showLogs(t) })
	endpoints := c.startEtcd(t)
	addresses := freeAddresses(t, coordinators)
	told := addresses // what workers, and others who are sent to the leader, are told
	if cabled {
		told = c.layCables(t, addresses, endpoints)
	}
	for i, address := range addresses {
		name, etcd := fmt.Sprintf("c%d", i+1), endpoints
		if cabled {
			etcd = ends(c.toEtcd[i])
		}
		c.coordinators = append(c.coordinators, newProcess(t, dir, name, []string{
			"coordinator", "serve", "--name", name, "--listen", address, "--advertise", told[i], "--http", "-",
			"--data-dir", filepath.Join(dir, name), "--etcd-endpoints", strings.Join(etcd, ","),
			"--store", "file://" + c.store + "?shared=true", "--log-level", "info",
		}))
	}
	for i := range workers {
		name := fmt.Sprintf("w%d", i+1)
		c.workers = append(c.workers, newProcess(t, dir, name, []string{
			"worker", "--name", name, "--join", strings.Join(told, ","), "--data-dir", filepath.Join(dir, name), "--log-level", "info",
			"--label", "zone=" + zoneOf(i),
		}))
	}
	for _, p := range append(c.coordinators[:coordinators:coordinators], c.workers...) {
		p.start(t)
	}
	c.front = newFront(t, addresses)
	c.awaitFree(t)
	return c
}

// layCables lays one cable from all workers to each coordinator, and one from each coordinator to each
// member of etcd. It returns where the first begin.
func (c *cluster) layCables(t *testing.T, addresses, endpoints []string) []string {
	t.Helper()
	owner := ownerAmong(func() (pids []int) {
		for _, w := range c.workers {
			pids = append(pids, int(w.pid.Load()))
		}
		return pids
	})
	for _, address := range addresses {
		c.toCoordinators = append(c.toCoordinators, newCable(t, address, owner))
		var cables []*cable
		for _, endpoint := range endpoints {
			cables = append(cables, newCable(t, endpoint, nil))
		}
		c.toEtcd = append(c.toEtcd, cables)
	}
	return ends(c.toCoordinators)
}

// ends returns the addresses at which cables begin.
func ends(cables []*cable) (out []string) {
	for _, one := range cables {
		out = append(out, one.address())
	}
	return out
}

// startEtcd starts the members and returns where they serve clients, once they do.
func (c *cluster) startEtcd(t *testing.T) (endpoints []string) {
	t.Helper()
	addresses := freeAddresses(t, 2*members)
	var all, urls []string
	for i := range members {
		all = append(all, fmt.Sprintf("e%d=http://%s", i+1, addresses[members+i]))
		endpoints = append(endpoints, addresses[i])
		urls = append(urls, "http://"+addresses[i])
	}
	for i := range members {
		name := fmt.Sprintf("e%d", i+1)
		c.etcd = append(c.etcd, newProcess(t, c.dir, name, []string{
			"etcdmember", "-name", name, "-dir", filepath.Join(c.dir, name), "-client", urls[i],
			"-peer", "http://" + addresses[members+i], "-cluster", strings.Join(all, ","),
		}))
		c.etcd[i].start(t)
	}
	c.heads = newHeads(t, urls)
	return endpoints
}

// newHeads returns a client of etcd that is not the product's, once etcd answers.
func newHeads(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	until(t, "answer of etcd", func() bool {
		_, err := client.Get(t.Context(), "any")
		return err == nil
	})
	return client
}

// awaitFree waits until somebody leads and all workers are free.
func (c *cluster) awaitFree(t *testing.T) {
	t.Helper()
	until(t, "leader with all workers free", func() bool {
		i, s := c.front.status(t.Context())
		return i >= 0 && s.GetWorkers()["free"] == workers
	})
}

// leader waits until a coordinator leads, and returns which.
func (c *cluster) leader(t *testing.T) int {
	t.Helper()
	leader := -1
	until(t, "leader", func() bool {
		leader, _ = c.front.status(t.Context())
		return leader >= 0
	})
	return leader
}

var keep = flag.String("keep", "", "directory in which the directories and logs of the clusters stay; default: they are removed")

// logDirectory returns a new directory for one cluster.
func logDirectory(t *testing.T) string {
	t.Helper()
	if *keep == "" {
		return t.TempDir()
	}
	parent, err := filepath.Abs(*keep)
	if err == nil {
		err = os.MkdirAll(parent, 0o700)
	}
	dir := ""
	if err == nil {
		dir, err = os.MkdirTemp(parent, strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())+"-") //nolint:usetesting // it is to stay
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// showLogs prints the ends of all logs of a test that failed.
func (c *cluster) showLogs(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, group := range [][]*process{c.etcd, c.coordinators, c.workers} {
		for _, p := range group {
			log, err := os.ReadFile(p.log)
			if err != nil {
				t.Log(err)
				continue
			}
			const most = 8 << 10
			t.Logf("log of %s:\n%s", p.name, log[max(0, len(log)-most):])
		}
	}
}

// freeAddresses returns addresses of loopback on which nothing listens.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all at once, so that no address is given twice
		out = append(out, l.Addr().String())
	}
	return out
}

// until waits for a condition that processes have to bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(comesWithin); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("no %s within %v", what, comesWithin)
}
