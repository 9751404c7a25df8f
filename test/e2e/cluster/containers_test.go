package cluster

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var images = flag.String("images", "", "tag of the images with which TestContainers brings up docker-compose.yml; empty: it is skipped")

// contained is a cluster in containers.
type contained struct {
	*cluster
	*compose
}

// startContained brings docker-compose.yml up.
func startContained(t *testing.T) contained {
	t.Helper()
	if *images == "" {
		t.Skip("no images given; `make cluster-test` builds them and runs this test")
	}
	if _, err := output(exec.Command("docker", "version", "--format", "{{.Server.Version}}")); err != nil {
		t.Skipf("no container engine answers: %v", err)
	}
	if composeCommand() == nil {
		t.Skip("neither `docker compose` nor `docker-compose` is there")
	}
	d := newCompose(t)
	c := contained{&cluster{target: d.witness}, d}
	c.machine = func(name string) machine { return container{d, name} }
	c.outbox = d.outboxOf
	if _, err := d.call("up", "--detach"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.logs(t)
		}
	})
	c.heads = newHeads(t, []string{d.address("E1_PORT"), d.address("E2_PORT"), d.address("E3_PORT")})
	c.front = newFront(t, []string{d.address("C1_PORT"), d.address("C2_PORT"), d.address("C3_PORT")})
	c.awaitFree(t)
	return c
}

// TestContainers shows with docker-compose.yml what TestIncidents shows with processes, and what needs
// networks, containers and a store that are none of this process's.
func TestContainers(t *testing.T) {
	c := startContained(t)
	for _, one := range []struct {
		name string
		do   func(*testing.T, contained, plan)
	}{
		{"leader killed", containerKilled},
		{"leader killed at the start", contain(usual, killAtStart)},
		{"leader cut off from etcd", networksCut{[]string{"etcd"}}.do},
		{"leader cut off from workers", networksCut{[]string{"workers"}}.do},
		{"leader cut off from workers and coordinators", networksCut{[]string{"workers", "api"}}.do},
		{"leader cut off from etcd and workers", networksCut{[]string{"etcd", "workers"}}.do},
		{"leader frozen", contain(usual, freezeLeader)},
		{"coordinators restarted in turn", contain(long, restartInTurn)},
		{"coordinators killed", contain(long, killAll)},
		{"etcd member stopped", memberStopped},
		{"etcd majority frozen", contain(long, freezeMajority)},
		{"gateway of the store paused", gatewayPaused},
		{"worker killed in its container", workerKilledInside},
		{"worker restarted", contain(brief, restartWorker)},
		{"host of a worker gone", hostGone},
		{"worker on another machine", workerElsewhere},
		{"worker frozen past its lease", silence{what: "frozen", begin: frozen, past: true}.contained},
		{"worker frozen within its lease", silence{what: "frozen", begin: frozen}.contained},
		{"worker cut off past its lease", silence{what: "cut off", fires: true, past: true}.contained},
		{"worker cut off within its lease", silence{what: "cut off", fires: true}.contained},
		{"pause around a leader kill", contain(usual, pauseOrder.do)},
		{"scale around a leader kill", contain(scalable, scaleOrder.do)},
		{"stop around a leader kill", contain(scalable, stopOrder.do)},
		{"three runs and a leader kill", contain(usual, threeRuns)},
		{"stop of a follower without etcd", func(t *testing.T, c contained, p plan) { stopWithoutEtcd(t, c.cluster, endless(p.seed), following) }},
		{"stop of a follower of the dead without etcd", func(t *testing.T, c contained, p plan) { stopWithoutEtcd(t, c.cluster, endless(p.seed), orphaned) }},
		{"halt of a follower without etcd", func(t *testing.T, c contained, p plan) { haltWithoutEtcd(t, c.cluster, endless(p.seed), following) }},
		{"leader killed, a criterion fails", contain(failing, killFailing)},
		{"metrics", metricsShown},
	} {
		t.Run(one.name, func(t *testing.T) {
			for seed := *from; seed <= *to; seed++ {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					c.awaitFree(t)
					one.do(t, c, long(seed))
				})
			}
		})
	}
}

// metricsShown asks each coordinator and each worker for what a collector would ask, on the ports that are published.
func metricsShown(t *testing.T, c contained, _ plan) {
	t.Helper()
	for _, one := range []struct{ port, metric string }{
		{"C1_HTTP_PORT", "proofload_coordinator_leader"},
		{"C2_HTTP_PORT", "proofload_coordinator_leader"},
		{"C3_HTTP_PORT", "proofload_coordinator_leader"},
		{"W1_HTTP_PORT", "proofload_worker_outbox_batches"},
		{"W2_HTTP_PORT", "proofload_worker_outbox_batches"},
		{"W3_HTTP_PORT", "proofload_worker_outbox_batches"},
		{"W4_HTTP_PORT", "proofload_worker_outbox_batches"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.address(one.port)+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", one.port, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "\n"+one.metric) {
			t.Errorf("%s: status %d, %d bytes without %s, %v", one.port, resp.StatusCode, len(body), one.metric, err)
		}
	}
}

