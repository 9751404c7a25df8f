package cluster

import (
	"cmp"
	"fmt"
	"testing"
	"time"
)

// leastSent is the share of the arrivals planned in a second of run time that must be sent.
const leastSent = 0.99

// outcome is how a trial ended: what the target counted beside what the report says.
type outcome struct {
	plan   plan
	count  count
	report report
	note   string
	gap    takeOver
}

// takeOver is how samples waited for another leader.
type takeOver struct {
	// next is the time from the leader's end to the next commit of samples; 0: there was none. It is negative where an
	// engine takes so long to start all coordinators again that the first ones have committed by then.
	next  time.Duration
	stall time.Duration // for how long of that the machine kept this process from running
	over  bool          // the leader that ended had closed the run: nothing was left for another one
}

// replaced notes how long samples waited since the leader of an epoch ended, and tells whether a later one has
// committed any.
func (tr *trial) replaced(ended time.Time, epoch int64) bool {
	next, ok := tr.commits.samplesAfter(ended, epoch)
	tr.gap = takeOver{over: tr.commits.closedBy(epoch)}
	if ok {
		tr.gap.next, tr.gap.stall = next, tr.target.clock.stalled(ended, ended.Add(next))
	}
	return ok
}

// end waits for the end of the run and compares.
func (tr *trial) end(t *testing.T) outcome {
	t.Helper()
	o := outcome{plan: tr.plan, report: tr.report(t), note: tr.note, gap: tr.gap}
	o.count = tr.target.count(tr.plan.rows(), tr.plan.rate)
	if n := tr.commits.backwards(); n > 0 {
		t.Errorf("%d writes by a leader that another had replaced", n)
	}
	t.Log(o)
	return o
}

// lost and doubled are samples: requests that the target received and that are not in the result, and
// the other way round.
func (o outcome) lost() int64    { return max(0, o.count.received-o.report.Requests.Sent) }
func (o outcome) doubled() int64 { return max(0, o.report.Requests.Sent-o.count.received) }

// String is one line of figures.
func (o outcome) String() string {
	commit := ""
	if o.gap.next > 0 {
		commit = fmt.Sprintf(", next commit after %.2f s (%.2f s of them stalled)", o.gap.next.Seconds(), o.gap.stall.Seconds())
	}
	return fmt.Sprintf("seed %d: %s%s; planned %d, received %d, samples lost %d, doubled %d, arrivals missing %d, doubled %d; worst second %.1f %% (%d), latest %v, %d beyond %v, machine stalled up to %v; completeness %v, %d leaders, %s",
		o.plan.seed, o.note, commit, o.plan.planned(), o.count.received, o.lost(), o.doubled(), len(o.count.missing), len(o.count.doubled),
		100*o.count.worst, o.count.worstAt, o.count.latest.Round(time.Millisecond), o.count.late, noticeable, o.count.stall.Round(time.Millisecond),
		o.report.Integrity.Completeness, len(o.report.Integrity.Changes), o.report.Verdict.Result)
}

// unharmed fails the test unless the run is as if nothing had happened. leaders is how many must have
// led it.
func (o outcome) unharmed(t *testing.T, leaders int) {
	t.Helper()
	o.whole(t, leaders)
	if o.count.worst < leastSent {
		t.Errorf("only %.1f %% of the arrivals planned in second %d were sent within %v of their instant, what the machine stalled apart", 100*o.count.worst, o.count.worstAt, inTime)
	}
}

// whole fails the test unless every arrival was sent once, be it late, and counted once.
func (o outcome) whole(t *testing.T, leaders int) {
	t.Helper()
	r, planned := o.report, int64(o.plan.planned())
	if want := cmp.Or(o.plan.verdict, "PASS"); r.Run.State != "COMPLETED" || r.Verdict.Result != want {
		t.Errorf("run %s, verdict %s: %+v; want COMPLETED and %s", r.Run.State, r.Verdict.Result, r.Verdict.Reasons, want)
	}
	if o.count.received != planned || len(o.count.missing) > 0 || len(o.count.doubled) > 0 || o.count.strange > 0 {
		t.Errorf("the target received %d of %d arrivals, missing %v, doubled %v, %d strange", o.count.received, planned, o.count.missing, o.count.doubled, o.count.strange)
	}
	if r.Requests.Sent != planned || r.Requests.Succeeded != planned || r.samples() != planned {
		t.Errorf("report says %+v and %d samples of workers, the target counted %d", r.Requests, r.samples(), o.count.received)
	}
	if r.Load.Planned != planned || r.Load.Sent != planned || r.Load.Unknown != 0 || r.notSent() != 0 {
		t.Errorf("arrivals %+v, want all %d sent", r.Load, planned)
	}
	if r.Integrity.Completeness != 1 || len(r.Integrity.Gaps) > 0 {
		t.Errorf("completeness %v, gaps %+v", r.Integrity.Completeness, r.Integrity.Gaps)
	}
	if want := o.plan.length.Seconds(); r.Run.Elapsed != want || r.Run.Paused != 0 {
		t.Errorf("elapsed %v s, paused %v s; want %v and 0", r.Run.Elapsed, r.Run.Paused, want)
	}
	o.led(t, leaders)
}

// soon fails the test unless the next leader committed samples, and let them wait no longer than it may.
func (o outcome) soon(t *testing.T) {
	t.Helper()
	switch {
	case o.gap.over:
	case o.gap.next == 0:
		t.Error("no later leader has committed samples")
	case o.gap.next > failover+o.gap.stall:
		t.Errorf("the next commit of samples came %v after the end of the leader, want %v at most, and %v for which the machine stalled", o.gap.next, failover, o.gap.stall)
	}
}

// led fails the test unless the report lists at least so many leaders, in the order of their epochs.
func (o outcome) led(t *testing.T, leaders int) {
	t.Helper()
	changes := o.report.Integrity.Changes
	ordered := len(changes) >= leaders
	for i := 1; i < len(changes); i++ {
		ordered = ordered && changes[i].Epoch > changes[i-1].Epoch
	}
	if !ordered {
		t.Errorf("leaders %+v, want %d or more in the order of their epochs", changes, leaders)
	}
}
