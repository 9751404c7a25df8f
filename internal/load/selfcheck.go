package load

import (
	"math"
	"runtime/metrics"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/scenario"
)

// Causes that a second is not valid. They are public: they stand in results.
const (
	CauseScheduleLag = "schedule_lag" // arrivals were started late
	CauseNotSent     = metric.UnhealthyNotSent
	CauseNoLease     = string(metric.CauseNoLease)
	CauseScheduler   = "scheduler"       // goroutines waited for a processor
	CauseCPU         = "cpu"             // a core had no time left
	CauseThrottled   = "throttled"       // a quota kept the process from running
	CauseResources   = "local_resources" // descriptors, ports or socket memory ran out
	CauseResolver    = "resolver"        // this machine's resolver failed
)

// Lines that are not in the plan.
const (
	grave         = 10   // times a latency bound: the second is invalid
	maxThrottled  = 0.01 // share of the time
	busySeconds   = 5    // in a row, before a busy core counts for more than a warning
	latencyMetric = "/sched/latencies:seconds"
)

// generatorErrors are those of the error kinds of metric.OriginGenerator with which this machine says that
// it failed, and what that is called.
var generatorErrors = map[string]string{
	"too_many_files": CauseResources, "no_ports": CauseResources, "no_buffers": CauseResources,
	"resolver": CauseResolver,
}

// selfCheck judges whether the numbers of a second can be charged to the target. It looks at the
// generator only: that the target is slow, or that its in-flight cap holds arrivals back, leaves a
// second valid. It is not safe for concurrent use.
type selfCheck struct {
	bounds  scenario.Validity
	host    Host
	sample  []metrics.Sample
	before  []uint64 // the counts of the scheduler's histogram at the last call
	closed  []string // phases with users
	busy    int      // seconds in a row with a busy core
	spent   int      // seconds in a row in which users took all that this process may use
	verdict verdict
}

// verdict collects the causes of one second.
type verdict struct {
	health metric.Health
	causes []string
}

func (v *verdict) add(h metric.Health, cause string) {
	v.health = max(v.health, h)
	if !slices.Contains(v.causes, cause) {
		v.causes = append(v.causes, cause)
	}
}

func newSelfCheck(plan *scenario.Plan, host Host) *selfCheck {
	c := &selfCheck{bounds: plan.Validity, host: host, sample: []metrics.Sample{{Name: latencyMetric}}}
	for i := range plan.Phases {
		if p := &plan.Phases[i]; len(p.Users) > 0 {
			c.closed = append(c.closed, p.Name)
		}
	}
	if c.bounds.ScheduleLagP99 == 0 {
		c.bounds.ScheduleLagP99 = 5 * time.Millisecond
	}
	if c.bounds.WorkerCPU == 0 {
		c.bounds.WorkerCPU = 0.9
	}
	if c.bounds.Sent == 0 {
		c.bounds.Sent = 0.995
	}
	c.schedulerLatency() // what was before does not count
	return c
}

// judge returns the health of a second and why it is not valid. lapsed says that for a part of it nothing
// could be started, for want of a lease.
func (c *selfCheck) judge(s metric.Second, lapsed bool) (metric.Health, []string) {
	c.verdict = verdict{health: metric.HealthValid}
	c.bound(CauseScheduleLag, worstLag(s))
	c.bound(CauseScheduler, c.schedulerLatency())
	strained := c.verdict.health > metric.HealthValid
	if h := s.SentHealth(c.bounds.Sent); h > metric.HealthValid {
		c.verdict.add(h, CauseNotSent)
	}
	if lapsed {
		c.verdict.add(metric.HealthInvalid, CauseNoLease)
	}
	c.judgeHost(strained, c.hasUsers(s))
	for kind, cause := range generatorErrors {
		ofKind := func(l metric.Labels) bool { return l.Get("error") == kind }
		if !s.Select(metric.Unsent, ofKind).Empty() || !s.Select(metric.ResponseTime, ofKind).Empty() {
			c.verdict.add(metric.HealthInvalid, cause)
		}
	}
	slices.Sort(c.verdict.causes)
	return c.verdict.health, c.verdict.causes
}

// bound judges a latency of the generator by the bound on the schedule lag.
func (c *selfCheck) bound(cause string, d time.Duration) {
	switch {
	case d > grave*c.bounds.ScheduleLagP99:
		c.verdict.add(metric.HealthInvalid, cause)
	case d > c.bounds.ScheduleLagP99:
		c.verdict.add(metric.HealthDegraded, cause)
	}
}

// worstLag returns the 99th percentile of the schedule lag of the phase in which it is largest.
func worstLag(s metric.Second) time.Duration {
	var worst time.Duration
	for key, v := range s.Series {
		if key.Metric == metric.ScheduleLag && v.Hist != nil && !v.Hist.Empty() {
			worst = max(worst, v.Hist.Quantile(0.99))
		}
	}
	return worst
}

// judgeHost looks at the machine. A core without time left is the reason for bad numbers only if
// they show it, or else every run that shares a small machine with its target would be invalid: it
// makes a second invalid when it has lasted and arrivals or goroutines had to wait as well.
//
// Users are another matter: they start when answers let them, and so nothing of theirs is ever late. When they take all
// that this process may use, it is the process that says how fast they are and not the target, whoever else is on the machine.
func (c *selfCheck) judgeHost(strained, users bool) {
	if c.host == nil {
		return
	}
	load := c.host.Load()
	if load.BusiestCore > c.bounds.WorkerCPU {
		c.busy++
		if c.busy >= busySeconds && strained {
			c.verdict.add(metric.HealthInvalid, CauseCPU)
		} else {
			c.verdict.add(metric.HealthDegraded, CauseCPU)
		}
	} else {
		c.busy = 0
	}
	if c.spent++; !users || load.Own <= c.bounds.WorkerCPU {
		c.spent = 0
	}
	if c.spent > 0 {
		c.verdict.add(metric.HealthDegraded, CauseCPU)
	}
	if c.spent >= busySeconds {
		c.verdict.add(metric.HealthInvalid, CauseCPU)
	}
	if load.Throttled > maxThrottled {
		c.verdict.add(metric.HealthDegraded, CauseThrottled)
	}
}

// hasUsers reports whether users have started something in the second.
func (c *selfCheck) hasUsers(s metric.Second) bool {
	for key, a := range s.Arrivals {
		if a.Sent > 0 && slices.Contains(c.closed, key.Phase) {
			return true
		}
	}
	return false
}

// schedulerLatency returns the 99th percentile of how long goroutines waited for a processor since
// the last call.
func (c *selfCheck) schedulerLatency() time.Duration {
	metrics.Read(c.sample)
	if c.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0 // a runtime without this metric says nothing
	}
	h := c.sample[0].Value.Float64Histogram()
	if len(c.before) != len(h.Counts) {
		c.before = make([]uint64, len(h.Counts))
	}
	var total uint64
	delta := make([]uint64, len(h.Counts))
	for i, n := range h.Counts {
		delta[i] = n - c.before[i]
		total += delta[i]
	}
	copy(c.before, h.Counts)
	return quantile(delta, h.Buckets, hist.Rank(0.99, total))
}

// quantile returns the lower bound of the bucket that holds the sample of the given rank: what the
// machine has certainly done, and not what it may have done.
func quantile(counts []uint64, bounds []float64, rank uint64) time.Duration {
	var seen uint64
	for i, n := range counts {
		seen += n
		if n > 0 && seen >= rank && !math.IsInf(bounds[i], 0) {
			return time.Duration(bounds[i] * 1e9)
		}
	}
	return 0
}
