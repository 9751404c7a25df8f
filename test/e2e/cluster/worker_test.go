package cluster

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"proofload/internal/agent"
	"proofload/internal/wire"
)

// unsealed is how much of a worker's load may be missing when it is killed: the second that it had not sealed, and
// as much more as a worker may be behind with sealing it.
const unsealed = 1200 * time.Millisecond

// killWorker kills a worker for good. Its guard tells of it, so that its part of the load goes to others at once.
func killWorker(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	worker := tr.draws.IntN(workers)
	tr.await(at)
	c.workers[worker].kill(t)
	dead := time.Since(tr.t0)
	tr.note = fmt.Sprintf("worker w%d killed at %.2f s", worker+1, at.Seconds())
	o := tr.end(t)
	c.workers[worker].start(t)
	o.hurt(t, c.workers[worker].name, at, dead)
	o.movedAtOnce(t)
	return o
}

// movedAtOnce fails the test unless a dead worker's part went to others before its lease was over.
func (o outcome) movedAtOnce(t *testing.T) {
	t.Helper()
	if most, lost := 3*o.plan.rate/workers, len(o.count.missing); lost > most {
		t.Errorf("%d arrivals never came, want %d at most: nobody told of the death", lost, most)
	}
}

// restartWorker kills a worker while nothing can be committed, so that it holds sealed seconds, and
// starts it again with its data directory: all of them arrive.
func restartWorker(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	worker := tr.draws.IntN(workers)
	tr.await(at)
	for i := 1; i < members; i++ {
		c.member(i).freeze(t)
	}
	held := 3 * time.Second // shorter than the lease of the leader
	tr.await(at + held)
	name := fmt.Sprintf("w%d", worker+1)
	c.worker(worker).kill(t)
	dead := time.Since(tr.t0)
	kept := keptBy(t, c.outbox(t, name), tr.id)
	c.worker(worker).start(t)
	for i := 1; i < members; i++ {
		c.member(i).thaw(t)
	}
	sealed := kept.NextSeq - kept.OldestUnacked
	tr.note = fmt.Sprintf("worker w%d restarted at %.2f s with %d sealed batches", worker+1, (at + held).Seconds(), sealed)
	if least := uint64(held/time.Second) - 1; sealed < least { // one may have been acknowledged at first
		t.Errorf("the worker held %d sealed batches, want %d at least", sealed, least)
	}
	o := tr.end(t)
	for _, g := range o.report.Integrity.Gaps {
		if g.Incarnation != kept.Incarnation || g.FromSeq == nil || *g.FromSeq < kept.NextSeq {
			t.Errorf("gap %+v, although all up to batch %d was sealed, and on the disk", g, kept.NextSeq-1)
		}
	}
	o.hurt(t, name, at+held, dead)
	return o
}

// keptBy returns what a worker that does not run holds of a run. It reads a copy of the outbox.
func keptBy(t *testing.T, outbox, run string) wire.OutboxState {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(outbox)); err != nil {
		t.Fatal(err)
	}
	o, err := agent.OpenOutbox(agent.OutboxOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }() // a copy
	for _, s := range o.State() {
		if s.Run == run {
			return s
		}
	}
	t.Fatalf("nothing of run %s in %s", run, outbox)
	return wire.OutboxState{}
}

// hurt fails the test unless only what one worker had not sealed when it was killed is missing, and is
// named; arrivals that nobody sent are counted, and none was sent twice. The kill was asked for at at, and done by dead.
func (o outcome) hurt(t *testing.T, worker string, at, dead time.Duration) {
	t.Helper()
	r := o.report
	if r.Run.State != "COMPLETED" || r.Verdict.Result != "PASS" {
		t.Errorf("run %s, verdict %s: %+v; want COMPLETED and PASS", r.Run.State, r.Verdict.Result, r.Verdict.Reasons)
	}
	if len(o.count.doubled) > 0 || o.count.strange > 0 || o.doubled() > 0 {
		t.Errorf("arrivals sent twice: %v; %d strange; %d samples too many", o.count.doubled, o.count.strange, o.doubled())
	}
	if most := int64(unsealed.Seconds()*float64(o.plan.rate)) / workers; o.lost() > most || o.lost() > r.Load.Unknown {
		t.Errorf("%d samples missing, want %d at most, which are among the %d unknown", o.lost(), most, r.Load.Unknown)
	}
	if planned := int64(o.plan.planned()); r.Load.Planned != planned || r.Load.Planned != r.Load.Sent+r.notSent()+r.Load.Unknown || r.notSent() != r.Load.NotSent["worker_lost"] {
		t.Errorf("arrivals %+v do not add up to %d", r.Load, planned)
	}
	if never := int64(len(o.count.missing)); never < r.Load.NotSent["worker_lost"] || never > r.Load.NotSent["worker_lost"]+r.Load.Unknown {
		t.Errorf("%d arrivals never came, but the report says %+v", never, r.Load)
	}
	if n := o.strangers(at); n > 0 {
		t.Errorf("%d arrivals that were due when the worker lived, or after its part had been moved, never came", n)
	}
	const slack = unsealed - time.Second
	for _, g := range r.Integrity.Gaps {
		if g.Worker != worker {
			t.Errorf("a gap of another worker: %+v", g)
		}
		if g.FromSeq == nil || g.From == nil || g.To == nil {
			t.Errorf("a gap that does not say what is missing: %+v", g)
		} else if *g.From > (dead+slack).Seconds() || *g.To < (at-slack).Seconds() {
			t.Errorf("gap from %.2f s to %.2f s, and the worker was killed between %.2f s and %.2f s", *g.From, *g.To, at.Seconds(), dead.Seconds())
		}
	}
	if whole := r.Integrity.Completeness == 1; whole == (len(r.Integrity.Gaps) > 0) || r.Integrity.Completeness > 1 {
		t.Errorf("completeness %v, gaps %+v", r.Integrity.Completeness, r.Integrity.Gaps)
	}
	if !slices.ContainsFunc(r.Integrity.Gaps, func(g gap) bool { return g.Worker == worker }) && o.lost() > 0 {
		t.Errorf("%d samples of %s are missing, and no gap says so", o.lost(), worker)
	}
	for second, share := range o.shares() {
		// The others go on: no second may fall below their part.
		if least := leastSent * (workers - 1) / workers; share < least {
			t.Errorf("only %.1f %% of the arrivals of second %d were sent, others than %s had to send %.1f %%", 100*share, second, worker, 100*least)
		}
	}
}

// strangers counts the arrivals that never came although they were due before the kill or well after
// the lease of the killed worker.
func (o outcome) strangers(at time.Duration) (n int) {
	const slack = time.Second // between T0 and the first arrival's being seen
	from, to := at-slack, at+o.plan.grace+time.Second+failover+slack
	for _, id := range o.count.missing {
		if at := due(id, o.plan.rate); at < from || at > to {
			n++
		}
	}
	return n
}

// shares returns, by second, the share of the planned arrivals that came at all.
func (o outcome) shares() []float64 {
	out := make([]float64, int(o.plan.length/time.Second))
	for i := range out {
		out[i] = 1
	}
	for _, id := range o.count.missing {
		out[id/o.plan.rate] -= 1 / float64(o.plan.rate)
	}
	return out
}
