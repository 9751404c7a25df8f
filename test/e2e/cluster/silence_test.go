package cluster

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// silence is a worker that nobody hears for a while, and that is heard again afterwards.
type silence struct {
	what string
	// begin silences a worker, by its number from 0, and returns what ends it.
	begin func(t *testing.T, c *cluster, worker int) (end func())
	// fires says that the worker goes on meanwhile for as long as its lease lasts.
	fires bool
	// past says that the silence outlasts the lease, so that others get the worker's part.
	past bool
}

// How long a silence is that a lease outlasts, and how much longer than the lease and its margin one is that
// outlasts it.
const (
	shortSilence = 6 * time.Second
	beyondLease  = 3 * time.Second
)

// frozen stops the worker where it stands.
func frozen(t *testing.T, c *cluster, worker int) func() {
	t.Helper()
	m := c.worker(worker)
	m.freeze(t)
	return func() { m.thaw(t) }
}

// partitioned lets nothing pass between the worker and the coordinators.
func partitioned(_ *testing.T, c *cluster, worker int) func() {
	pid := int(c.workers[worker].pid.Load())
	for _, one := range c.toCoordinators {
		one.cutOff(pid)
	}
	return func() {
		for _, one := range c.toCoordinators {
			one.rejoin(pid)
		}
	}
}

// plan is a run in which the silence has its place.
func (s silence) plan(seed uint64) plan {
	if !s.past {
		return usual(seed)
	}
	return brief(seed)
}

func (s silence) do(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	worker := tr.draws.IntN(workers)
	length := shortSilence
	if s.past {
		length = p.grace + time.Second + beyondLease
	}
	tr.await(at)
	end := s.begin(t, c, worker)
	tr.await(at + length)
	end()
	tr.note = fmt.Sprintf("worker w%d %s at %.2f s for %.1f s", worker+1, s.what, at.Seconds(), time.Since(tr.t0.Add(at)).Seconds())
	o := tr.end(t)
	switch {
	case s.past:
		o.interrupted(t, fmt.Sprintf("w%d", worker+1), at, s.fires)
	case s.fires:
		o.unharmed(t, 1)
	default: // what it had to do while it stood is done when it wakes
		o.whole(t, 1)
	}
	return o
}

// interrupted fails the test unless only what was due while nobody had the worker's part is missing, all of it
// is counted, and every sample arrived: the worker lives.
func (o outcome) interrupted(t *testing.T, worker string, at time.Duration, fires bool) {
	t.Helper()
	r, planned := o.report, int64(o.plan.planned())
	// The worker had no lease for some seconds, which is the generator's fault: too many of them are too few to
	// judge by.
	if r.Run.State != "COMPLETED" || r.Verdict.Result != "PASS" && !r.doubts("generator_limited", "criterion_invalid") {
		t.Errorf("run %s, verdict %s: %+v; want COMPLETED, and PASS or doubts about the generator", r.Run.State, r.Verdict.Result, r.Verdict.Reasons)
	}
	if len(o.count.doubled) > 0 || o.count.strange > 0 {
		t.Errorf("arrivals sent twice: %v; %d strange", o.count.doubled, o.count.strange)
	}
	if o.lost() > 0 || o.doubled() > 0 || r.Load.Sent != o.count.received || r.samples() != o.count.received {
		t.Errorf("report says %+v, %+v and %d samples of workers, the target counted %d", r.Requests, r.Load, r.samples(), o.count.received)
	}
	if r.Load.Planned != planned || r.Load.Planned != r.Load.Sent+r.notSent() || r.Load.Unknown != 0 {
		t.Errorf("arrivals %+v do not add up to %d", r.Load, planned)
	}
	for cause, n := range r.Load.NotSent {
		if n > 0 && cause != "worker_lost" && cause != "no_lease" {
			t.Errorf("%d arrivals not sent because of %s", n, cause)
		}
	}
	if len(r.Integrity.Gaps) > 0 {
		t.Errorf("gaps %+v, but %s lives and has told all", r.Integrity.Gaps, worker)
	}
	if n := o.strangers(at); n > 0 {
		t.Errorf("%d arrivals that were due before the silence, or after the worker's part had been moved, never came", n)
	}
	o.lostAround(t, worker, fires)
}

// lostAround fails the test unless about as much is missing as a worker's lease and its margin make: less, and
// others had its part too early; more, and they had it too late.
func (o outcome) lostAround(t *testing.T, worker string, fires bool) {
	t.Helper()
	part := float64(o.plan.rate) / workers
	least, most := o.plan.grace.Seconds()-2, o.plan.grace.Seconds()+1+failover.Seconds()
	if fires {
		least, most = 0.5, 1+failover.Seconds()
	}
	if lost := float64(len(o.count.missing)); lost < least*part || lost > most*part {
		t.Errorf("%.0f arrivals of %s never came, want between %.0f and %.0f; by second: %v", lost, worker, least*part, most*part, o.missingBySecond())
	}
}

// missingBySecond lists how many arrivals of each second never came.
func (o outcome) missingBySecond() (out []string) {
	by := map[int]int{}
	for _, n := range o.count.missing {
		by[n/o.plan.rate]++
	}
	for _, second := range slices.Sorted(maps.Keys(by)) {
		out = append(out, fmt.Sprintf("%d: %d", second, by[second]))
	}
	return out
}
