package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	pb "proofload/proto/proofload/v1"
)

// runView is a run as listings show it; the names are those of report.json.
type runView struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Environment string            `json:"environment"`
	Labels      map[string]string `json:"labels"`
	State       string            `json:"state"`
	Verdict     string            `json:"verdict"`
	ExitCode    int               `json:"exit_code"`
	Reason      string            `json:"reason"`
	Reasons     []string          `json:"reasons"`
	CreatedAt   time.Time         `json:"created_at"`
	T0At        *time.Time        `json:"t0_at"`
	EndedAt     *time.Time        `json:"ended_at"`
	ElapsedS    float64           `json:"elapsed_s"`
	PausedS     float64           `json:"paused_s"`
	Scale       float64           `json:"scale"`
	Seed        uint64            `json:"seed"`
	Workers     []string          `json:"workers"`
	Provisional *time.Time        `json:"provisional_since"`
	Caretaker   *time.Time        `json:"caretaker_since"`
}

func viewOf(m *pb.Run) runView {
	v := runView{
		ID: m.GetId(), Name: m.GetName(), Environment: m.GetEnvironment(), Labels: notNilMap(m.GetLabels()), State: stateName(m.GetState()),
		ExitCode: int(m.GetExitCode()), Reason: m.GetReason(), CreatedAt: m.GetCreateTime().AsTime(),
		ElapsedS: m.GetElapsed().AsDuration().Seconds(), PausedS: m.GetPaused().AsDuration().Seconds(), Scale: m.GetScale(),
		Seed: m.GetSeed(), Workers: notNil(m.GetWorkers()), Reasons: []string{},
	}
	if m.GetVerdict() != pb.Verdict_VERDICT_UNSPECIFIED {
		v.Verdict = strings.TrimPrefix(m.GetVerdict().String(), "VERDICT_")
	}
	for _, r := range m.GetVerdictReasons() {
		v.Reasons = append(v.Reasons, r.GetMessage())
	}
	if t := m.GetStartTime(); t != nil {
		at := t.AsTime()
		v.T0At = &at
	}
	if t := m.GetEndTime(); t != nil {
		at := t.AsTime()
		v.EndedAt = &at
	}
	if t := m.GetProvisionalSince(); t != nil {
		at := t.AsTime()
		v.Provisional = &at
	}
	if t := m.GetCaretakerSince(); t != nil {
		at := t.AsTime()
		v.Caretaker = &at
	}
	return v
}

func (v runView) table(t *tabwriter.Writer) {
	line := func(name, value string) {
		if value != "" {
			row(t, name, value)
		}
	}
	line("run", v.ID)
	line("scenario", v.Name)
	line("environment", v.Environment)
	line("labels", pairs(v.Labels))
	line("state", v.State)
	line("reason", v.Reason)
	line("verdict", v.Verdict)
	for _, r := range v.Reasons {
		line("", r)
	}
	line("created", v.CreatedAt.Local().Format(time.RFC3339))
	if v.T0At != nil {
		line("started", v.T0At.Local().Format(time.RFC3339))
	}
	if v.EndedAt != nil {
		line("ended", v.EndedAt.Local().Format(time.RFC3339))
	}
	line("elapsed", fmt.Sprintf("%.3f s", v.ElapsedS))
	line("paused", fmt.Sprintf("%.3f s", v.PausedS))
	line("scale", fmt.Sprintf("%g %%", v.Scale*100))
	line("seed", fmt.Sprint(v.Seed))
	line("workers", strings.Join(v.Workers, ", "))
	if v.Provisional != nil {
		line("provisional since", v.Provisional.Local().Format(time.RFC3339))
	}
	if v.Caretaker != nil {
		line("without a leader since", v.Caretaker.Local().Format(time.RFC3339))
	}
}

