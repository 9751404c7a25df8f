package cluster

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
)

// prompt is a run whose arrivals may be no later than scenarios allow by default.
func prompt(seed uint64) plan {
	p := usual(seed)
	p.prompt = true
	return p
}

// defaultLate is how late an arrival may be that is still sent, unless a phase says otherwise.
const defaultLate = 50 * time.Millisecond

// killPromptly kills the leader of a run that makes up for nothing: what is not sent in time is not sent, and only
// where the machine stalled may there be any of that.
func killPromptly(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr, o := endLeader(t, c, p)
	o.soon(t)
	if len(o.count.missing) == 0 {
		o.unharmed(t, 2)
		return o
	}
	start := tr.target.start(p)
	for _, n := range o.count.missing {
		at := start.Add(due(n, p.rate))
		if tr.target.clock.stalled(at.Add(-defaultLate), at.Add(2*defaultLate)) == 0 {
			t.Errorf("arrival %d, due at %v, was not sent, and the machine did not stall", n, due(n, p.rate))
		}
	}
	if r, never := o.report, int64(len(o.count.missing)); r.Load.NotSent["late"] != never || r.notSent() != never || o.lost() != 0 || o.doubled() != 0 || len(o.count.doubled) > 0 {
		t.Errorf("%d arrivals never came, %v more than once, %d samples lost, %d doubled; report: %+v", never, o.count.doubled, o.lost(), o.doubled(), r.Load)
	}
	return o
}

// failing is a run that criteria fail.
func failing(seed uint64) plan {
	p := usual(seed)
	p.verdict = "FAIL"
	p.criteria = fmt.Sprintf(`
  - name: too many
    check: count(requests) < %d
  - name: no errors in a second
    check: error_ratio(requests) > 1%%
    window: 1s
    on_breach: alert`, p.planned())
	return p
}

// killFailing has the same run with and without the death of its leader: it fails for the same reasons.
func killFailing(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	left := begin(t, c, p)
	left.note = "leader left alone"
	spared := left.end(t)
	spared.unharmed(t, 1)
	c.awaitFree(t)
	o := killLeader(t, c, p)
	if want, got := spared.report.Verdict, o.report.Verdict; !reflect.DeepEqual(got, want) {
		t.Errorf("verdict %+v with the leader killed, %+v without", got, want)
	}
	if n := spared.events("breach"); n == 0 || o.events("breach") != n {
		t.Errorf("%d breaches with the leader killed, %d without", o.events("breach"), n)
	}
	return o
}

// aborting is a run that a criterion aborts when the target breaks.
func aborting(seed uint64) plan {
	p := usual(seed)
	p.open, p.length = true, 30*time.Second
	p.criteria = `
  - name: stop if broken
    check: error_ratio(requests) < 20%
    window: 1s
    on_breach: abort`
	return p
}

// abortAround breaks the target from two seconds before the leader is killed to half a second after that, so that
// the leader, the next one or both see that a criterion aborts the run. It ends once, and what is told of that has
// one identity.
func abortAround(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled+2*time.Second, 8*time.Second)
	broken := at + between(tr.draws, -2*time.Second, 500*time.Millisecond)
	leader := c.leader(t)
	var killed time.Time
	var before commit
	tr.inTurn([]step{
		{broken, func() { tr.target.broken.Store(true) }},
		{at, func() {
			c.coordinators[leader].kill(t)
			killed, before = time.Now(), tr.commits.last()
		}},
	})
	tr.note = fmt.Sprintf("leader c%d killed at %.2f s, target broken at %.2f s, %d breaches acted on by then", leader+1, at.Seconds(), broken.Seconds(), len(before.breaches))
	tr.report(t)
	tr.replaced(killed, before.epoch)
	c.coordinators[leader].start(t)
	until(t, "answer of the coordinator that was started again", func() bool { return c.front.serves(t.Context(), leader) })
	o := tr.end(t)
	o.aborted(t)
	o.soon(t)
	told := tr.commits.noticed()
	if len(told[run.OnStop]) != 1 || len(told[run.OnComplete]) != 1 {
		t.Errorf("callbacks %v; want one identity for the stop, and one for the end", told)
	}
	until(t, "end of what is owed about the run, which its callbacks are", func() bool { return !tr.owed(t) })
	return o
}

// owed tells whether something is left to do about the run for a leader.
func (tr *trial) owed(t *testing.T) bool {
	t.Helper()
	resp, err := tr.heads.Get(t.Context(), "/proofload/v1/open/"+tr.id)
	return err != nil || resp.Count > 0
}

// aborted fails the test unless the run was aborted once, before its end, and each arrival until then is counted once.
func (o outcome) aborted(t *testing.T) {
	t.Helper()
	r := o.report
	if r.Run.State != "COMPLETED" || r.Verdict.Result != "ABORTED" || len(r.Verdict.Reasons) == 0 || r.Verdict.Reasons[0].Code != "aborted" {
		t.Errorf("run %s, verdict %+v; want COMPLETED, and ABORTED by the criterion", r.Run.State, r.Verdict)
	}
	breaches := 0 // the other criterion is judged at the end
	for _, e := range r.Events {
		if e.Kind == "breach" && strings.HasPrefix(e.Detail, "stop if broken") {
			breaches++
		}
	}
	if breaches != 1 || o.events("stop") != 1 || r.Run.Elapsed >= o.plan.length.Seconds() {
		t.Errorf("elapsed %v s, events %+v; want one breach, one stop, and an end before the plan's", r.Run.Elapsed, r.Events)
	}
	if len(o.count.doubled) > 0 || o.count.strange > 0 || r.Requests.Sent != o.count.received || r.samples() != o.count.received || r.Requests.Failed == 0 ||
		r.Requests.Succeeded+r.Requests.Failed != o.count.received || r.notSent() != r.Load.NotSent["stopped"] || r.Load.Unknown != 0 || len(r.Integrity.Gaps) > 0 {
		t.Errorf("the target received %d, %v twice; report: %+v, %+v, gaps %+v", o.count.received, o.count.doubled, r.Requests, r.Load, r.Integrity.Gaps)
	}
}
