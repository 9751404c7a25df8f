//go:build soak && linux

package cluster

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"proofload/test/e2e/cluster/counter"
)

var length = flag.Duration("length", 0, "length of the run of TestSoakHour; 0: it is skipped")

const (
	// Each arrival passes one of many flows, all steps of it: two series for each step of each flow, of
	// response and of service time.
	hourFlows, hourSteps = 50, 10
	// hourRate is in arrivals per second: little for the machine, enough for about half of the series to have
	// samples in any second.
	hourRate = 40
	// hourKills leaders are killed within the last minutes of the run, hourEnd of them.
	hourKills, hourEnd = 3, 5 * time.Minute
)

// TestSoakHour kills leaders at the end of a run that is long and has 1,000 series: what the next one has to
// know does not grow with either. `make soak-hour` runs it.
func TestSoakHour(t *testing.T) {
	if *length == 0 {
		t.Skip("no length given; `make soak-hour` gives it")
	}
	c := startCluster(t)
	p := plan{seed: *from, rate: hourRate, length: length.Truncate(time.Second), grace: 20 * time.Second}
	tr := beginOf(t, c, p, p.manySeries)
	t.Logf("run %s of %v, %d series of steps", tr.id, p.length, 2*hourFlows*hourSteps)
	tr.await(30 * time.Second)
	used, since := c.used(t), time.Now()
	t.Logf("after %v: %s", time.Since(tr.t0).Round(time.Second), c.sizes(t))
	end := min(hourEnd, p.length-40*time.Second)
	tr.await(p.length - end)
	t.Logf("after %v: %s; all together took %.2f cores, the target in this process not counted", time.Since(tr.t0).Round(time.Second), c.sizes(t),
		(c.used(t)-used).Seconds()/time.Since(since).Seconds())
	var nexts []time.Duration
	for i := range hourKills {
		part := (end - 20*time.Second) / hourKills
		at := p.length - end + time.Duration(i)*part + between(tr.draws, 0, part/2)
		nexts = append(nexts, tr.replaceLeader(t, at).Round(10*time.Millisecond))
	}
	tr.judgeHour(t, nexts)
}

// replaceLeader kills the leader, starts it again when another leads, and returns how long samples were not
// committed.
func (tr *trial) replaceLeader(t *testing.T, at time.Duration) (next time.Duration) {
	t.Helper()
	tr.await(at)
	leader := tr.leader(t)
	before := tr.commits.last()
	tr.coordinators[leader].kill(t)
	killed := time.Now()
	until(t, "commit by the next leader", func() bool {
		var ok bool
		next, ok = tr.commits.samplesAfter(killed, before.epoch)
		return ok
	})
	t.Logf("leader c%d killed after %v, %v after its last commit: the next commit of samples came %.2f s after the kill; machine stalled up to %v so far",
		leader+1, killed.Sub(tr.t0).Round(10*time.Millisecond), killed.Sub(before.at).Round(10*time.Millisecond), next.Seconds(), tr.target.clock.worst().Round(time.Millisecond))
	tr.coordinators[leader].start(t)
	until(t, "answer of the coordinator that was started again", func() bool { return tr.front.serves(t.Context(), leader) })
	return next
}

