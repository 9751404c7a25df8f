//go:build soak && linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	pb "proofload/proto/proofload/v1"
)

// `make bench-fleet` runs these: the built coordinator as a process of its own, and light workers in this
// one, each with a connection of its own. Their figures belong into docs/benchmarks.md.

// crowd is a run with light workers that is under way.
type crowd struct {
	*benchCoordinator
	fleet   *fleet
	workers int
	acks    *latencies
	load    *lightLoad
	all     []*lightWorker
	id      string
}

// gather starts a coordinator and light workers, and a run that has begun on all of them.
func gather(t *testing.T, workers, series, requests int) *crowd {
	t.Helper()
	c := &crowd{benchCoordinator: newBenchCoordinator(t), workers: workers, acks: &latencies{}, load: newLightLoad(series, requests)}
	c.fleet = &fleet{runs: c.runs, workers: workers}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	group, groupCtx := errgroup.WithContext(ctx)
	dir := t.TempDir()
	for i := range workers {
		w, err := newLightWorker(fmt.Sprintf("light-%04d", i+1), c.addr, dir, c.load, c.acks)
		if err != nil {
			cancel()
			t.Fatal(err)
		}
		c.all = append(c.all, w)
		group.Go(func() error { return w.run(groupCtx) })
	}
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	if early := os.Getenv("PROFILE_START") != ""; early { // instead of the time that is measured
		c.toggle()
		defer func() {
			c.toggle()
			c.profile = ""
		}()
	}
	c.id = c.fleet.create(t, crowdScenario(c.load))
	c.fleet.await(t, c.id, pb.RunState_RUN_STATE_RUNNING)
	t.Logf("%d workers attached and RUNNING after %v", workers, time.Since(began).Round(10*time.Millisecond))
	until(t, "second of acks", func() bool { return c.acks.acked() >= 5*workers })
	return c
}

// crowdScenario is the plan of which light workers execute nothing: it is large enough to be like one that is
// used, with a cap and criteria that are judged every second, one of which aborts.
func crowdScenario(l *lightLoad) string {
	var steps strings.Builder
	for i := range int(l.totals.Requests / max(l.totals.Sent, 1)) {
		fmt.Fprintf(&steps, "    - step: step-%d\n      http: {method: GET, path: /%d}\n", i+1, i+1)
	}
	return fmt.Sprintf(`version: 1
name: crowd
seed: 7
target: http://127.0.0.1:9
flows:
  f:
%sphases:
  - name: hold
    flow: f
    max_in_flight: 100000
    rate:
      - hold: {at: 1000/s, for: 30m}
criteria:
  - name: fast enough
    check: p99(response_time) < 10s
  - name: none fails
    check: error_ratio(requests) < 50%%
    window: 10s
    on_breach: abort
`, steps.String())
}

// figures are a row of the table.
type figures struct {
	workers, series, requests int
	cores, mib, perSecond     float64
	batch                     int64
	commit50, commit99        time.Duration
	ack50, ack99, ackMax      time.Duration
	idled                     int64
	acked                     int
}

// measure watches a run for a while.
func (c *crowd) measure(t *testing.T, length time.Duration) (f figures) {
	t.Helper()
	pid := c.cmd.Process.Pid
	c.acks.reset()
	_, before := c.commits(t)
	used, began := processor(t, pid), time.Now()
	c.toggle()
	time.Sleep(length) // the load is what is measured
	c.toggle()
	took := time.Since(began)
	f.cores = (processor(t, pid) - used).Seconds() / took.Seconds()
	f.mib, f.acked = resident(t, pid), c.acks.acked()
	bounds, after := c.commits(t)
	f.commit50, f.commit99 = within(bounds, before, after, 0.5), within(bounds, before, after, 0.99)
	f.ack50, f.ack99, f.ackMax = c.acks.quantiles()
	f.workers, f.perSecond = c.workers, float64(f.acked)/took.Seconds()
	c.acks.mu.Lock()
	defer c.acks.mu.Unlock()
	f.batch, f.idled = c.acks.bytes/max(c.acks.sealed, 1), c.acks.idled
	for why, n := range c.acks.refusal {
		t.Errorf("%d batches refused: %s", n, why)
	}
	return f
}