// workerView is a worker as listings show it.
type workerView struct {
	Name        string            `json:"name"`
	State       string            `json:"state"`
	Run         string            `json:"run"`
	Labels      map[string]string `json:"labels"`
	Capacity    float64           `json:"capacity"`
	Version     string            `json:"version"`
	Hostname    string            `json:"hostname"`
	Platform    string            `json:"platform"`
	CPUs        uint32            `json:"cpus"`
	MemoryBytes uint64            `json:"memory_bytes"`
	LastHeardAt time.Time         `json:"last_heard_at"`
	ClockBoundS *float64          `json:"clock_bound_s"`
	Unacked     uint64            `json:"unacked_batches"`
}

func workerViewOf(w *pb.Worker) workerView {
	v := workerView{
		Name: w.GetName(), State: strings.TrimPrefix(w.GetState().String(), "WORKER_STATE_"), Run: w.GetRunId(), Labels: notNilMap(w.GetLabels()),
		Capacity: w.GetCapacity(), Version: w.GetVersion(), Hostname: w.GetHostname(), Platform: w.GetPlatform(),
		CPUs: w.GetCpus(), MemoryBytes: w.GetMemoryBytes(), LastHeardAt: w.GetLastHeardTime().AsTime(),
		Unacked: w.GetUnackedBatches(),
	}
	if b := w.GetClockBound(); b != nil {
		s := b.AsDuration().Seconds()
		v.ClockBoundS = &s
	}
	return v
}

type leaderView struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Epoch   int64  `json:"epoch"`
}

// statusView is the state of a cluster.
type statusView struct {
	Version  string           `json:"version"`
	Leader   leaderView       `json:"leader"`
	Members  []memberView     `json:"members"`
	Workers  map[string]int32 `json:"workers"`
	Active   []runView        `json:"active_runs"`
	Problems []string         `json:"problems"`
	// Caretaker is since when the coordinator that answers leads no more while nobody else does.
	Caretaker *time.Time `json:"caretaker_since"`
	// Halt is the halt in force; null: none is.
	Halt *haltView `json:"halt"`
}

type memberView struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Leader  bool   `json:"leader"`
}

func statusViewOf(m *pb.GetStatusResponse) statusView {
	l := m.GetLeader()
	v := statusView{
		Version: m.GetVersion(), Leader: leaderView{l.GetName(), l.GetAddress(), l.GetEpoch()},
		Workers: m.GetWorkers(), Problems: notNil(m.GetProblems()), Active: []runView{}, Members: []memberView{},
		Halt: haltViewOf(m.GetHalt()),
	}
	if t := m.GetCaretakerSince(); t != nil {
		at := t.AsTime()
		v.Caretaker = &at
	}
	for _, c := range m.GetCoordinators() {
		v.Members = append(v.Members, memberView{c.GetName(), c.GetAddress(), c.GetLeader()})
	}
	for _, r := range m.GetActiveRuns() {
		v.Active = append(v.Active, viewOf(r))
	}
	return v
}

func (v statusView) table(t *tabwriter.Writer) {
	if v.Leader.Epoch == 0 {
		row(t, "leader", "none")
	} else {
		row(t, "leader", fmt.Sprintf("%s at %s, epoch %d", v.Leader.Name, v.Leader.Address, v.Leader.Epoch))
	}
	if v.Halt != nil {
		row(t, "halted", v.Halt.text()+"; no run begins until `coordinator unhalt`")
	}
	for _, m := range v.Members {
		if !m.Leader {
			row(t, "coordinator", m.Name+" at "+m.Address)
		}
	}
	var workers []string
	for _, s := range slices.Sorted(maps.Keys(v.Workers)) {
		workers = append(workers, fmt.Sprintf("%d %s", v.Workers[s], s))
	}
	if len(workers) == 0 {
		workers = []string{"none"}
	}
	row(t, "workers", strings.Join(workers, ", "))
	for _, r := range v.Active {
		row(t, "run", fmt.Sprintf("%s %s %s", r.ID, r.Name, because(r.State, r.Reason)))
	}
	for _, p := range v.Problems {
		row(t, "problem", p)
	}
}

func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}
