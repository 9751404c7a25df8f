package wire

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario"
	pb "proofload/proto/proofload/v1"
)

// AssignmentFromProto translates an assignment. It is an error when a range lies outside the shard
// ring or a goal or change is of a kind that this version does not know: carrying out half of an
// assignment would be worse than refusing it.
func AssignmentFromProto(m *pb.Assignment) (Assignment, error) {
	a := Assignment{
		Revision: m.GetRevision(), Run: m.GetRunId(), PlanDigest: m.GetPlanDigest(), Secrets: m.GetSecrets(),
		Setup: m.GetSetupJson(), T0: m.T0Nanos, ShardRevision: m.GetShardRevision(),
		Permits: m.GetPermits(), Drain: m.GetDrain().AsDuration(), Stop: Stop{Kind: run.StopKind(m.GetStopKind()), Reason: m.GetStopReason(), Order: HaltFromProto(m.GetStopOrder()).Order},
	}
	if a.Run == "" {
		return a, nil
	}
	if l := m.GetHaltLift(); l != nil {
		a.Lift = Lift{Number: l.GetNumber(), At: l.GetLiftTime().AsTime(), Of: l.GetLiftedRequestIds()}
	}
	for goal, p := range goals {
		if p == m.GetGoal() {
			a.Goal = goal
		}
	}
	if a.Goal == GoalNone {
		return a, fmt.Errorf("assignment %d of run %s: unknown goal %d", a.Revision, a.Run, m.GetGoal())
	}
	for _, r := range m.GetRanges() {
		if r.GetFrom() >= r.GetTo() || r.GetTo() > scenario.Shards {
			return a, fmt.Errorf("assignment %d of run %s: shard range [%d, %d) outside the ring", a.Revision, a.Run, r.GetFrom(), r.GetTo())
		}
		a.Ranges = append(a.Ranges, ShardRange{From: int(r.GetFrom()), To: int(r.GetTo()), Since: time.Duration(r.GetSinceNanos()), Until: time.Duration(r.GetUntilNanos())})
	}
	for _, c := range m.GetHistory() {
		change, err := ChangeFromProto(c)
		if err != nil {
			return a, fmt.Errorf("assignment %d of run %s: %w", a.Revision, a.Run, err)
		}
		a.History = append(a.History, change)
	}
	return a, nil
}

var changeKinds = []run.ChangeKind{run.ChangePause, run.ChangeResume, run.ChangeScale, run.ChangePhaseStart, run.ChangeProbe, run.ChangePhaseEnd}

// ChangeFromProto translates one entry of a run's history.
func ChangeFromProto(m *pb.Change) (run.Change, error) {
	kind := run.ChangeKind(m.GetKind())
	if !slices.Contains(changeKinds, kind) {
		return run.Change{}, fmt.Errorf("change %s: unknown kind %q", m.GetId(), m.GetKind())
	}
	return run.Change{
		ID: m.GetId(), Kind: kind, At: time.Duration(m.GetAtNanos()),
		Factor: m.GetFactor(), Phase: m.GetPhase(), Reason: m.GetReason(), Rate: m.GetRate(), For: time.Duration(m.GetForNanos()),
	}, nil
}

// StatusFromProto translates a worker's status; nil stays nil.
func StatusFromProto(m *pb.AssignmentStatus) *Status {
	if m == nil {
		return nil
	}
	s := &Status{
		Run: m.GetRunId(), Revision: m.GetRevision(), State: WorkerState(m.GetState()),
		Error: m.GetError(), Skew: time.Duration(m.GetStartSkewNanos()), T0: m.T0Nanos,
		Changes: int(m.GetChanges()), HandOver: time.Duration(m.GetHandOverNanos()), Heard: time.Duration(m.GetHandOverHeardNanos()), Granted: time.Duration(m.GetGrantedNanos()), Permits: m.GetPermits(),
		Stop: Stop{
			Kind: run.StopKind(m.GetStopKind()), Reason: m.GetStopReason(), Alone: m.GetStoppedAlone(),
			At: time.Duration(m.GetStoppedNanos()), Order: HaltFromProto(m.GetHalt()).Order,
		},
	}
	for _, p := range m.GetPhases() {
		s.Phases = append(s.Phases, PhaseStatus{Phase: p.GetPhase(), Started: p.GetStarted(), Ended: p.GetEnded(), InFlight: p.GetInFlight()})
	}
	return s
}

