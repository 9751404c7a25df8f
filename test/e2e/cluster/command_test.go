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

// order is a command that is given within a second of the end of a leader.
type order struct {
	what string
	// give commands something of a run, under an identity.
	give func(ctx context.Context, runs pb.RunServiceClient, run, request string) error
	// then goes on once the command has been taken.
	then func(*testing.T, *trial)
	// judge says whether it acted once.
	judge func(*testing.T, outcome)
}

var (
	pauseOrder = order{"pause", func(ctx context.Context, runs pb.RunServiceClient, run, request string) error {
		_, err := runs.PauseRun(ctx, &pb.PauseRunRequest{RequestId: request, RunId: run})
		return err
	}, resume, judgePause}
	scaleOrder = order{"scale to 150 %", func(ctx context.Context, runs pb.RunServiceClient, run, request string) error {
		_, err := runs.ScaleRun(ctx, &pb.ScaleRunRequest{RequestId: request, RunId: run, Factor: scaledTo})
		return err
	}, nil, judgeScale}
	stopOrder = order{"stop", func(ctx context.Context, runs pb.RunServiceClient, run, request string) error {
		_, err := runs.StopRun(ctx, &pb.StopRunRequest{RequestId: request, RunId: run, Reason: "enough"})
		return err
	}, nil, judgeStop}
)

const (
	scaledTo = 1.5
	// pausedFor is how long a run stays paused.
	pausedFor = 3 * time.Second
)

// scalable is a run with rows for arrivals beyond its plan, and no criterion on their number.
func scalable(seed uint64) plan {
	p := usual(seed)
	p.open = true
	return p
}

// do kills the leader, and gives the command up to half a second before or after that, first to a coordinator
// that the seed draws. It is repeated under its identity until a coordinator has taken it, and once more then.
func (o order) do(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 7*time.Second)
	given := at + between(tr.draws, -500*time.Millisecond, 500*time.Millisecond)
	leader := c.leader(t)
	killed := make(chan time.Time, 1)
	epoch := tr.commits.last().epoch
	timer := time.AfterFunc(time.Until(tr.t0.Add(at)), func() {
		c.coordinator(leader).kill(t)
		killed <- time.Now()
	})
	defer timer.Stop()
	tr.await(given)
	request, attempts := uuid.NewString(), 0
	command := func(ctx context.Context, conn grpc.ClientConnInterface) error {
		attempts++
		return o.give(ctx, pb.NewRunServiceClient(conn), tr.id, request)
	}
	c.front.call(t, o.what, command)
	taken, tries := time.Since(tr.t0), attempts
	c.front.call(t, o.what+" once more", command)
	when := <-killed
	tr.note = fmt.Sprintf("leader c%d killed at %.2f s, %s given at %.2f s and taken at %.2f s after %d attempts", leader+1, at.Seconds(), o.what, given.Seconds(), taken.Seconds(), tries)
	if o.then != nil {
		o.then(t, tr)
	}
	tr.report(t)
	tr.replaced(when, epoch)
	c.coordinator(leader).start(t)
	until(t, "answer of the coordinator that was started again", func() bool { return c.front.serves(t.Context(), leader) })
	out := tr.end(t)
	out.obeyed(t)
	o.judge(t, out)
	return out
}

// obeyed fails the test unless all that was planned was sent once, and counted once, however much that is.
func (o outcome) obeyed(t *testing.T) {
	t.Helper()
	r := o.report
	if r.Run.State != "COMPLETED" {
		t.Errorf("run %s: %+v", r.Run.State, r.Verdict)
	}
	if len(o.count.doubled) > 0 || o.count.strange > 0 {
		t.Errorf("arrivals sent twice: %v, %d strange", o.count.doubled, o.count.strange)
	}
	if r.Requests.Sent != o.count.received || r.Requests.Succeeded != o.count.received || r.samples() != o.count.received {
		t.Errorf("report says %+v and %d samples of workers, the target counted %d", r.Requests, r.samples(), o.count.received)
	}
	// What is due in the very moment in which a worker hears of a stop may be left out, and is counted.
	var left int64
	if r.Verdict.StoppedBy == "operator" {
		left = min(r.Load.NotSent["stopped"], workers)
	}
	if r.Load.Planned != o.count.received+left || r.Load.Sent != o.count.received || r.Load.Unknown != 0 || r.notSent() != left {
		t.Errorf("arrivals %+v, want all sent, which are %d, but for one of each worker at a stop", r.Load, o.count.received)
	}
	if r.Integrity.Completeness != 1 || len(r.Integrity.Gaps) > 0 {
		t.Errorf("completeness %v, gaps %+v", r.Integrity.Completeness, r.Integrity.Gaps)
	}
	o.soon(t)
}

