package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "proofload/proto/proofload/v1"
	"proofload/test/e2e/cluster/counter"
)

const (
	// stopWithin bounds the answer to a stop: a leader has 3 s to record it, a follower waits 10 s for a leader that
	// does not answer, and the others are given 6 s to pass it on.
	stopWithin = 25 * time.Second
	// quietWithin is how long the load may go on after that answer, quietFor how long nothing may come until the load
	// counts as ended. Workers that no stream reaches ask every half a second who leads, and hear of the stop then.
	quietWithin = 15 * time.Second
	quietFor    = 2 * time.Second
	// longGrace is of leases that do not end before the run would: only the stop can end the load.
	longGrace = 5 * time.Minute
)

// asked says which coordinator is asked to stop the run while etcd is away, and what it is by then.
type asked string

const (
	leading    asked = "the leader"             // its lease is not over yet
	caretaking asked = "who led"                // it leads no more, and knows nobody who does
	following  asked = "a follower"             // whoever led is there, and leads no more
	orphaned   asked = "a follower of the dead" // whoever led was killed: no stream reaches any worker
	beside     asked = "a follower beside"      // whoever led has been frozen: it takes calls and says nothing
)

// stopWithoutEtcd stops a run while no majority of etcd is there: the load ends, the answer says that nothing is
// recorded yet, and once etcd is back the run ends as stopped, by whom and why it was, with every sample.
func stopWithoutEtcd(t *testing.T, c *cluster, p plan, of asked) {
	t.Helper()
	tr := begin(t, c, p)
	tr.await(between(tr.draws, untilSettled, 4*time.Second))
	leader := c.leader(t)
	spared := tr.draws.IntN(members)
	for i := range members {
		if i != spared {
			c.member(i).freeze(t)
		}
	}
	who := leader
	if of != leading && of != caretaking {
		who = (leader + 1 + tr.draws.IntN(coordinators-1)) % coordinators
	}
	switch of {
	case leading:
	case orphaned:
		c.coordinator(leader).kill(t)
		time.Sleep(leaseTTL)
	case beside:
		c.coordinator(leader).freeze(t)
	default:
		until(t, "end of the term", func() bool {
			s, err := c.front.ask(t.Context(), leader)
			return err == nil && s.GetCaretakerSince() != nil
		})
	}
	answer := stopAt(t, c, who, tr.id)
	on := answer.GetPassedOn()
	if on == nil || on.GetReason() == "" || !slices.Contains(on.GetCoordinators(), fmt.Sprintf("c%d", who+1)) {
		t.Errorf("%s answers %v, want that it has passed the stop on", of, answer)
	}
	if of != orphaned && of != beside && (len(on.GetToldWorkers()) != workers || len(on.GetStoppedWorkers()) != workers) {
		t.Errorf("%s has told %v, and %v have stopped; want all %d", of, on.GetToldWorkers(), on.GetStoppedWorkers(), workers)
	}
	tr.target.quiet(t)
	s, err := statusAt(t, c, who)
	if text := strings.Join(s.GetProblems(), "\n"); err != nil || !strings.Contains(text, "the stop that coordinator") || !strings.Contains(text, "etcd member e") {
		t.Errorf("status of c%d says %q, %v", who+1, text, err)
	}
	for i := range members {
		if i != spared {
			c.member(i).thaw(t)
		}
	}
	switch of {
	case orphaned:
		c.coordinator(leader).start(t)
	case beside:
		c.coordinator(leader).thaw(t)
	}
	r := tr.report(t)
	tr.stopped(t, r)
	// A leader that was still in office, or only frozen, may have recorded it by itself when etcd came back.
	if of != leading && of != beside && !r.noted("wrong build") {
		t.Errorf("no note says who was asked for the stop: %+v", r.Events)
	}
	t.Logf("%s asked: told %v, stopped %v, %s; run %s, %s: %+v; %d of %d arrivals sent",
		of, on.GetToldWorkers(), on.GetStoppedWorkers(), on.GetReason(), r.Run.State, r.Verdict.Result, r.Verdict.Reasons, r.Requests.Sent, p.planned())
	until(t, "end of the word that a stop is not recorded", func() bool {
		s, err := c.front.ask(t.Context(), who)
		return err == nil && !strings.Contains(strings.Join(s.GetProblems(), "\n"), "the stop that coordinator")
	})
}

