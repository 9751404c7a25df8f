package wire

import (
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

var goals = map[Goal]pb.Assignment_Goal{
	GoalPrepare: pb.Assignment_GOAL_PREPARE,
	GoalRun:     pb.Assignment_GOAL_RUN,
	GoalStop:    pb.Assignment_GOAL_STOP,
}

var nackReasons = map[NackReason]pb.Nack_Reason{
	NackGap:        pb.Nack_REASON_GAP,
	NackCorrupt:    pb.Nack_REASON_CORRUPT,
	NackUnknownRun: pb.Nack_REASON_UNKNOWN_RUN,
	NackClosed:     pb.Nack_REASON_RUN_CLOSED,
}

// AssignmentToProto translates an assignment.
func AssignmentToProto(a Assignment) *pb.Assignment {
	m := &pb.Assignment{
		Revision: a.Revision, RunId: a.Run, PlanDigest: a.PlanDigest, Secrets: a.Secrets,
		SetupJson: a.Setup, Goal: goals[a.Goal], T0Nanos: a.T0, ShardRevision: a.ShardRevision,
		Permits: a.Permits, Drain: durationpb.New(a.Drain), StopKind: string(a.Stop.Kind), StopReason: a.Stop.Reason,
	}
	if a.Stop.Order != (Order{}) {
		m.StopOrder = HaltToProto(Halt{Run: a.Run, Kind: a.Stop.Kind, Reason: a.Stop.Reason, Order: a.Stop.Order})
	}
	if a.Lift.Number > 0 {
		m.HaltLift = &pb.HaltLift{Number: a.Lift.Number, LiftTime: timestamppb.New(a.Lift.At), LiftedRequestIds: a.Lift.Of}
	}
	for _, r := range a.Ranges {
		m.Ranges = append(m.Ranges, &pb.ShardRange{From: uint32(r.From), To: uint32(r.To), SinceNanos: int64(r.Since), UntilNanos: int64(r.Until)})
	}
	for _, c := range a.History {
		m.History = append(m.History, ChangeToProto(c))
	}
	return m
}

// ChangeToProto translates one entry of a run's history.
func ChangeToProto(c run.Change) *pb.Change {
	return &pb.Change{
		Id: c.ID, Kind: string(c.Kind), AtNanos: int64(c.At),
		Factor: c.Factor, Phase: c.Phase, Reason: c.Reason, Rate: c.Rate, ForNanos: int64(c.For),
	}
}

// StatusToProto translates a worker's status; nil stays nil.
func StatusToProto(s *Status) *pb.AssignmentStatus {
	if s == nil {
		return nil
	}
	m := &pb.AssignmentStatus{
		RunId: s.Run, Revision: s.Revision, State: pb.WorkerRunState(s.State),
		Error: s.Error, StartSkewNanos: int64(s.Skew), T0Nanos: s.T0, Changes: uint32(s.Changes), HandOverNanos: int64(s.HandOver), HandOverHeardNanos: int64(s.Heard), StoppedAlone: s.Stop.Alone, GrantedNanos: int64(s.Granted), StopKind: string(s.Stop.Kind), StopReason: s.Stop.Reason, Permits: s.Permits,
		StoppedNanos: int64(s.Stop.At),
	}
	if s.Stop.Order != (Order{}) {
		m.Halt = HaltToProto(Halt{Run: s.Run, Kind: s.Stop.Kind, Reason: s.Stop.Reason, Order: s.Stop.Order})
	}
	for _, p := range s.Phases {
		m.Phases = append(m.Phases, &pb.PhaseStatus{Phase: p.Phase, Started: p.Started, Ended: p.Ended, InFlight: p.InFlight})
	}
	return m
}

// HelloToProto translates a worker's introduction.
func HelloToProto(h Hello) *pb.Hello {
	m := &pb.Hello{
		ProtocolVersion: h.Protocol, Name: h.Name, InstanceId: h.Instance, ProcessNonce: h.Nonce,
		Version: h.Version, Labels: h.Labels, Capacity: h.Capacity, HighestEpoch: h.HighestEpoch,
		ClusterId: h.Cluster, Incarnation: h.Incarnation, Status: StatusToProto(h.Status),
		Host: &pb.Host{Cpus: h.CPUs, MemoryBytes: h.MemoryBytes, Platform: h.Platform, Hostname: h.Hostname},
	}
	for _, o := range h.Outbox {
		m.Outbox = append(m.Outbox, &pb.OutboxState{
			RunId: o.Run, Incarnation: o.Incarnation, OldestUnacked: o.OldestUnacked, NextSeq: o.NextSeq,
		})
	}
	return m
}

// MarksToProto translates marks.
func MarksToProto(marks []Mark) []*pb.CommittedMark {
	out := make([]*pb.CommittedMark, 0, len(marks))
	for _, m := range marks {
		out = append(out, &pb.CommittedMark{RunId: m.Run, Incarnation: m.Incarnation, ThroughSeq: m.Through, Closed: m.Closed})
	}
	return out
}

// SealedToProto translates a sealed batch; the bytes are shared, not copied.
func SealedToProto(s Sealed) *pb.MetricsBatch {
	return &pb.MetricsBatch{RunId: s.Run, Incarnation: s.Incarnation, Seq: s.Seq, Data: s.Data}
}

// FinalToProto translates a Final.
func FinalToProto(f Final) *pb.Final {
	return &pb.Final{
		RunId: f.Run, Incarnation: f.Incarnation, LastSeq: f.LastSeq,
		Totals: &pb.Totals{
			Planned: f.Totals.Planned, Sent: f.Totals.Sent, Succeeded: f.Totals.Succeeded,
			Failed: f.Totals.Failed, Requests: f.Totals.Requests,
		},
	}
}

// TaskToProto translates a task.
func TaskToProto(t Task) *pb.Task { return &pb.Task{TaskId: t.ID, RunId: t.Run, Kind: t.Kind} }

// TaskResultToProto translates the outcome of a task.
func TaskResultToProto(t TaskResult) *pb.TaskResult {
	return &pb.TaskResult{TaskId: t.ID, RunId: t.Run, Error: t.Error, SavedJson: t.Saved, Requests: t.Requests}
}

// NackToProto translates a refusal.
func NackToProto(n Nack) *pb.Nack {
	return &pb.Nack{RunId: n.Run, Incarnation: n.Incarnation, WantSeq: n.Want, Reason: nackReasons[n.Reason], Message: n.Message}
}

// LeaderToProto translates the leader's name.
func LeaderToProto(l Leader) *pb.LeaderInfo {
	return &pb.LeaderInfo{Name: l.Name, Address: l.Address, Epoch: l.Epoch}
}
