package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

func haltOf(runID string) wire.Halt {
	return wire.Halt{Run: runID, Kind: run.StopOperator, Reason: "enough", Order: wire.Order{Request: "q1", AskedOf: "c2", Asked: time.Unix(1000, 0).UTC()}}
}

// TestHaltIsHeededAtAnyEpoch proves that a stop which nobody has recorded is heeded whoever passes it on: in the
// stream of a leader of the past, and beside the refusal of a coordinator that serves nobody.
func TestHaltIsHeededAtAnyEpoch(t *testing.T) {
	onLine(t, func(l *line) {
		s := l.attach(0)
		for _, e := range []int64{0, epoch} {
			s.sendOf(e, &pb.AttachResponse{Payload: &pb.AttachResponse_Halt{Halt: wire.HaltToProto(haltOf("r"))}})
		}
		if h := l.ear.so().halts; len(h) != 2 || h[0] != haltOf("r") {
			t.Errorf("heeded %+v", h)
		}
		st, err := status.New(codes.FailedPrecondition, "this coordinator does not lead").WithDetails(&pb.LeaderInfo{}, wire.HaltToProto(haltOf("r")))
		if err != nil {
			t.Fatal(err)
		}
		s.breakOff(st.Err())
		l.accept().breakOff(st.Err()) // before it is welcomed
		if h := l.ear.so().halts; len(h) != 4 {
			t.Errorf("of the refusals were heeded %d", len(h)-2)
		}
	})
}

