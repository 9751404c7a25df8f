package cluster

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	outage = flag.Duration("outage", 8*time.Second, "how long etcd's majority, the store, or what the leader is cut off from, is away")
	from   = flag.Uint64("from", 1, "first seed of a series")
	to     = flag.Uint64("to", 2, "last seed of a series")
)

// incident is something that happens to a cluster while a run goes on.
type incident struct {
	name  string
	start func(*testing.T) *cluster
	plan  func(seed uint64) plan
	do    func(*testing.T, *cluster, plan) outcome
}

// incidents are all that is tried. Every change is tested with some of them; see TestFailover.
var incidents = []incident{
	{"leader killed", startCluster, usual, killLeader},
	{"leader killed at the start", startCluster, usual, killAtStart},
	{"leader frozen", startCluster, usual, freezeLeader},
	{"leader cut off from etcd", startCabled, long, cutOff{etcd: true}.do},
	{"leader cut off from workers", startCabled, long, cutOff{workers: true}.do},
	{"leader cut off from both", startCabled, long, cutOff{etcd: true, workers: true}.do},
	{"coordinators restarted in turn", startCluster, usual, restartInTurn},
	{"coordinators killed", startCluster, usual, killAll},
	{"etcd member killed", startCluster, usual, killMember},
	{"etcd majority frozen", startCluster, long, freezeMajority},
	{"store lost", startCluster, long, loseStore},
	{"worker killed", startCluster, brief, killWorker},
	{"worker restarted", startCluster, brief, restartWorker},
	{"worker on another machine", startCluster, brief, moveWorker},
	silent("worker frozen past its lease", startCluster, silence{what: "frozen", begin: frozen, past: true}),
	silent("worker frozen within its lease", startCluster, silence{what: "frozen", begin: frozen}),
	silent("worker cut off past its lease", startCabled, silence{what: "cut off", begin: partitioned, fires: true, past: true}),
	silent("worker cut off within its lease", startCabled, silence{what: "cut off", begin: partitioned, fires: true}),
	{"slow link", startCabled, usual, slowLink},
	{"slow link of one worker", startCabled, usual, slowWorker},
	{"workers come and go around a leader kill", startCluster, usual, moveAround},
	{"pause around a leader kill", startCluster, usual, pauseOrder.do},
	{"scale around a leader kill", startCluster, scalable, scaleOrder.do},
	{"stop around a leader kill", startCluster, scalable, stopOrder.do},
	{"three runs and a leader kill", startCluster, usual, threeRuns},
	{"leader killed, no arrival late", startCluster, prompt, killPromptly},
	{"leader killed, a criterion fails", startCluster, failing, killFailing},
	{"abort around a leader kill", startCluster, aborting, abortAround},
}

// silent is the incident of a silence.
func silent(name string, start func(*testing.T) *cluster, s silence) incident {
	return incident{name, start, s.plan, s.do}
}

// called returns an incident by its name.
func called(t *testing.T, name string) incident {
	t.Helper()
	for _, one := range incidents {
		if one.name == name {
			return one
		}
	}
	t.Fatalf("no incident %q", name)
	return incident{}
}

// usual is a run in which a failover has its place.
func usual(seed uint64) plan {
	return plan{seed: seed, rate: 200, length: 15 * time.Second, grace: 20 * time.Second}
}

// long is a run that is long enough for an outage, and whose grace is longer.
func long(seed uint64) plan {
	p := usual(seed)
	p.length, p.grace = max(p.length, (*outage+12*time.Second).Truncate(time.Second)), time.Minute
	return p
}

// brief is a run with leases so short that one ends within it.
func brief(seed uint64) plan {
	p := usual(seed)
	p.length, p.grace, p.lossy = 20*time.Second, 5*time.Second, true
	return p
}

// TestFailover shows with the seeds of every change that a run is what it would have been although its
// leader was killed, or all coordinators were restarted, in turn or at once.
func TestFailover(t *testing.T) {
	began := time.Now()
	c := startCluster(t)
	for _, one := range []struct {
		seed uint64
		what incident
	}{
		{1, called(t, "leader killed")},
		{1, called(t, "coordinators restarted in turn")},
		{2, called(t, "leader killed")},
		{2, called(t, "coordinators killed")},
	} {
		t.Run(fmt.Sprintf("%s/%d", one.what.name, one.seed), func(t *testing.T) {
			c.awaitFree(t)
			one.what.do(t, c, one.what.plan(one.seed))
		})
	}
	t.Logf("took %v", time.Since(began).Round(time.Second))
}
