package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "proofload/proto/proofload/v1"
)

// step is something that is done at an instant of a run.
type step struct {
	at time.Duration
	do func()
}

// inTurn does the steps, each at its instant.
func (tr *trial) inTurn(steps []step) {
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	for _, one := range steps {
		tr.await(one.at)
		one.do()
	}
}

// moveAround kills the leader, and within a second before or after that one worker is told to end by a signal,
// another one by a command, and a third one comes. Nothing of that costs an arrival.
func moveAround(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	p.length = 25 * time.Second
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled+time.Second, 8*time.Second)
	around := func() time.Duration { return at + between(tr.draws, -time.Second, time.Second) }
	order := tr.draws.Perm(workers)
	signalled, drained := c.workers[order[0]], c.workers[order[1]]
	newcomer := c.newcomer(t)
	leader := c.leader(t)
	var killed time.Time
	var epoch int64
	steps := []step{
		{at, func() { killed, epoch = time.Now(), tr.commits.last().epoch; c.coordinators[leader].kill(t) }},
		{around(), func() { signalled.signal(t, syscall.SIGTERM) }},
		{around(), func() { newcomer.start(t) }},
	}
	drain := around()
	tr.note = fmt.Sprintf("leader c%d killed at %.2f s, %s told to end at %.2f s, %s drained at %.2f s, %s started at %.2f s", leader+1, at.Seconds(),
		signalled.name, steps[1].at.Seconds(), drained.name, drain.Seconds(), newcomer.name, steps[2].at.Seconds())
	// The command waits for a leader, so that it is given beside the other steps.
	given := make(chan error, 1)
	timer := time.AfterFunc(time.Until(tr.t0.Add(drain)), func() { given <- c.front.drain(t.Context(), drained.name) })
	defer timer.Stop()
	tr.inTurn(steps)
	if err := <-given; err != nil {
		t.Errorf("drain of %s: %v", drained.name, err)
	}
	for _, gone := range []*process{signalled, drained} {
		gone.ends(t)
	}
	tr.report(t)
	tr.replaced(killed, epoch)
	c.coordinators[leader].start(t)
	until(t, "answer of the coordinator that was started again", func() bool { return c.front.serves(t.Context(), leader) })
	newcomer.interrupt(t)
	signalled.start(t)
	drained.start(t)
	o := tr.end(t)
	o.unharmed(t, 2)
	o.soon(t)
	o.lives(t, newcomer.name, 1)
	return o
}

// newcomer describes one more worker than there are.
func (c *cluster) newcomer(t *testing.T) *process {
	t.Helper()
	name, like := fmt.Sprintf("w%d", workers+1), c.workers[0]
	args := slices.Clone(like.args)
	args[argument(t, args, "--name")] = name
	args[argument(t, args, "--data-dir")] = filepath.Join(c.dir, name)
	return newProcess(t, c.dir, name, append([]string{like.program}, args...))
}

// drain asks for a worker to be drained until a coordinator has done it.
func (f *front) drain(ctx context.Context, name string) error {
	return f.insist(ctx, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, err := pb.NewFleetServiceClient(conn).DrainWorker(ctx, &pb.DrainWorkerRequest{Name: name, Reason: "drained by the test"})
		return err
	})
}
