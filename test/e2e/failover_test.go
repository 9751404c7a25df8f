package e2e

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/coordinator"
	pb "proofload/proto/proofload/v1"
)

// steady is a run of so many seconds with 50 arrivals in each.
func steady(target string, seconds int) string {
	return fmt.Sprintf(`version: 1
name: steady
seed: 7
target: %s
allow_targets: [127.0.0.1]
flows:
  f:
    - step: s1
      http: {method: GET, path: /a}
phases:
  - name: open
    flow: f
    late: 20s # a machine that is short of time may be late, and shall lose nothing
    rate:
      - hold: {at: 50/s, for: %ds}
coordinator_loss: {grace: 60s}
`, target, seconds)
}

// exact checks that every arrival of a steady run was sent and counted once, as the server counted it.
func exact(t *testing.T, d document, c *counter, seconds int) {
	t.Helper()
	balance(t, "run", d.Load, d.Requests)
	received, _ := c.sums([]string{"GET /a"})
	want := int64(50 * seconds)
	if d.Run.State != "COMPLETED" || d.Load.Planned != want || d.Load.Sent != want || d.Requests.Sent != received || received != want {
		t.Errorf("%s: planned %d, sent %d, not sent %v, unknown %d, requests %d; the server counted %d; want %d each",
			d.Run.State, d.Load.Planned, d.Load.Sent, d.Load.NotSent, d.Load.Unknown, d.Requests.Sent, received, want)
	}
	if d.Integrity.Completeness != 1 || len(d.Integrity.Gaps) > 0 {
		t.Errorf("completeness %v, gaps %s", d.Integrity.Completeness, d.Integrity.Gaps)
	}
}

// again reports whether a client shall repeat what it asked, as the command line does.
func again(err error) bool {
	st := status.Convert(err)
	if st.Code() == codes.Unavailable || st.Code() == codes.DeadlineExceeded {
		return true
	}
	return slices.ContainsFunc(st.Details(), func(d any) bool { _, ok := d.(*pb.LeaderInfo); return ok })
}

// followed watches a run through one coordinator to its end, and again when it is told to.
func (n *node) followed(t *testing.T, id string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		stream, err := n.runs.WatchRun(t.Context(), &pb.WatchRunRequest{RunId: id})
		for err == nil {
			_, err = stream.Recv()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if !again(err) || time.Now().After(deadline) {
			t.Fatalf("watch through %s: %v", n.name, err)
		}
	}
}

// TestAnyCoordinatorAnswers shows that a client of any coordinator can do all that there is to do: upload a
// file, create a run, command, watch and list it, and read its report; and that each shows all coordinators.
func TestAnyCoordinatorAnswers(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.work(1, newRoads(), c.addresses()...)
	for _, n := range c.nodes {
		t.Run(n.name, func(t *testing.T) {
			st := c.state(n)
			if st.GetLeader().GetName() != "c1" || len(st.GetCoordinators()) != 3 || !st.GetCoordinators()[0].GetLeader() || len(st.GetProblems()) > 0 {
				t.Errorf("status %v", st)
			}
			upload(t, n.runs, "through "+n.name)
			_, err := n.runs.CreateRun(t.Context(), &pb.CreateRunRequest{
				RequestId: uuid.NewString(), Source: &pb.ScenarioSource{FileName: "bad.yaml", Scenario: []byte("version: 1\nname: bad\n")},
			})
			if st := status.Convert(err); st.Code() != codes.InvalidArgument || len(st.Details()) != 1 {
				t.Errorf("a bad scenario: %v with details %v", err, st.Details())
			}
			counter := startCounter(t, false)
			id := n.create(t, scenario(counter.URL, "uniform", "three", ""))
			counter.await(t, 20)
			n.pause(t, id)
			n.resume(t, id)
			d := n.report(t, id)
			agree(t, d, counter, "three")
			got, err := n.runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: "last"})
			if err != nil || got.GetRun().GetId() != id {
				t.Errorf("last is %v, %v", got.GetRun().GetId(), err)
			}
			if list, err := n.runs.ListRuns(t.Context(), &pb.ListRunsRequest{}); err != nil || len(list.GetRuns()) == 0 {
				t.Errorf("list %v, %v", list, err)
			}
			if workers, err := n.status.ListWorkers(t.Context(), &pb.ListWorkersRequest{}); err != nil || len(workers.GetWorkers()) != 1 {
				t.Errorf("workers %v, %v", workers, err)
			}
		})
	}
}

// TestWorkerBehindAFollower shows that a worker which can reach a follower only does its part of a run as
// well as one that reaches the leader.
func TestWorkerBehindAFollower(t *testing.T) {
	c := startCluster(t, 3, nil)
	r := newRoads()
	r.set(true, c.nodes[0].Address(), c.nodes[2].Address())
	c.work(1, r, c.nodes[1].Address())
	counter := startCounter(t, false)
	id := c.nodes[2].create(t, steady(counter.URL, 3))
	c.nodes[2].followed(t, id)
	exact(t, c.nodes[1].report(t, id), counter, 3)
}