// TestHaltEndsTheLoad proves that a halt ends the load of its run and of no other, that the status tells the next
// leader who ordered it, that no assignment takes it back, and that an order which tells more than the assignment
// that has ended the load is kept as well.
func TestHaltEndsTheLoad(t *testing.T) {
	for name, before := range map[string]wire.Assignment{
		"while it runs":            {Run: "r", Revision: 1, PlanDigest: "unknown", Goal: wire.GoalRun},
		"after the leader's order": {Run: "r", Revision: 1, PlanDigest: "unknown", Goal: wire.GoalStop, Stop: wire.Stop{Kind: run.StopOperator, Reason: "enough"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := New(Options{
				Name: "w", Addresses: []string{"127.0.0.1:1"}, DataDir: t.TempDir(),
				Clock: func() int64 { return 0 }, Logger: hclog.NewNullLogger(),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}()
			a.assigned(before)
			w := newWork(context.Background(), a, a.wanted)
			a.adopt(w)
			defer w.close()
			w.apply(a.wanted)
			a.halted(haltOf("another run"))
			if got := a.wanted.Goal; got != before.Goal {
				t.Fatalf("the halt of another run made the goal %v", got)
			}
			a.halted(haltOf("r"))
			other := haltOf("r")
			other.Request, other.Reason = "q2", "late"
			a.halted(other)
			a.assigned(wire.Assignment{Run: "r", Revision: 1, Epoch: 9, PlanDigest: "unknown", Goal: wire.GoalRun})
			a.assigned(wire.Assignment{Run: "r", Revision: 2, Epoch: 9, PlanDigest: "unknown", Goal: wire.GoalStop, Stop: wire.Stop{Kind: run.StopOperator, Reason: "enough"}})
			w.apply(a.wanted)
			w.mu.Lock()
			defer w.mu.Unlock()
			got := w.lastStatus
			if w.wanted.Goal != wire.GoalStop || got.State < wire.WorkerStopping || got.Stop.Kind != run.StopOperator || got.Stop.Reason != "enough" || got.Stop.Order != haltOf("r").Order {
				t.Errorf("goal %v, status %+v", w.wanted.Goal, got)
			}
			if back := wire.StatusFromProto(wire.StatusToProto(&got)); back.Stop != got.Stop {
				t.Errorf("the stop travels as %+v, want %+v", back.Stop, got.Stop)
			}
		})
	}
}

// TestHaltOfEveryRun proves that a halt of every run ends whichever is executed here, unless it was lifted before that
// run began, and that the next leader is told of it; and that one of which nobody knew of that lifting does not.
func TestHaltOfEveryRun(t *testing.T) {
	at := time.Unix(1000, 0).UTC()
	order := func(asked time.Time, lifts int64) wire.Halt {
		return wire.Halt{Kind: run.StopHalt, Reason: "enough", Order: wire.Order{Request: "q1", AskedOf: "c2", Asked: asked, Lifts: lifts}}
	}
	for name, row := range map[string]struct {
		wanted wire.Assignment
		h      wire.Halt
		ended  bool
	}{
		"nothing is executed":   {wire.Assignment{}, order(at, 0), false},
		"a run is":              {wire.Assignment{Run: "r", Revision: 1, Goal: wire.GoalRun}, order(at, 0), true},
		"it was lifted":         {wire.Assignment{Run: "r", Revision: 1, Goal: wire.GoalRun, Lift: wire.Lift{Number: 1, At: at}}, order(at, 0), false},
		"it was asked for anew": {wire.Assignment{Run: "r", Revision: 1, Goal: wire.GoalRun, Lift: wire.Lift{Number: 1, At: at}}, order(at.Add(-time.Hour), 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := New(Options{
				Name: "w", Addresses: []string{"127.0.0.1:1"}, DataDir: t.TempDir(),
				Clock: func() int64 { return 0 }, Logger: hclog.NewNullLogger(),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}()
			a.assigned(row.wanted)
			a.halted(row.h)
			if ended := a.wanted.Goal == wire.GoalStop; ended != row.ended || ended && a.wanted.Stop != row.h.Stop() {
				t.Errorf("goal %v, stop %+v", a.wanted.Goal, a.wanted.Stop)
			}
		})
	}
}

// TestHeartbeatTellsOfTheOutbox proves that a heartbeat says how many batches are not acked.
func TestHeartbeatTellsOfTheOutbox(t *testing.T) {
	onLine(t, func(l *line) {
		l.seal(3)
		s := l.attach(0)
		last := func() (n uint64) {
			for _, m := range s.so() {
				if h := m.GetHeartbeat(); h != nil {
					n = h.GetUnackedBatches()
				}
			}
			return n
		}
		if n := last(); n != 3 {
			t.Errorf("%d unacked batches, want 3", n)
		}
		s.ack(2)
		time.Sleep(1500 * time.Millisecond)
		if n := last(); n != 1 {
			t.Errorf("%d unacked batches after an ack, want 1", n)
		}
	})
}

// TestStopEndsSetup proves that a stop during setup cuts the step that is under way and sends none after it, that
// nothing says that setup has failed, that the final comes when setup has ended, and that teardown comes after it.
func TestStopEndsSetup(t *testing.T) {
	began, cut := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var paths []string
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path)
		mu.Unlock()
		if r.URL.Path == "/first" {
			close(began)
			<-r.Context().Done()
			close(cut)
		}
	}))
	t.Cleanup(target.Close)
	now := int64(1000)
	a := newAgent(t, &now)
	digest := keepPlan(t, a, `
target: `+target.URL+`
setup:
  - step: first
    http: {method: GET, path: /first}
  - step: second
    http: {method: GET, path: /second}
teardown:
  - step: last
    http: {method: GET, path: /last}
`)
	a.assigned(wire.Assignment{Run: "r", Revision: 1, PlanDigest: digest, Goal: wire.GoalPrepare})
	w := newWork(t.Context(), a, a.wanted)
	a.adopt(w)
	defer w.close()
	a.tasked(wire.Task{ID: "s", Run: "r", Kind: "setup"})
	<-began
	a.halted(haltOf("r"))
	<-cut
	<-w.executed
	a.tasked(wire.Task{ID: "late", Run: "r", Kind: "setup"})
	a.tasked(wire.Task{ID: "t", Run: "r", Kind: "teardown"})
	answers := func() []wire.TaskResult {
		a.link.mu.Lock()
		defer a.link.mu.Unlock()
		return slices.Clone(a.link.up.results)
	}
	for len(answers()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if got := answers(); len(got) != 1 || got[0].ID != "t" || got[0].Error != "" || got[0].Requests != 1 {
		t.Errorf("answers %+v, want that of teardown alone", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(paths, []string{"/first", "/last"}) {
		t.Errorf("the target was asked for %q", paths)
	}
}

// keepPlan puts the plan of a scenario with one phase where the agent keeps files, and returns its digest. It is given
// the target, setup and teardown.
func keepPlan(t *testing.T, a *Agent, yaml string) string {
	t.Helper()
	plan, err := scenario.Load(fstest.MapFS{"s.yaml": {Data: []byte(onePhase + yaml)}}, "s.yaml", scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.link.files.store(digestOf(data), data); err != nil {
		t.Fatal(err)
	}
	return digestOf(data)
}

// onePhase is a scenario without its target.
const onePhase = `
version: 1
name: shop
flows:
  buy:
    - step: get
      http: {method: GET, path: /}
phases:
  - name: hold
    flow: buy
    rate:
      - hold: {at: 1/s, for: 10s}
`

// TestDrainEndsSetup proves that a worker which is told to leave does not wait for setup.
func TestDrainEndsSetup(t *testing.T) {
	began := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}))
	t.Cleanup(target.Close)
	now := int64(1000)
	a := newAgent(t, &now)
	digest := keepPlan(t, a, `
target: `+target.URL+`
setup:
  - step: first
    http: {method: GET, path: /first}
`)
	a.assigned(wire.Assignment{Run: "r", Revision: 1, PlanDigest: digest, Goal: wire.GoalPrepare, Drain: time.Hour})
	w := newWork(t.Context(), a, a.wanted)
	a.adopt(w)
	defer w.close()
	a.tasked(wire.Task{ID: "s", Run: "r", Kind: "setup"})
	<-began
	w.drain() // within an hour
}