// within is the bound that a share of what was counted in between did not exceed.
func within(bounds []time.Duration, before, after []int64, q float64) time.Duration {
	all := after[len(after)-1] - before[len(before)-1]
	for i, bound := range bounds {
		if float64(after[i]-before[i]) >= q*float64(all) {
			return bound
		}
	}
	return 0
}

// settle stops the run and compares its report with what the workers have sealed.
func (c *crowd) settle(t *testing.T) document {
	t.Helper()
	began := time.Now()
	stop := &pb.StopRunRequest{RequestId: uuid.NewString(), RunId: c.id, Reason: "enough"}
	until(t, "stop", func() bool { // a machine that is too busy for a thousand workers may take a connection for dead
		_, err := c.runs.StopRun(t.Context(), stop)
		return err == nil
	})
	d := c.fleet.report(t, c.id)
	var requests int64
	for _, w := range c.all {
		w.mu.Lock()
		requests += w.requests
		w.mu.Unlock()
	}
	if d.Requests.Sent != requests || len(d.Integrity.Gaps) > 0 || len(d.Integrity.Workers) != c.workers {
		t.Errorf("report has %d requests of %d workers and gaps %s, the workers sealed %d", d.Requests.Sent, len(d.Integrity.Workers), d.Integrity.Gaps, requests)
	}
	t.Logf("closed and reported %v after the stop, completeness %v", time.Since(began).Round(10*time.Millisecond), d.Integrity.Completeness)
	return d
}

// TestFleetBench prints what a coordinator needs for a fleet.
func TestFleetBench(t *testing.T) {
	length := 30 * time.Second
	if text := os.Getenv("BENCH_LENGTH"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	var rows []figures
	for _, size := range []struct{ workers, series, requests int }{
		{100, 20, 700}, {300, 20, 700}, {1000, 20, 700}, {1000, 40, 1700}, {1000, 20, 7000},
	} {
		t.Run(fmt.Sprintf("%dx%d at %d", size.workers, size.series, size.requests), func(t *testing.T) {
			c := gather(t, size.workers, size.series, size.requests)
			f := c.measure(t, length)
			f.series, f.requests = size.series, size.requests
			t.Logf("%+v", f)
			c.settle(t)
			rows = append(rows, f)
		})
	}
	var b strings.Builder
	b.WriteString("| workers | series each | requests/s, all | batch, bytes | cores | µs per series | RSS, MiB | commit p50, p99 ≤ | ack p50 | ack p99 |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, f := range rows {
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %.2f | %.1f | %.0f | %v, %v | %v | %v |\n", f.workers, f.series, f.workers*f.requests, f.batch, f.cores,
			1e6*f.cores/float64(f.workers*f.series), f.mib, f.commit50, f.commit99, f.ack50.Round(time.Millisecond), f.ack99.Round(time.Millisecond))
	}
	t.Logf("watched for %v each:\n%s", length, b.String())
}

// TestFleetBenchTakeOver prints how long a run with a thousand workers is without a coordinator that has been
// killed and is started again.
func TestFleetBenchTakeOver(t *testing.T) {
	c := gather(t, 1000, 20, 700)
	time.Sleep(10 * time.Second) // segments that the next term has to read
	killed := time.Now()
	c.end(t, os.Kill)
	c.acks.reset()
	c.start(t)
	leads := time.Now()
	inHand := make(chan time.Time, 1)
	go func() { inHand <- c.says(t, "run in hand") }()
	until(t, "ack", func() bool { return c.acks.acked() > 0 })
	c.acks.mu.Lock()
	first := c.acks.last
	c.acks.mu.Unlock()
	hand := <-inHand
	until(t, "ack of every worker", func() bool { return c.acks.acked() >= 3*c.workers })
	t.Logf("from the kill: leads after %v, first commit at a worker after %v, run in hand after %v",
		leads.Sub(killed).Round(10*time.Millisecond), first.Sub(killed).Round(10*time.Millisecond), hand.Sub(killed).Round(10*time.Millisecond))
	f := c.measure(t, 10*time.Second)
	if f.idled > 0 {
		t.Errorf("%d seconds of workers without a lease", f.idled)
	}
	c.settle(t)
}