func coordinatorService(i int) string { return fmt.Sprintf("c%d", i+1) }

// containerKilled kills the leader's container at a random instant.
func containerKilled(t *testing.T, c contained, p plan) {
	t.Helper()
	tr := begin(t, c.cluster, p)
	at := between(tr.draws, untilSettled, p.length)
	leader := coordinatorService(c.leader(t))
	tr.await(at)
	c.do(t, "kill", leader)
	killed, epoch := time.Now(), tr.commits.last().epoch
	tr.note = fmt.Sprintf("container of the leader %s killed at %.2f s", leader, at.Seconds())
	tr.report(t)
	tr.replaced(killed, epoch)
	c.do(t, "start", leader)
	o := tr.end(t)
	o.unharmed(t, 2)
	o.soon(t)
}

// networksCut takes the leader's container out of networks for a while, so that another one leads.
type networksCut struct {
	networks []string
}

func (n networksCut) do(t *testing.T, c contained, p plan) {
	t.Helper()
	tr := begin(t, c.cluster, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	number := c.leader(t)
	leader := coordinatorService(number)
	tr.await(at)
	began, epoch := time.Now(), tr.commits.last().epoch
	c.cut(t, leader, n.networks...)
	said := c.tells(t, tr.t0.Add(at+*outage), n.words(number)...)
	tr.await(at + *outage)
	c.mend(t, leader)
	tr.note = fmt.Sprintf("leader %s cut off from %s at %.2f s for %.1f s, status %q", leader, strings.Join(n.networks, " and "), at.Seconds(), time.Since(began).Seconds(), said)
	tr.report(t)
	tr.replaced(began, epoch)
	o := tr.end(t)
	o.unharmed(t, 2)
	o.soon(t)
}

// words returns what has to be said meanwhile.
func (n networksCut) words(leader int) []string {
	return cutOff{etcd: slices.Contains(n.networks, "etcd")}.words(leader)
}

// memberStopped stops one member of etcd, which the other two do without.
func memberStopped(t *testing.T, c contained, p plan) {
	t.Helper()
	tr := begin(t, c.cluster, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	number := tr.draws.IntN(members)
	member := fmt.Sprintf("e%d", number+1)
	tr.await(at)
	c.do(t, "stop", member)
	said := c.tells(t, tr.t0.Add(at+*outage), memberSilent(number))
	tr.note = fmt.Sprintf("etcd %s stopped at %.2f s, status %q", member, at.Seconds(), said)
	tr.await(at + *outage)
	c.do(t, "start", member)
	tr.end(t).unharmed(t, 1)
}

// gatewayPaused pauses the S3 server: nobody refuses anything, nobody answers.
func gatewayPaused(t *testing.T, c contained, p plan) {
	t.Helper()
	const away = 30 * time.Second
	p.length = max(p.length, away+12*time.Second)
	tr := begin(t, c.cluster, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	tr.await(at)
	c.do(t, "pause", "s3")
	began, before := time.Now(), tr.commits.last()
	until(t, "word in the status that nothing is committed", func() bool {
		_, s := c.front.status(t.Context())
		return told(s, tr.id)
	})
	noticed := time.Since(began)
	c.tells(t, tr.t0.Add(at+away), provisional(tr.id))
	tr.await(at + away)
	if after := tr.commits.last(); after.next > before.next+1 { // one may have been under way
		t.Errorf("samples were committed without a store: %+v, then %+v", before, after)
	}
	c.do(t, "unpause", "s3")
	tr.note = fmt.Sprintf("S3 gateway paused at %.2f s for %.1f s, status told it after %.1f s", at.Seconds(), time.Since(began).Seconds(), noticed.Seconds())
	tr.end(t).unharmed(t, 1)
}

// workerKilledInside kills the worker's process, as a kernel that is out of memory does. Process 1 of the container
// lives on until the guard has told of the death, and so the part of the worker moves at once.
func workerKilledInside(t *testing.T, c contained, p plan) {
	t.Helper()
	p.lossy = true
	tr := begin(t, c.cluster, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	worker := fmt.Sprintf("w%d", 1+tr.draws.IntN(workers))
	pid := c.process(t, worker)
	tr.await(at)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Skipf("the process of a container cannot be killed from here: %v", err)
	}
	dead := time.Since(tr.t0)
	tr.note = fmt.Sprintf("worker %s killed in its container at %.2f s", worker, at.Seconds())
	o := tr.end(t)
	o.hurt(t, worker, at, dead)
	o.movedAtOnce(t) // the lease is a minute: without an obituary, and without the restart of the container, it would be lost
}

// process returns the number of a worker's process on this machine. Process 1 of the container has the same
// arguments, and the lower number.
func (c contained) process(t *testing.T, service string) int {
	t.Helper()
	rows := strings.Split(c.engine(t, "top", c.container(t, service), "-eo", "pid,args"), "\n")
	found := 0
	for _, row := range rows {
		var pid int
		if _, err := fmt.Sscan(row, &pid); err == nil && strings.Contains(row, "--join=") {
			found = max(found, pid)
		}
	}
	if found == 0 {
		t.Fatalf("no process of %s among %q", service, rows)
	}
	return found
}

// hostGone cuts a worker off from everything and kills its container with its guard: nobody can tell of it,
// and its part is not given to others before its lease cannot be alive.
func hostGone(t *testing.T, c contained, p plan) {
	t.Helper()
	p.lossy, p.length = true, p.grace+30*time.Second
	tr := begin(t, c.cluster, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	worker := fmt.Sprintf("w%d", 1+tr.draws.IntN(workers))
	tr.await(at)
	c.cut(t, worker, slices.DeleteFunc(c.networks(t, worker), func(n string) bool { return n == "load" })...)
	c.do(t, "kill", worker)
	dead := time.Since(tr.t0)
	c.cut(t, worker, "load")
	tr.note = fmt.Sprintf("host of worker %s gone at %.2f s", worker, at.Seconds())
	o := tr.end(t)
	c.mend(t, worker)
	c.do(t, "start", worker)
	o.hurt(t, worker, at, dead)
	if least := int((p.grace - 2*time.Second).Seconds()) * p.rate / workers; len(o.count.missing) < least {
		t.Errorf("%d arrivals never came, want %d at least: others had its part before its lease was over", len(o.count.missing), least)
	}
}

// container is what a program runs on.
type container struct {
	on   *compose
	name string
}

func (c container) start(t *testing.T)     { t.Helper(); c.on.do(t, "start", c.name) }
func (c container) kill(t *testing.T)      { t.Helper(); c.on.do(t, "kill", c.name) }
func (c container) interrupt(t *testing.T) { t.Helper(); c.on.do(t, "stop", c.name) }
func (c container) freeze(t *testing.T)    { t.Helper(); c.on.do(t, "pause", c.name) }
func (c container) thaw(t *testing.T)      { t.Helper(); c.on.do(t, "unpause", c.name) }

// contain makes a case of an incident that knows nothing of containers.
func contain(of func(uint64) plan, do func(*testing.T, *cluster, plan) outcome) func(*testing.T, contained, plan) {
	return func(t *testing.T, c contained, p plan) {
		t.Helper()
		do(t, c.cluster, of(p.seed))
	}
}

// contained does the same with a container, which is cut off by taking it out of the network that leads to the
// coordinators.
func (s silence) contained(t *testing.T, c contained, p plan) {
	t.Helper()
	if s.begin == nil {
		s.begin = func(t *testing.T, _ *cluster, worker int) func() {
			t.Helper()
			name := fmt.Sprintf("w%d", worker+1)
			c.cut(t, name, "workers")
			return func() { c.mend(t, name) }
		}
	}
	s.do(t, c.cluster, s.plan(p.seed))
}

// workerElsewhere takes a worker's host and its disk away, and starts a worker of the same name with nothing of
// it. The engine starts it again for as long as it is refused.
func workerElsewhere(t *testing.T, c contained, p plan) {
	t.Helper()
	p = brief(p.seed)
	p.length = 50 * time.Second
	tr := begin(t, c.cluster, p)
	at := between(tr.draws, untilSettled, 6*time.Second)
	worker := fmt.Sprintf("w%d", 1+tr.draws.IntN(workers))
	tr.await(at)
	c.engine(t, "rm", "--force", c.container(t, worker))
	dead := time.Since(tr.t0)
	c.engine(t, "volume", "rm", c.project+"_"+worker)
	if _, err := c.call("up", "--detach", "--no-deps", worker); err != nil {
		t.Fatal(err)
	}
	tr.note = fmt.Sprintf("host of worker %s gone at %.2f s, and the same name on another from %.2f s on", worker, at.Seconds(), time.Since(tr.t0).Seconds())
	o := tr.end(t)
	o.hurt(t, worker, at, dead)
	o.lostAround(t, worker, false)
	o.lives(t, worker, 2)
}