// stopAt asks one coordinator to stop a run.
func stopAt(t *testing.T, c *cluster, who int, id string) *pb.StopRunResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopWithin)
	defer cancel()
	answer, err := pb.NewRunServiceClient(c.front.conns[who]).StopRun(ctx, &pb.StopRunRequest{RequestId: uuid.NewString(), RunId: id, Reason: "wrong build"})
	if err != nil {
		t.Fatalf("stop asked of c%d: %v", who+1, err)
	}
	return answer
}

// statusAt asks one coordinator for the status, and waits for as long as it may take.
func statusAt(t *testing.T, c *cluster, who int) (*pb.GetStatusResponse, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopWithin)
	defer cancel()
	return pb.NewFleetServiceClient(c.front.conns[who]).GetStatus(ctx, &pb.GetStatusRequest{})
}

// stopped fails the test unless the run ended as stopped by whoever asked, with every sample of its load.
func (tr *trial) stopped(t *testing.T, r report) {
	t.Helper()
	if r.Run.State != "COMPLETED" || r.Verdict.Result != "ABORTED" || r.Run.Reason == nil || !strings.Contains(*r.Run.Reason, "wrong build") {
		t.Errorf("run %s, verdict %+v; want COMPLETED, ABORTED for the reason given", r.Run.State, r.Verdict)
	}
	received := tr.target.count(tr.plan.planned(), tr.plan.rate).received
	// What was not sent for another reason would show that it was the end of a lease that ended the load.
	if stopped := r.Load.NotSent["stopped"]; r.notSent() != stopped || r.Load.Planned != received+stopped {
		t.Errorf("arrivals %+v, want all sent that were due before the stop; the target received %d", r.Load, received)
	}
	if r.Requests.Sent != received || r.Load.Unknown != 0 || len(r.Integrity.Gaps) > 0 || r.Integrity.Completeness != 1 {
		t.Errorf("report says %d sent, %+v, %+v; the target received %d", r.Requests.Sent, r.Load, r.Integrity, received)
	}
}

// noted tells whether the events say who was asked for a stop that could not be recorded, and for which reason.
func (r report) noted(reason string) bool {
	for _, e := range r.Events {
		if e.Kind == "stop" && strings.Contains(e.Detail, "asked of coordinator c") && strings.Contains(e.Detail, reason) {
			return true
		}
	}
	return false
}

// received returns how many requests have come.
func (g *target) received() (n int64) {
	g.look(func(seen counter.Seen) {
		for _, times := range seen.Came {
			n += int64(len(times))
		}
	})
	return n
}

// quiet waits until the target receives nothing any more, and fails the test unless that is soon.
func (g *target) quiet(t *testing.T) {
	t.Helper()
	asked, last := time.Now(), int64(-1)
	for ended := asked; time.Since(ended) < quietFor; time.Sleep(50 * time.Millisecond) {
		if now := g.received(); now != last {
			last, ended = now, time.Now()
		}
		if over := quietWithin + g.clock.stalled(asked, time.Now()); ended.Sub(asked) > over {
			t.Fatalf("the load goes on %v after the stop was answered", over)
		}
	}
}

// TestStopWithoutEtcd shows with two of the cases what TestStopAskedOfAnybody shows of all: a stop ends the load
// although nobody can record it, and is recorded when somebody can.
func TestStopWithoutEtcd(t *testing.T) {
	stopSeries(t, following, orphaned)
}

// endless is a run that only a stop ends while a test looks at it.
func endless(seed uint64) plan {
	return plan{seed: seed, rate: 100, length: 2 * time.Minute, grace: longGrace}
}

// stopSeries stops one run after the other, on one cluster.
func stopSeries(t *testing.T, cases ...asked) {
	t.Helper()
	c := startCluster(t)
	for i, of := range cases {
		t.Run(string(of), func(t *testing.T) {
			c.awaitFree(t)
			p := endless(*from + uint64(i))
			stopWithoutEtcd(t, c, p, of)
		})
	}
}
