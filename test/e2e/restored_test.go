package e2e

import (
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	pb "proofload/proto/proofload/v1"
)

// copyRecords puts the records of one etcd into another one, as somebody does who restores a backup.
func copyRecords(t *testing.T, from, to string) {
	t.Helper()
	clients := make([]*clientv3.Client, 0, 2)
	for _, endpoint := range []string{from, to} {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		clients = append(clients, client)
	}
	all, err := clients[0].Get(t.Context(), "/proofload/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range all.Kvs {
		if strings.Contains(string(kv.Key), "/election/") {
			continue
		}
		if _, err := clients[1].Put(t.Context(), string(kv.Key), string(kv.Value)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecordsOfAnotherCluster shows that an etcd which holds the records of another cluster, with epochs and
// incarnations far beyond its own, does no harm: runs that have ended are shown, one that waited is conducted,
// and a worker that knew the other cluster takes part as a new one.
func TestRecordsOfAnotherCluster(t *testing.T) {
	old := startCluster(t, 1, nil)
	stop := old.work(1, newRoads(), old.addresses()...)
	counter := startCounter(t, false)
	ended := old.nodes[0].create(t, steady(counter.URL, 1))
	old.nodes[0].followed(t, ended)
	waits := startCounter(t, false)
	old.nodes[0].workers = 2
	waiting := old.nodes[0].create(t, steady(waits.URL, 2))
	stop()
	old.nodes[0].stop()

	c := &cluster{t: t, dir: old.dir, log: old.log, etcd: listenEtcd(t)}
	copyRecords(t, old.etcd, c.etcd)
	c.start(0, nil)
	st := c.state(c.nodes[0])
	if len(st.GetProblems()) > 0 || len(st.GetActiveRuns()) != 1 || st.GetActiveRuns()[0].GetState() != pb.RunState_RUN_STATE_IDLE {
		t.Errorf("status %v", st)
	}
	c.work(2, newRoads(), c.addresses()...)
	c.nodes[0].followed(t, waiting)
	exact(t, c.nodes[0].report(t, waiting), waits, 2)
	exact(t, c.nodes[0].report(t, ended), counter, 1)
}
