package supervisor

import (
	"slices"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// TestTeardownAlways: however a run ends that has begun, what it has set up is torn down, once.
func TestTeardownAlways(t *testing.T) {
	const text = shop + `
setup:
  - step: seed
    http: {method: POST, path: /seed}
teardown:
  - step: purge
    http: {method: POST, path: /purge}
`
	stopped := func(by run.StopKind) func(r *rig) {
		return func(r *rig) {
			r.load("r1", 3500*time.Millisecond)
			r.must("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: by, Reason: "enough"})
		}
	}
	lose := func(names ...string) func(r *rig) {
		return func(r *rig) {
			r.load("r1", 3500*time.Millisecond)
			for _, name := range names {
				r.fleet.get(name).die(false)
			}
		}
	}
	for _, tt := range []struct {
		name string
		more string // of the scenario
		end  func(r *rig)
		want run.StopKind
	}{
		{"every phase ends", "", func(*rig) {}, run.StopCompleted},
		{"a criterion aborts", "criteria: [{check: p99(response_time) < 1ms, window: 2s, on_breach: abort}]\n", func(*rig) {}, run.StopCriterion},
		{"an operator stops it", "", stopped(run.StopOperator), run.StopOperator},
		{"a signal stops it", "", stopped(run.StopSignal), run.StopSignal},
		{"everything is halted", "", stopped(run.StopHalt), run.StopHalt},
		{"the policy wants no worker lost", "worker_loss: {policy: abort}\n", lose("c"), run.StopWorkerLoss},
		{"too many workers are lost", "worker_loss: {max_lost: 10%}\n", lose("b", "c"), run.StopWorkerLoss},
		{"the leader is lost, too, while it ends", "", func(r *rig) {
			stopped(run.StopOperator)(r)
			r.succeed(2, time.Second)
		}, run.StopOperator},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, text+tt.more, func(r *rig) {
				var all []*robot
				for i, name := range []string{"a", "b", "c"} {
					all = append(all, r.fleet.join(name, int64(10+i)))
				}
				r.create("r1", 0)
				tt.end(r)
				rec, d := r.ended2("r1")
				if rec.Stop == nil || rec.Stop.Kind != tt.want {
					t.Fatalf("stop %+v, want by %s", rec.Stop, tt.want)
				}
				var done []wire.Task
				for _, w := range all {
					done = append(done, slices.DeleteFunc(slices.Clone(w.told()), func(task wire.Task) bool { return task.Kind != "teardown" })...)
				}
				if rec.Teardown.State != run.TaskDone || len(done) != 1 || d.Requests.Teardown != 1 {
					t.Errorf("teardown %+v, told %v, requests %+v", rec.Teardown, done, d.Requests)
				}
			})
		})
	}
}