// HelloFromProto translates a worker's introduction.
func HelloFromProto(m *pb.Hello) Hello {
	h := Hello{
		Protocol: m.GetProtocolVersion(), Name: m.GetName(), Instance: m.GetInstanceId(), Nonce: m.GetProcessNonce(),
		Version: m.GetVersion(), Labels: m.GetLabels(), Capacity: m.GetCapacity(), HighestEpoch: m.GetHighestEpoch(),
		Cluster: m.GetClusterId(), Incarnation: m.GetIncarnation(), Status: StatusFromProto(m.GetStatus()),
		CPUs: m.GetHost().GetCpus(), MemoryBytes: m.GetHost().GetMemoryBytes(),
		Platform: m.GetHost().GetPlatform(), Hostname: m.GetHost().GetHostname(),
	}
	for _, o := range m.GetOutbox() {
		h.Outbox = append(h.Outbox, OutboxState{
			Run: o.GetRunId(), Incarnation: o.GetIncarnation(), OldestUnacked: o.GetOldestUnacked(), NextSeq: o.GetNextSeq(),
		})
	}
	return h
}

// MarksFromProto translates marks.
func MarksFromProto(marks []*pb.CommittedMark) []Mark {
	out := make([]Mark, 0, len(marks))
	for _, m := range marks {
		out = append(out, Mark{Run: m.GetRunId(), Incarnation: m.GetIncarnation(), Through: m.GetThroughSeq(), Closed: m.GetClosed()})
	}
	return out
}

// SealedFromProto translates a sealed batch; the bytes are shared, not copied.
func SealedFromProto(m *pb.MetricsBatch) Sealed {
	return Sealed{Run: m.GetRunId(), Incarnation: m.GetIncarnation(), Seq: m.GetSeq(), Data: m.GetData()}
}

// FinalFromProto translates a Final.
func FinalFromProto(m *pb.Final) Final {
	t := m.GetTotals()
	return Final{
		Run: m.GetRunId(), Incarnation: m.GetIncarnation(), LastSeq: m.GetLastSeq(),
		Totals: Totals{
			Planned: t.GetPlanned(), Sent: t.GetSent(), Succeeded: t.GetSucceeded(),
			Failed: t.GetFailed(), Requests: t.GetRequests(),
		},
	}
}

// TaskFromProto translates a task.
func TaskFromProto(m *pb.Task) Task {
	return Task{ID: m.GetTaskId(), Run: m.GetRunId(), Kind: m.GetKind()}
}

// TaskResultFromProto translates the outcome of a task.
func TaskResultFromProto(m *pb.TaskResult) TaskResult {
	return TaskResult{ID: m.GetTaskId(), Run: m.GetRunId(), Error: m.GetError(), Saved: m.GetSavedJson(), Requests: m.GetRequests()}
}

// NackFromProto translates a refusal; a reason that this version does not know has Reason 0.
func NackFromProto(m *pb.Nack) Nack {
	n := Nack{Run: m.GetRunId(), Incarnation: m.GetIncarnation(), Want: m.GetWantSeq(), Message: m.GetMessage()}
	for reason, p := range nackReasons {
		if p == m.GetReason() {
			n.Reason = reason
		}
	}
	return n
}

// LeaderFromProto translates the leader's name.
func LeaderFromProto(m *pb.LeaderInfo) Leader {
	return Leader{Name: m.GetName(), Address: m.GetAddress(), Epoch: m.GetEpoch()}
}