// TestLeaderEndsInMidRun shows that a run goes on when its leader is shut down, for those too who watch it
// through a follower and for a worker that reaches followers only; and that it is no matter what the
// coordinators' wall clocks say.
func TestLeaderEndsInMidRun(t *testing.T) {
	c := startCluster(t, 3, func(i int, o *coordinator.Options) {
		off := time.Duration(i) * time.Hour
		o.Wall = func() time.Time { return time.Now().Add(off) }
	})
	r := newRoads()
	r.set(true, c.nodes[0].Address())
	c.work(2, r, c.addresses()...)
	counter := startCounter(t, false)
	id := c.nodes[1].create(t, steady(counter.URL, 8))
	counter.await(t, 100)
	c.nodes[0].stop()
	c.nodes[2].followed(t, id)
	exact(t, c.nodes[1].report(t, id), counter, 8)
	if name := c.leads(c.nodes[1:]); name == "c1" {
		t.Error("one that has ended leads")
	}
	got, err := c.nodes[1].runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: id})
	if e := got.GetRun().GetElapsed().AsDuration(); err != nil || e < 8*time.Second || e > 9*time.Second {
		t.Errorf("elapsed %v, %v", e, err)
	}
}

// TestLeaderLosesEtcd shows that a leader which is cut off from etcd hands its workers to the one that is
// elected in its place, of which it can learn from the others only, and passes calls on to it.
func TestLeaderLosesEtcd(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.work(1, newRoads(), c.nodes[0].Address())
	counter := startCounter(t, false)
	id := c.nodes[0].create(t, steady(counter.URL, 14))
	counter.await(t, 60)
	c.nodes[0].etcd.set(true)
	if name := c.leads(c.nodes, "c1"); name == "c1" {
		t.Error("c1 leads without etcd")
	}
	c.nodes[0].followed(t, id)
	exact(t, c.nodes[1].report(t, id), counter, 14)
}

// TestFollowerWithoutEtcd shows that a follower which is cut off from etcd finds the next leader all the same,
// and says that something is wrong.
func TestFollowerWithoutEtcd(t *testing.T) {
	c := startCluster(t, 3, nil)
	third := c.nodes[2]
	c.eventually("c3 knows all", func() bool { return len(c.state(third).GetCoordinators()) == 3 })
	third.etcd.set(true)
	c.nodes[0].stop()
	c.leads(c.nodes[1:], "c1")
	if _, err := third.runs.ListRuns(t.Context(), &pb.ListRunsRequest{}); err != nil {
		t.Errorf("list through c3: %v", err)
	}
}

// TestNobodyHasEtcd shows that while etcd is gone the former leader is a caretaker, as any coordinator tells,
// with a live view that goes on; and that afterwards the run is conducted to its end as if nothing had been.
func TestNobodyHasEtcd(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.work(1, newRoads(), c.addresses()...)
	counter := startCounter(t, false)
	id := c.nodes[0].create(t, steady(counter.URL, 20))
	counter.await(t, 60)
	for _, n := range c.nodes {
		n.etcd.set(true)
	}
	c.eventually("c1 is a caretaker", func() bool { return c.state(c.nodes[1]).GetCaretakerSince() != nil })
	get := func() *pb.GetRunResponse {
		got, err := c.nodes[1].runs.GetRun(t.Context(), &pb.GetRunRequest{RunId: id})
		if err != nil || got.GetRun().GetCaretakerSince() == nil {
			t.Fatalf("run %v, %v", got, err)
		}
		return got
	}
	before := get().GetProgress().GetLoad().GetSent()
	c.eventually("the live view goes on", func() bool { return get().GetProgress().GetLoad().GetSent() > before+50 })
	for _, n := range c.nodes {
		st := c.state(n)
		told := strings.Join(st.GetProblems(), "\n")
		if st.GetCaretakerSince() == nil || !strings.Contains(told, "coordinator c1 leads no more since") || !strings.Contains(told, "etcd does not answer") || len(st.GetActiveRuns()) != 1 || len(st.GetCoordinators()) != 3 {
			t.Errorf("%s: status %v", n.name, st)
		}
	}
	_, err := c.nodes[2].runs.PauseRun(t.Context(), &pb.PauseRunRequest{RequestId: uuid.NewString(), RunId: id})
	if status.Code(err) != codes.FailedPrecondition || !again(err) {
		t.Errorf("a command to a caretaker: %v", err)
	}
	for _, n := range c.nodes {
		n.etcd.set(false)
	}
	c.leads(c.nodes)
	c.nodes[2].followed(t, id)
	exact(t, c.nodes[1].report(t, id), counter, 20)
}

// TestDeafLeaderResigns shows that a leader which hears none of the workers of its runs lets another one
// lead, be it that it heard them before or never did, and that leadership does not go round and round: whoever has
// resigned without ever hearing a worker stays the next time.
func TestDeafLeaderResigns(t *testing.T) {
	c := startCluster(t, 3, nil)
	r := newRoads()
	c.work(1, r, c.addresses()...)
	counter := startCounter(t, false)
	id := c.nodes[0].create(t, steady(counter.URL, 16))
	counter.await(t, 60)
	r.set(true, c.addresses()...)
	second := c.leads(c.nodes, "c1")
	third := c.leads(c.nodes, "c1", second) // it has never heard a worker, and gives way as well
	t.Logf("c1, %s and %s have led", second, third)
	stays, since := third, time.Now()
	c.eventually("somebody stays", func() bool {
		if name := c.leads(c.nodes); name != stays {
			stays, since = name, time.Now()
		}
		return time.Since(since) > 10*time.Second // longer than a leader listens before it resigns
	})
	r.set(false, c.addresses()...)
	c.nodes[0].followed(t, id)
	exact(t, c.nodes[1].report(t, id), counter, 16)
}
