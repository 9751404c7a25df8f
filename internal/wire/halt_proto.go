package wire

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

// HaltToProto translates a halt.
func HaltToProto(h Halt) *pb.Halt {
	return &pb.Halt{
		RunId: h.Run, Kind: string(h.Kind), Reason: h.Reason,
		RequestId: h.Request, AskedOf: h.AskedOf, AskedTime: moment(h.Asked), LiftsKnown: h.Lifts,
	}
}

// HaltFromProto translates a halt; that of nil is the zero Halt.
func HaltFromProto(m *pb.Halt) Halt {
	h := Halt{Run: m.GetRunId(), Kind: run.StopKind(m.GetKind()), Reason: m.GetReason(), Order: orderFromProto(m)}
	h.Lifts = m.GetLiftsKnown()
	return h
}

// orderFromProto translates what identifies a stop, without the lifts that were known.
func orderFromProto(m interface {
	GetRequestId() string
	GetAskedOf() string
	GetAskedTime() *timestamppb.Timestamp
},
) Order {
	o := Order{Request: m.GetRequestId(), AskedOf: m.GetAskedOf()}
	if at := m.GetAskedTime(); at != nil {
		o.Asked = at.AsTime()
	}
	return o
}

// moment translates a time; the zero time is none.
func moment(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// StopRequestToProto translates a stop of one run, as one coordinator passes it to another.
func StopRequestToProto(h Halt) *pb.StopRunRequest {
	return &pb.StopRunRequest{
		RequestId: h.Request, RunId: h.Run, Reason: h.Reason, BySignal: h.Kind == run.StopSignal, AskedOf: h.AskedOf, AskedTime: moment(h.Asked),
	}
}

// StopRequestFromProto translates a stop of one run.
func StopRequestFromProto(m *pb.StopRunRequest) Halt {
	kind := run.StopOperator
	if m.GetBySignal() {
		kind = run.StopSignal
	}
	return Halt{Run: m.GetRunId(), Kind: kind, Reason: cmp.Or(m.GetReason(), "stopped by "+string(kind)), Order: orderFromProto(m)}
}

// PassedToProto translates how far a stop has come that is not recorded, and why it is not.
func PassedToProto(p Passed, why string) *pb.StopPassedOn {
	return &pb.StopPassedOn{ToldWorkers: p.Told, StoppedWorkers: p.Stopped, Coordinators: p.Coordinators, UnreachedCoordinators: p.Missed, Reason: why}
}

// PassedFromProto translates how far a stop has come.
func PassedFromProto(m *pb.StopPassedOn) Passed {
	return Passed{Told: m.GetToldWorkers(), Stopped: m.GetStoppedWorkers(), Coordinators: m.GetCoordinators(), Missed: m.GetUnreachedCoordinators()}
}

// HaltRequestToProto translates a halt of every run, as one coordinator passes it to another.
func HaltRequestToProto(h Halt) *pb.HaltRequest {
	return &pb.HaltRequest{
		RequestId: h.Request, Reason: h.Reason, AskedBy: h.By, AskedOf: h.AskedOf, AskedTime: moment(h.Asked), LiftsKnown: h.Lifts,
	}
}

// HaltRequestFromProto translates a halt of every run.
func HaltRequestFromProto(m *pb.HaltRequest) Halt {
	h := Halt{Kind: run.StopHalt, Reason: m.GetReason(), By: m.GetAskedBy(), Order: orderFromProto(m)}
	h.Lifts = m.GetLiftsKnown()
	return h
}

// HaltedToProto translates a halt that is in force; nil stays nil.
func HaltedToProto(h *Halted) *pb.HaltInfo {
	if h == nil {
		return nil
	}
	return &pb.HaltInfo{
		SinceTime: timestamppb.New(h.Since), Reason: h.Reason, AskedBy: h.By, AskedOf: h.AskedOf, RequestId: h.Request, Recorded: h.Recorded,
	}
}

// HaltedFromProto translates a halt that is in force.
func HaltedFromProto(m *pb.HaltInfo) Halted {
	return Halted{
		Since: m.GetSinceTime().AsTime(), Reason: m.GetReason(), By: m.GetAskedBy(), AskedOf: m.GetAskedOf(), Request: m.GetRequestId(), Recorded: m.GetRecorded(),
	}
}

// OutcomeToProto translates what became of a halt.
func OutcomeToProto(o Outcome) *pb.HaltResponse {
	m := &pb.HaltResponse{RunIds: o.Runs, ToldWorkers: o.Told, StoppedWorkers: o.Stopped, Coordinators: o.Coordinators, UnreachedCoordinators: o.Missed, UnrecordedReason: o.Why}
	if !o.Lifted {
		m.Halt = HaltedToProto(&o.Halted)
	}
	return m
}

// OutcomeFromProto translates what became of a halt.
func OutcomeFromProto(m *pb.HaltResponse) Outcome {
	return Outcome{
		Passed: Passed{Runs: m.GetRunIds(), Told: m.GetToldWorkers(), Stopped: m.GetStoppedWorkers(), Coordinators: m.GetCoordinators(), Missed: m.GetUnreachedCoordinators()},
		Halted: HaltedFromProto(m.GetHalt()), Lifted: m.GetHalt() == nil, Why: m.GetUnrecordedReason(),
	}
}