// resume ends a pause after a while.
func resume(t *testing.T, tr *trial) {
	t.Helper()
	time.Sleep(pausedFor)
	request := uuid.NewString()
	tr.front.call(t, "resume", func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, err := pb.NewRunServiceClient(conn).ResumeRun(ctx, &pb.ResumeRunRequest{RequestId: request, RunId: tr.id})
		return err
	})
}

// judgePause: the whole plan was executed around one pause, for which the arrivals after it came later.
func judgePause(t *testing.T, o outcome) {
	t.Helper()
	r := o.report
	if r.Verdict.Result != "PASS" || len(o.count.missing) > 0 || o.count.received != int64(o.plan.planned()) {
		t.Errorf("verdict %+v, %d of %d arrivals received", r.Verdict, o.count.received, o.plan.planned())
	}
	if o.events("pause") != 1 || o.events("resume") != 1 {
		t.Errorf("events %+v, want one pause and one resume", r.Events)
	}
	if r.Run.Elapsed != o.plan.length.Seconds() || r.Run.Paused < (pausedFor-time.Second).Seconds() {
		t.Errorf("elapsed %v s, paused %v s", r.Run.Elapsed, r.Run.Paused)
	}
	// The most punctual arrival of the last second says how long the load stood.
	if behind := o.count.lastSecond.Seconds(); behind < r.Run.Paused-noticeable.Seconds() || behind > r.Run.Paused+inTime.Seconds() {
		t.Errorf("the last arrivals came %.2f s behind the plan, although the run was paused for %.2f s", behind, r.Run.Paused)
	}
}

// judgeScale: from one instant on there was half as much again.
func judgeScale(t *testing.T, o outcome) {
	t.Helper()
	r := o.report
	if r.Verdict.Result != "PASS" || o.events("scale") != 1 {
		t.Errorf("verdict %+v, events %+v; want PASS and one scale", r.Verdict, r.Events)
	}
	for _, e := range r.Events {
		if e.Kind == "scale" {
			rest := o.plan.length.Seconds() - e.At
			want := int64(float64(o.plan.rate) * (e.At + scaledTo*rest))
			if off := r.Load.Planned - want; off < -1 || off > 1 {
				t.Errorf("%d arrivals planned, want %d with a factor of %v from %v s on", r.Load.Planned, want, scaledTo, e.At)
			}
		}
	}
	o.unbroken(t)
}

// judgeStop: the load ended at one instant, before its end.
func judgeStop(t *testing.T, o outcome) {
	t.Helper()
	r := o.report
	stops := o.events("stop")
	if r.noted("enough") {
		stops-- // the note that it could not be recorded when it was asked for is no second stop
	}
	if r.Verdict.Result != "ABORTED" || stops != 1 {
		t.Errorf("verdict %+v, events %+v; want ABORTED and one stop", r.Verdict, r.Events)
	}
	if r.Run.Elapsed >= o.plan.length.Seconds() {
		t.Errorf("elapsed %v s", r.Run.Elapsed)
	}
}

// unbroken fails the test unless the arrivals that came are the first ones.
func (o outcome) unbroken(t *testing.T) {
	t.Helper()
	for i, n := range o.count.missing {
		if int64(n) < o.count.received {
			t.Errorf("arrival %d, and perhaps others, never came, although later ones did; %d in all", n, len(o.count.missing)-i)
			return
		}
	}
}

// events counts the events of a kind in the report.
func (o outcome) events(kind string) (n int) {
	for _, e := range o.report.Events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}
