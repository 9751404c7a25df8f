package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	pb "proofload/proto/proofload/v1"
)

const (
	// untilSettled is how long after T0 things begin to happen.
	untilSettled = 3 * time.Second
	// failover is how long it may take from a leader's end to the next commit of samples.
	failover = leaseTTL + 2*time.Second
)

// killLeader kills the leader at a random instant of the run and starts it again when another leads.
func killLeader(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	_, o := endLeader(t, c, p)
	o.unharmed(t, 2)
	o.soon(t)
	return o
}

// endLeader is killLeader without a judgement.
func endLeader(t *testing.T, c *cluster, p plan) (*trial, outcome) {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, p.length)
	leader := c.leader(t)
	tr.await(at)
	c.coordinator(leader).kill(t)
	killed, epoch := time.Now(), tr.commits.last().epoch
	tr.note = fmt.Sprintf("leader c%d killed at %.2f s", leader+1, at.Seconds())
	tr.report(t)
	tr.replaced(killed, epoch)
	c.coordinator(leader).start(t)
	until(t, "answer of the coordinator that was started again", func() bool { return c.front.serves(t.Context(), leader) })
	return tr, tr.end(t)
}

// freezeLeader stops the leader past its lease and wakes it again. A command that it got meanwhile is
// the first thing that it sees. It commits nothing from then on: the head of the run, as a client of etcd sees it, is
// written by its successor alone.
func freezeLeader(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	leader := c.leader(t)
	tr.await(at)
	c.coordinator(leader).freeze(t)
	frozen, epoch, asleep := time.Now(), tr.commits.last().epoch, tr.commits.number()
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(direct(t.Context()), comesWithin)
		defer cancel()
		_, err := pb.NewRunServiceClient(c.front.conns[leader]).PauseRun(ctx, &pb.PauseRunRequest{RequestId: uuid.NewString(), RunId: tr.id})
		answer <- err
	}()
	until(t, "commit by another leader", func() bool { return tr.replaced(frozen, epoch) })
	time.Sleep(time.Until(frozen.Add(failover)))
	if n, _ := tr.commits.since(asleep, epoch); n > 1 { // one may have been under way
		t.Errorf("%d writes by the leader that was frozen", n)
	}
	awake := tr.commits.number()
	c.coordinator(leader).thaw(t)
	if err := <-answer; err == nil {
		t.Error("a leader that was replaced while it was frozen has paused the run")
	}
	tr.note = fmt.Sprintf("leader c%d frozen at %.2f s for %.1f s", leader+1, at.Seconds(), time.Since(frozen).Seconds())
	o := tr.end(t)
	o.unharmed(t, 2)
	o.soon(t)
	if zombie, successor := tr.commits.since(awake, epoch); zombie > 0 || successor == 0 {
		t.Errorf("after it was woken the leader that was frozen wrote the head %d times, its successor %d times; want none, and some", zombie, successor)
	}
	until(t, "follower where the leader was", func() bool {
		err := c.front.one(t.Context(), leader, func(ctx context.Context, conn grpc.ClientConnInterface) error {
			_, err := pb.NewRunServiceClient(conn).GetRun(direct(ctx), &pb.GetRunRequest{RunId: tr.id})
			return err
		})
		return refusedByFollower(err)
	})
	return o
}

// killAtStart kills the leader at some instant between the run's creation and its first arrivals. Workers
// that it had not told the start before it died begin when the next leader tells them, and make up for
// what was due.
func killAtStart(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	const startsWithin = 600 * time.Millisecond
	leader, at := c.leader(t), between(p.draws(), 0, startsWithin)
	killed := make(chan struct{})
	timer := time.AfterFunc(at, func() {
		c.coordinator(leader).kill(t)
		close(killed)
	})
	defer timer.Stop()
	tr := begin(t, c, p)
	<-killed
	tr.note = fmt.Sprintf("leader c%d killed %v after the run was asked for", leader+1, at.Round(time.Millisecond))
	tr.report(t)
	c.coordinator(leader).start(t)
	o := tr.end(t)
	o.whole(t, 1)
	return o
}
