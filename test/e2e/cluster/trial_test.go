package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	pb "proofload/proto/proofload/v1"
)

// plan is a run of uniform arrivals.
type plan struct {
	seed   uint64
	rate   int // per second
	length time.Duration
	grace  time.Duration // of the coordinators' loss
	// lossy says that a worker is killed: what it had not sealed is gone, and no criterion counts.
	lossy bool
	// open says that the plan is changed in mid-run: there are rows for twice as many arrivals, and no
	// criterion counts.
	open bool
	// prompt says that an arrival may be as late as scenarios allow by default, and is not sent else; as many as by
	// default must be sent.
	prompt bool
	// criteria are more of them, as the scenario writes them, and verdict is what comes of all; empty: PASS.
	criteria, verdict string
	// zone says to run on the workers of one zone only, which are half of all; empty: on all.
	zone string
}

// planned returns the number of arrivals.
func (p plan) planned() int { return int(p.length/time.Second) * p.rate }

// rows returns how many arrivals there may be.
func (p plan) rows() int {
	if p.open {
		return 2 * p.planned()
	}
	return p.planned()
}

// draws returns what decides, from the seed alone, what happens when.
func (p plan) draws() *rand.Rand { return rand.New(rand.NewPCG(p.seed, 0)) }

// between draws an instant.
func between(draws *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(draws.Int64N(int64(to-from)))
}

// arrivals is the data file from which arrival n takes its path: row n holds n.
func (p plan) arrivals() []byte {
	var b strings.Builder
	b.WriteString("id\n")
	for n := range p.rows() {
		fmt.Fprintln(&b, n)
	}
	return []byte(b.String())
}

// crew writes down which workers the run needs.
func (p plan) crew() string {
	if p.zone == "" {
		return fmt.Sprintf("{min: %d}", workers)
	}
	return fmt.Sprintf("{min: %d, match: {zone: %s}}", workers/2, p.zone)
}

// scenario writes the run down. What the machine can do is not what is tested here: the bounds on the
// generator are wide, and an arrival may be sent late rather than not at all.
func (p plan) scenario(g *target) string {
	completeness, counted := "100%", fmt.Sprintf("\n  - name: every arrival\n    check: count(requests) == %d", p.planned())
	if p.open {
		counted = ""
	}
	if p.lossy {
		completeness, counted = "1%", ""
	}
	sent, late := "sent: 1%, ", "\n    late: 10s"
	if p.prompt {
		sent, late, counted = "", "", ""
	}
	return fmt.Sprintf(`version: 1
name: cluster
seed: %d
target: %s
allow_targets: [%s]
workers: %s
coordinator_loss: {grace: %s}
validity: {schedule_lag_p99: 60s, worker_cpu: 100%%, %scompleteness: %s}
data:
  arrival: {csv: arrivals.csv, order: sequential, on_end: stop}
flows:
  f:
    - step: s
      http: {method: GET, path: '%s/${data.arrival.id}'}
phases:
  - name: steady
    flow: f%s
    rate:
      - hold: {at: %d/s, for: %s}
criteria:
  - name: none fails
    check: error_ratio(requests) == 0%%%s%s
`, p.seed, g.URL, g.host(), p.crew(), p.grace, sent, completeness, g.under, late, p.rate, p.length, counted, p.criteria)
}

// trial is one run while things happen to the cluster.
type trial struct {
	*cluster
	plan    plan
	draws   *rand.Rand
	id      string
	target  *target
	commits *commits
	t0      time.Time // when the first arrival came
	note    string    // what was done, for the figures
	gap     takeOver
	request *pb.CreateRunRequest // that created it
}

// begin starts the run and returns when its first arrival has come.
func begin(t *testing.T, c *cluster, p plan) *trial {
	t.Helper()
	return beginOf(t, c, p, p.scenario)
}

// beginOf is begin with a scenario that is written otherwise for the plan's arrivals.
func beginOf(t *testing.T, c *cluster, p plan, scenario func(*target) string) *trial {
	t.Helper()
	tr := createOf(t, c, p, scenario)
	tr.started(t)
	return tr
}

// create puts the run into the queue.
func create(t *testing.T, c *cluster, p plan) *trial {
	t.Helper()
	return createOf(t, c, p, p.scenario)
}

func createOf(t *testing.T, c *cluster, p plan, scenario func(*target) string) *trial {
	t.Helper()
	tr := &trial{cluster: c, plan: p, draws: p.draws(), target: c.target(t)}
	data := p.arrivals()
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	c.front.call(t, "upload", func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := pb.NewRunServiceClient(conn).UploadFile(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.UploadFileRequest{Digest: digest, Data: data}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_, err = stream.CloseAndRecv()
		return err
	})
	request := &pb.CreateRunRequest{RequestId: uuid.NewString(), Source: &pb.ScenarioSource{
		FileName: "cluster.yaml", Scenario: []byte(scenario(tr.target)), Files: map[string]string{"arrivals.csv": digest},
	}}
	tr.request = request
	c.front.call(t, "create run", func(ctx context.Context, conn grpc.ClientConnInterface) error {
		resp, err := pb.NewRunServiceClient(conn).CreateRun(ctx, request)
		tr.id = resp.GetRun().GetId()
		return err
	})
	tr.commits = watchCommits(t, c.heads, tr.id)
	return tr
}

// started waits for the first arrival.
func (tr *trial) started(t *testing.T) {
	t.Helper()
	select {
	case <-tr.target.first:
		tr.t0 = time.Now()
	case <-time.After(comesWithin):
		t.Fatalf("run %s: no arrival within %v", tr.id, comesWithin)
	}
}

// await sleeps until a run time.
func (tr *trial) await(at time.Duration) { time.Sleep(time.Until(tr.t0.Add(at))) }

// run returns what the API says of the run now.
func (tr *trial) run(t *testing.T) *pb.GetRunResponse {
	t.Helper()
	var out *pb.GetRunResponse
	tr.front.call(t, "get run", func(ctx context.Context, conn grpc.ClientConnInterface) (err error) {
		out, err = pb.NewRunServiceClient(conn).GetRun(ctx, &pb.GetRunRequest{RunId: tr.id})
		return err
	})
	return out
}

// report waits for the end of the run and reads its report.
func (tr *trial) report(t *testing.T) report {
	t.Helper()
	within := tr.plan.length + 2*time.Minute
	for end := time.Now().Add(within); ; time.Sleep(200 * time.Millisecond) {
		r := tr.run(t).GetRun()
		if s := r.GetState(); s == pb.RunState_RUN_STATE_COMPLETED || s == pb.RunState_RUN_STATE_FAILED {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("run %s is %s (%s) %v after its start", tr.id, r.GetState(), r.GetReason(), within)
		}
	}
	var data []byte
	tr.front.call(t, "report", func(ctx context.Context, conn grpc.ClientConnInterface) error {
		data = nil
		stream, err := pb.NewRunServiceClient(conn).GetReport(ctx, &pb.GetReportRequest{RunId: tr.id, Format: pb.ReportFormat_REPORT_FORMAT_JSON})
		for err == nil {
			var m *pb.GetReportResponse
			m, err = stream.Recv()
			data = append(data, m.GetData()...)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	})
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatalf("report: %v", err)
	}
	return r
}
