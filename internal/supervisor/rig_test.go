package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

func TestMain(m *testing.M) {
	// What packs segments is made once and has a channel, which may not belong to one bubble.
	if _, err := metric.DecodeSegment(metric.EncodeSegment(metric.NewSegment("r"))); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// shop is a scenario of 100 arrivals per second for ten seconds; %s is put behind.
const shop = `
version: 1
name: shop
seed: 7
target: http://127.0.0.1:9
flows:
  buy:
    - step: get
      http: {method: GET, path: /}
      timeout: 1s
phases:
  - name: hold
    flow: buy
    rate:
      - hold: {at: 100/s, for: 10s}
coordinator_loss: {grace: 2s}
`

// rig is a manager with a fleet of robots, in the bubble of a synctest.
type rig struct {
	t       *testing.T
	records *records
	disk    *disk
	term    *term
	manager *Manager
	fleet   *robots
	plan    *scenario.Plan
	digest  string
	log     *syncBuffer
	cancel  context.CancelFunc
	ended   chan error

	mu       sync.Mutex
	calls    []run.CallbackKind
	callback Callback      // called too, if set
	process  string        // of the next terms, in which their workers live
	behind   time.Duration // of the wall clock of the next leaders
	zombies  []func()      // end leaders that were deposed and may not know it
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func loadPlan(t testing.TB, text string) *scenario.Plan {
	t.Helper()
	plan, err := scenario.Load(fstest.MapFS{"s.yaml": {Data: []byte(text)}}, "s.yaml", scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// bubble runs fn with a rig in a bubble where time is simulated.
func bubble(t *testing.T, text string, fn func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, records: newRecords(), disk: &disk{}, plan: loadPlan(t, text), log: &syncBuffer{}}
		data, err := r.plan.Encode()
		if err != nil {
			t.Fatal(err)
		}
		ref, err := blob.PutFile(t.Context(), r.disk, data)
		if err != nil {
			t.Fatal(err)
		}
		r.digest = ref.SHA256
		r.lead(1)
		defer func() {
			r.resign()
		}()
		fn(r)
	})
}

// lead begins a term with workers of its own.
func (r *rig) lead(epoch int64) {
	r.t.Helper()
	r.fleet = &robots{plan: r.plan, all: map[string]*robot{}, begin: time.Now().Add(-time.Hour)}
	r.elect(epoch)
}

// succeed ends the term and begins another one, on a machine with another clock, after a time in which
// nobody leads. The workers live on and attach to it, but for those that are away.
func (r *rig) succeed(epoch int64, after time.Duration) {
	r.t.Helper()
	r.term.end()
	r.cancel()
	<-r.ended
	time.Sleep(after)
	r.elect(epoch)
	r.fleet.reattach()
}

// usurp is succeed with an earlier leader that does not know that it is one: its next write, which tells it so,
// hangs for longer than the other takes to be elected.
func (r *rig) usurp(epoch int64, after time.Duration) {
	r.t.Helper()
	r.term.end()
	r.term.mu.Lock()
	r.term.slow = after + 1500*time.Millisecond
	r.term.mu.Unlock()
	cancel, ended := r.cancel, r.ended
	r.zombies = append(r.zombies, func() { cancel(); <-ended })
	time.Sleep(after)
	r.elect(epoch)
	r.fleet.reattach()
}

func (r *rig) elect(epoch int64) {
	r.t.Helper()
	ahead := 37 * time.Second * time.Duration(epoch-1)
	begin := r.fleet.begin.Add(-ahead)
	clock := func() int64 { return int64(time.Since(begin)) }
	behind := r.behind
	wall := func() time.Time { return time.Now().Add(-behind) }
	r.term = &term{records: r.records, epoch: epoch}
	r.manager = New(Options{
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: r.log, DisableTime: true}),
		Heads:  r.term, Blobs: r.disk, Repository: result.NewRepository(r.term, r.disk),
		Clock: clock, Wall: wall, Secret: func(name string) (string, bool) { return "s", name == "known" },
		CommitEvery: time.Second, Leader: wire.Leader{Name: fmt.Sprintf("c%d", epoch), Epoch: epoch}, Version: "test", Process: r.process,
		Callbacks: []Callback{func(ctx context.Context, n Notification) error {
			r.mu.Lock()
			r.calls = append(r.calls, n.Kind)
			also := r.callback
			r.mu.Unlock()
			if also != nil {
				return also(ctx, n)
			}
			return nil
		}},
	})
	r.fleet.away(ahead)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan error, 1)
	ready := make(chan struct{})
	manager, f, ended := r.manager, &office{robots: r.fleet, epoch: epoch}, r.ended
	r.fleet.follow(epoch, r.term)
	go func() { ended <- manager.Run(ctx, f, func() { close(ready) }) }()
	<-ready
	r.fleet.lead(r.manager)
}

