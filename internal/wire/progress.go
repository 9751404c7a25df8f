package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "proofload/proto/proofload/v1"
)

// Progress is the live view of a run. What lies beyond CommittedThrough is provisional.
type Progress struct {
	RunTime          time.Duration
	CommittedThrough int64 // run-time second; -1: none
	Load             Counts
	Window           Window
	Phases           []PhaseProgress
	Validity         string // VALID | DEGRADED | INVALID, of the last second; empty before the first
	Causes           []string
	Criteria         []CriterionProgress
}

// Counts counts arrivals and requests since T0.
type Counts struct {
	Planned, Sent, Succeeded, Failed int64
	NotSent                          map[string]int64
	InFlight                         int64
	Requests, Errors                 int64
	Unsent                           int64 // requests that never left, and not because of the target; no requests and no errors
}

// Window is the statistics of the last seconds; the percentiles are 0 without samples.
type Window struct {
	Length                         time.Duration
	Rate                           float64 // requests per second
	ErrorRatio                     float64
	Samples                        int64
	P50, P95, P99, ServiceP99, Lag time.Duration
	End                            time.Duration // run time of its end; 0 before the first second
}

// PhaseProgress is how far one phase is. State is pending, running, draining or ended.
type PhaseProgress struct {
	Name   string
	State  string
	Start  time.Duration
	Length time.Duration
	Load   Counts
}

// CriterionProgress is a criterion as judged so far. Result is PASS, FAIL, INVALID or PENDING.
type CriterionProgress struct {
	Name, Result, Observed string
}

// Event is something that happened in a run.
type Event struct {
	Number  uint64
	RunTime time.Duration
	Kind    string
	Detail  string
	Time    time.Time
}

// ProgressToProto translates a live view; nil stays nil.
func ProgressToProto(p *Progress) *pb.Progress {
	if p == nil {
		return nil
	}
	m := &pb.Progress{
		RunTimeNanos: int64(p.RunTime), CommittedThroughSecond: p.CommittedThrough,
		Load: countsToProto(p.Load), Window: windowToProto(p.Window),
		Validity: p.Validity, ValidityCauses: p.Causes,
	}
	for _, ph := range p.Phases {
		m.Phases = append(m.Phases, &pb.PhaseProgress{
			Name: ph.Name, State: ph.State, StartNanos: int64(ph.Start),
			Length: durationpb.New(ph.Length), Load: countsToProto(ph.Load),
		})
	}
	for _, c := range p.Criteria {
		m.Criteria = append(m.Criteria, &pb.CriterionProgress{Name: c.Name, Result: c.Result, Observed: c.Observed})
	}
	return m
}

func countsToProto(c Counts) *pb.LoadCounts {
	return &pb.LoadCounts{
		Planned: c.Planned, Sent: c.Sent, NotSent: c.NotSent, Succeeded: c.Succeeded,
		Failed: c.Failed, InFlight: c.InFlight, Requests: c.Requests, Errors: c.Errors, Unsent: c.Unsent,
	}
}

func windowToProto(w Window) *pb.LiveWindow {
	m := &pb.LiveWindow{Length: durationpb.New(w.Length), RequestsPerSecond: w.Rate, ErrorRatio: w.ErrorRatio, EndNanos: int64(w.End)}
	if w.Samples > 0 {
		m.P50, m.P95, m.P99 = durationpb.New(w.P50), durationpb.New(w.P95), durationpb.New(w.P99)
		m.ServiceP99, m.LagP99 = durationpb.New(w.ServiceP99), durationpb.New(w.Lag)
	}
	return m
}

// EventToProto translates an event.
func EventToProto(e Event) *pb.RunEvent {
	return &pb.RunEvent{
		Number: e.Number, RunTimeNanos: int64(e.RunTime), Kind: e.Kind, Detail: e.Detail,
		Time: timestamppb.New(e.Time),
	}
}