// judgeHour compares the report with what the target counted.
func (tr *trial) judgeHour(t *testing.T, nexts []time.Duration) {
	t.Helper()
	r := tr.report(t)
	arrivals := int64(tr.plan.planned())
	requests := arrivals * hourSteps
	o := outcome{plan: tr.plan, report: r, count: tr.target.count(int(requests), tr.plan.rate*hourSteps)}
	load := tr.firstSteps()
	over := 0
	for _, next := range nexts {
		if next == 0 || next > failover {
			over++
			t.Errorf("the next commit of samples came %v after the end of the leader, want %v at most", next, failover)
		}
	}
	t.Logf("seed %d: %d arrivals planned, %d sent; %d requests received, samples lost %d, doubled %d, requests missing %d, doubled %d; worst second %.1f %% (%d), latest %v; next commits after %v, %d of them over %v; completeness %v, %d leaders, %s",
		tr.plan.seed, r.Load.Planned, r.Load.Sent, o.count.received, o.lost(), o.doubled(), len(o.count.missing), len(o.count.doubled), 100*load.worst, load.worstAt,
		load.latest.Round(time.Millisecond), nexts, over, failover, r.Integrity.Completeness, len(r.Integrity.Changes), r.Verdict.Result)
	if r.Run.State != "COMPLETED" || r.Verdict.Result != "PASS" {
		t.Errorf("run %s, verdict %s: %+v; want COMPLETED and PASS", r.Run.State, r.Verdict.Result, r.Verdict.Reasons)
	}
	if o.count.received != requests || len(o.count.missing) > 0 || len(o.count.doubled) > 0 || o.count.strange > 0 {
		t.Errorf("the target received %d of %d requests, %d missing, %d doubled, %d strange", o.count.received, requests, len(o.count.missing), len(o.count.doubled), o.count.strange)
	}
	if r.Requests.Sent != requests || r.Requests.Succeeded != requests || r.samples() != requests {
		t.Errorf("report says %+v and %d samples of workers, the target counted %d", r.Requests, r.samples(), o.count.received)
	}
	if r.Load.Planned != arrivals || r.Load.Sent != arrivals || r.Load.Unknown != 0 || r.notSent() != 0 {
		t.Errorf("arrivals %+v, want all %d sent", r.Load, arrivals)
	}
	if r.Integrity.Completeness != 1 || len(r.Integrity.Gaps) > 0 {
		t.Errorf("completeness %v, gaps %+v", r.Integrity.Completeness, r.Integrity.Gaps)
	}
	if load.worst < leastSent {
		t.Errorf("only %.1f %% of the arrivals planned in second %d were sent within %v of their instant", 100*load.worst, load.worstAt, inTime)
	}
	o.led(t, 1+hourKills)
}

// firstSteps counts the first step of each arrival alone. The others wait for the answers to those before, so that
// it is not the load's fault when they come late.
func (tr *trial) firstSteps() (c count) {
	tr.target.look(func(seen counter.Seen) {
		first := counter.Seen{Came: map[int][]time.Time{}}
		for n, times := range seen.Came {
			if n%hourSteps == 0 {
				first.Came[n/hourSteps] = times
			}
		}
		c = compare(first, tr.plan.planned(), tr.plan.rate, tr.target.clock)
	})
	return c
}

// manySeries writes down a run of the plan's arrivals with many flows of many steps. Step d of arrival n asks
// for the path 10 n + d, so that the target sees each.
func (p plan) manySeries(g *target) string {
	var flows, mix strings.Builder
	for f := range hourFlows {
		fmt.Fprintf(&flows, "  f%d:\n", f)
		fmt.Fprintf(&mix, "f%d: 1, ", f)
		for s := range hourSteps {
			fmt.Fprintf(&flows, "    - step: s%d\n      http: {method: GET, path: '%s/${data.arrival.id}%d'}\n", s, g.under, s)
		}
	}
	return fmt.Sprintf(`version: 1
name: hour
seed: %d
target: %s
allow_targets: [%s]
workers: {min: %d}
coordinator_loss: {grace: %s}
validity: {schedule_lag_p99: 60s, worker_cpu: 100%%, sent: 1%%, completeness: 100%%}
data:
  arrival: {csv: arrivals.csv, order: sequential, on_end: stop}
flows:
%sphases:
  - name: steady
    mix: {%s}
    late: 10s
    rate:
      - hold: {at: %d/s, for: %s}
criteria:
  - name: none fails
    check: error_ratio(requests) == 0%%
  - name: every request
    check: count(requests) == %d
  - name: watched all the time
    check: p99(response_time) < 60s
    window: 10s
`, p.seed, g.URL, g.host(), workers, p.grace, flows.String(), strings.TrimSuffix(mix.String(), ", "), p.rate, p.length, hourSteps*p.planned())
}