// resign ends the term; what was not committed is gone.
func (r *rig) resign() {
	r.cancel()
	<-r.ended
	for _, end := range r.zombies {
		end()
	}
	r.zombies = nil
	r.fleet.stop()
}

func (r *rig) create(id string, timeout time.Duration) run.Run {
	r.t.Helper()
	rec, err := r.manager.Create(r.t.Context(), Accepted{ID: id, RequestID: "req-" + id, Plan: r.plan, PlanDigest: r.digest, QueueTimeout: timeout})
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) record(id string) run.Run {
	r.t.Helper()
	head, err := r.manager.opts.Repository.Load(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return head.Run
}

// until waits until a run is in a state, for two simulated minutes at most.
func (r *rig) until(id string, states ...run.State) run.Run {
	r.t.Helper()
	for range 2400 {
		if rec := r.record(id); slices.Contains(states, rec.State) {
			if rec.State.Final() { // until the runner is gone too
				for range 100 {
					if _, err := r.manager.live(id); err != nil {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			return rec
		}
		time.Sleep(50 * time.Millisecond)
	}
	rec := r.record(id)
	r.t.Fatalf("run %s is %s (%s) and never was %v; log:\n%s", id, rec.State, rec.Reason, states, r.log.String())
	return run.Run{}
}

func (r *rig) ended2(id string) (run.Run, *report.Document) {
	r.t.Helper()
	rec := r.until(id, run.Completed, run.Failed)
	return rec, r.report(id)
}

// report reads a report, which must keep what reports promise.
func (r *rig) report(id string) *report.Document {
	r.t.Helper()
	d, err := r.reported(id)
	if err != nil {
		r.t.Fatalf("report of %s: %v", id, err)
	}
	return d
}

// reported reads a report and checks that it keeps what reports promise.
func (r *rig) reported(id string) (*report.Document, error) {
	data, err := r.manager.opts.Repository.Report(r.t.Context(), id, "json")
	if err != nil {
		return nil, err
	}
	var d report.Document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	return &d, d.Check()
}

func (r *rig) command(id string, ev run.Event) (run.Run, error) {
	r.t.Helper()
	return r.manager.Command(r.t.Context(), id, ev)
}

func (r *rig) must(id string, ev run.Event) run.Run {
	r.t.Helper()
	rec, err := r.command(id, ev)
	if err != nil {
		r.t.Fatalf("%s: %v", ev.Kind, err)
	}
	return rec
}

// load waits for the load to start, and then until the given run time.
func (r *rig) load(id string, at time.Duration) {
	r.t.Helper()
	r.until(id, run.Running)
	for {
		v, err := r.manager.Live(id)
		if err != nil {
			r.t.Fatalf("waiting for %v: %v", at, err)
		}
		if v.Progress != nil && v.Progress.RunTime >= at {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *rig) called() []run.CallbackKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func wantReason(t *testing.T, got, part string) {
	t.Helper()
	if !strings.Contains(got, part) {
		t.Errorf("reason %q does not say %q", got, part)
	}
}
