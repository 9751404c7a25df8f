package load

import (
	"slices"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
)

type fakeHost struct{ LoadFn func() HostLoad }

func (h fakeHost) Load() HostLoad { return h.LoadFn() }

// secondOf builds a second with one schedule lag for all arrivals and one row of arrivals.
func secondOf(lag time.Duration, a metric.Arrivals) metric.Second {
	s := metric.NewSecond(0)
	h := hist.New()
	h.RecordN(lag, uint64(max(1, a.Sent)))
	s.Add(metric.Key{Metric: metric.ScheduleLag, Labels: metric.NewLabels("phase", "p")}, metric.Value{Hist: h})
	s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}] = &a
	return s
}

func TestSelfCheck(t *testing.T) {
	busy, full := HostLoad{BusiestCore: 0.97}, HostLoad{BusiestCore: 0.97, Own: 0.95}
	users := func() metric.Second {
		s := metric.NewSecond(0)
		s.Arrivals[metric.ArrivalKey{Phase: "users", Flow: "f"}] = &metric.Arrivals{Planned: 1000, Sent: 1000}
		return s
	}
	notSent := func(c metric.Cause, n int64) metric.Arrivals {
		return metric.Arrivals{Planned: 1000, Sent: 1000 - n, NotSent: map[metric.Cause]int64{c: n}}
	}
	withError := func(name, kind string) metric.Second {
		s := secondOf(0, metric.Arrivals{Planned: 1, Sent: 1})
		h := hist.New()
		h.Record(time.Millisecond)
		s.Add(metric.Key{Metric: name, Labels: metric.NewLabels("error", kind, "outcome", "failed")}, metric.Value{Hist: h})
		return s
	}

	tests := []struct {
		name    string
		second  metric.Second
		host    HostLoad
		seconds int // in a row; 0: 1
		lapsed  bool
		health  metric.Health
		causes  []string
	}{
		{name: "clean", second: secondOf(time.Millisecond, metric.Arrivals{Planned: 1000, Sent: 1000}), health: metric.HealthValid},
		{name: "empty", second: metric.NewSecond(0), health: metric.HealthValid},
		{name: "lag", second: secondOf(8*time.Millisecond, metric.Arrivals{Planned: 10, Sent: 10}), health: metric.HealthDegraded, causes: []string{CauseScheduleLag}},
		{name: "ten times the lag", second: secondOf(51*time.Millisecond, metric.Arrivals{Planned: 10, Sent: 10}), health: metric.HealthInvalid, causes: []string{CauseScheduleLag}},
		{name: "few late", second: secondOf(0, notSent(metric.CauseLate, 4)), health: metric.HealthDegraded, causes: []string{CauseNotSent}},
		{name: "many late", second: secondOf(0, notSent(metric.CauseLate, 6)), health: metric.HealthInvalid, causes: []string{CauseNotSent}},
		{name: "no lease", second: secondOf(0, notSent(metric.CauseNoLease, 6)), health: metric.HealthInvalid, causes: []string{CauseNotSent}},
		{name: "nothing due without a lease", second: metric.NewSecond(0), lapsed: true, health: metric.HealthInvalid, causes: []string{CauseNoLease}},
		{name: "a worker cannot tell whose the lack of permits is", second: secondOf(0, notSent(metric.CauseNoPermit, 900)), health: metric.HealthValid},
		{name: "stopped is an order", second: secondOf(0, notSent(metric.CauseStopped, 900)), health: metric.HealthValid},
		{name: "no data left", second: secondOf(0, notSent(metric.CauseData, 900)), health: metric.HealthValid},
		{name: "ports", second: withError(metric.ResponseTime, "no_ports"), health: metric.HealthInvalid, causes: []string{CauseResources}},
		{name: "descriptors", second: withError(metric.Unsent, "too_many_files"), health: metric.HealthInvalid, causes: []string{CauseResources}},
		{name: "socket memory", second: withError(metric.Unsent, "no_buffers"), health: metric.HealthInvalid, causes: []string{CauseResources}},
		{name: "local resolver", second: withError(metric.Unsent, "resolver"), health: metric.HealthInvalid, causes: []string{CauseResolver}},
		{name: "a name that does not exist is no failure of the resolver", second: withError(metric.Unsent, "dns"), health: metric.HealthValid},
		{name: "errors of the target", second: withError(metric.ResponseTime, "reset"), health: metric.HealthValid},
		{name: "busy", second: secondOf(0, metric.Arrivals{}), host: busy, seconds: 9, health: metric.HealthDegraded, causes: []string{CauseCPU}},
		{name: "busy and late, at first", second: secondOf(8*time.Millisecond, metric.Arrivals{}), host: busy, seconds: 4, health: metric.HealthDegraded, causes: []string{CauseCPU, CauseScheduleLag}},
		{name: "busy and late, and it lasts", second: secondOf(8*time.Millisecond, metric.Arrivals{}), host: busy, seconds: 5, health: metric.HealthInvalid, causes: []string{CauseCPU, CauseScheduleLag}},
		{name: "users, and others keep the machine busy", second: users(), host: busy, seconds: 9, health: metric.HealthDegraded, causes: []string{CauseCPU}},
		{name: "users take all of the process, at first", second: users(), host: full, seconds: 4, health: metric.HealthDegraded, causes: []string{CauseCPU}},
		{name: "users take all of the process, and it lasts", second: users(), host: full, seconds: 5, health: metric.HealthInvalid, causes: []string{CauseCPU}},
		{name: "arrivals take all of the process, and none is late", second: secondOf(0, metric.Arrivals{Planned: 10, Sent: 10}), host: full, seconds: 9, health: metric.HealthDegraded, causes: []string{CauseCPU}},
		{name: "throttled", second: secondOf(0, metric.Arrivals{}), host: HostLoad{Throttled: 0.2}, health: metric.HealthDegraded, causes: []string{CauseThrottled}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newSelfCheck(planOf(openPhase("p"), usersPhase("users", [3]float64{1, 1, 1})), fakeHost{func() HostLoad { return tt.host }})
			c.sample[0].Name = "/none" // what this machine is doing is not part of the table
			var health metric.Health
			var causes []string
			for range max(1, tt.seconds) {
				health, causes = c.judge(tt.second, tt.lapsed)
			}
			if health != tt.health || !slices.Equal(causes, tt.causes) {
				t.Errorf("judged %v %v, want %v %v", health, causes, tt.health, tt.causes)
			}
		})
	}
}

func TestSchedulerLatencyQuantile(t *testing.T) {
	bounds := []float64{0, 1e-3, 2e-3, 4e-3}
	for _, tt := range []struct {
		name   string
		counts []uint64
		want   time.Duration
	}{
		{"nothing", []uint64{0, 0, 0}, 0},
		{"all in one", []uint64{0, 5, 0}, time.Millisecond},
		{"one in a hundred is beyond", []uint64{0, 99, 1}, time.Millisecond},
		{"two in a hundred are", []uint64{0, 98, 2}, 2 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n uint64
			for _, c := range tt.counts {
				n += c
			}
			if got := quantile(tt.counts, bounds, hist.Rank(0.99, n)); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// What makes a second invalid for want of resources is no failure of the target's either.
func TestResourcesAreTheGenerators(t *testing.T) {
	for kind := range generatorErrors {
		if metric.OriginOf(kind) != metric.OriginGenerator {
			t.Errorf("%s is charged to the target", kind)
		}
	}
}
