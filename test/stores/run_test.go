package stores

import (
	"bytes"
	"flag"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/cli"
	pb "proofload/proto/proofload/v1"
)

var outage = flag.Duration("outage", 6*time.Second, "how long the store is away in TestRunSurvivesItsStore")

// exact checks a report against the plan and against what the target counted: to the unit, with what a busy
// machine could not send in its own column.
func exact(t *testing.T, d document, planned int64, count *atomic.Int64) {
	t.Helper()
	if d.Run.State != "COMPLETED" || d.Integrity.Completeness != 1 || len(d.Integrity.Gaps) > 0 {
		t.Errorf("run %s, completeness %v, gaps %s", d.Run.State, d.Integrity.Completeness, d.Integrity.Gaps)
	}
	notSent := int64(0)
	for _, n := range d.Load.NotSent {
		notSent += n
	}
	if n := count.Load(); d.Load.Planned != planned || d.Load.Sent+notSent != planned || d.Load.Unknown != 0 || d.Requests.Sent != n || d.Load.Sent != n || n == 0 {
		t.Errorf("planned %d of %d, sent %d, not sent %v, unknown %d, requests %d; the target counted %d", d.Load.Planned, planned, d.Load.Sent, d.Load.NotSent, d.Load.Unknown, d.Requests.Sent, n)
	}
	t.Logf("%d of %d sent and counted, not sent: %v", d.Load.Sent, planned, d.Load.NotSent)
}

// TestRunOnS3: a whole run whose results are in an S3 store, and those who read the store without a
// coordinator find it there.
func TestRunOnS3(t *testing.T) {
	g := startGateway(t)
	store := g.bucket(t) + "&prefix=team"
	f := startFleet(t, store)
	url, count := target(t)
	id := f.create(url, 4*time.Second)
	exact(t, f.report(id), 4*rate, count)
	f.stop()
	for _, args := range [][]string{{"runs", "list"}, {"runs", "show", id}, {"runs", "report", id}} {
		var stdout, stderr bytes.Buffer
		if code := cli.Coordinator(append(args, "--store", store), &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), id) {
			t.Errorf("%v: exit code %d\n%s%s", args, code, &stdout, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := cli.Coordinator([]string{"runs", "delete", id, "--store", store}, &stdout, &stderr); code == 0 || !strings.Contains(stderr.String(), "ask the coordinator") {
		t.Errorf("delete without a coordinator: exit code %d\n%s", code, &stderr)
	}
}

// TestRunSurvivesItsStore: the gateway is killed under load and started again. Meanwhile nothing is
// acknowledged and the status says since when; afterwards the totals are what the target counted.
func TestRunSurvivesItsStore(t *testing.T) {
	g := startGateway(t)
	f := startFleet(t, g.bucket(t))
	url, count := target(t)
	length := *outage + 8*time.Second
	id := f.create(url, length)
	await(t, "the load", 30*time.Second, func() bool { return f.get(id).GetState() == pb.RunState_RUN_STATE_RUNNING && count.Load() > 2*rate })
	g.kill()
	killed := time.Now()
	await(t, "a provisional run", *outage+20*time.Second, func() bool { return f.get(id).GetProvisionalSince() != nil })
	t.Logf("provisional %v after the store was killed", time.Since(killed).Round(100*time.Millisecond))
	if problems := f.problems(); len(problems) != 1 || !strings.Contains(problems[0], "provisional") {
		t.Errorf("status: %q", problems)
	}
	held := f.unacked()
	time.Sleep(time.Until(killed.Add(*outage)))
	// Each of the two workers seals a batch a second, and none of them may be acknowledged.
	if now, least := f.unacked(), int(2*(*outage-4*time.Second)/time.Second); now < held || now < least {
		t.Errorf("%d batches are not acknowledged after %v, were %d: want %d at least", now, *outage, held, least)
	}
	g.start()
	await(t, "a commit", 20*time.Second, func() bool { return f.get(id).GetProvisionalSince() == nil })
	exact(t, f.report(id), int64(length/time.Second)*rate, count)
	if problems := f.problems(); len(problems) > 0 {
		t.Errorf("status after the outage: %q", problems)
	}
}

func await(t *testing.T, what string, within time.Duration, is func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s was not seen within %v", what, within)
		}
	}
}
