package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

// RunView is a run as it is seen from outside at one moment.
type RunView struct {
	Run              run.Run
	Progress         *Progress // nil when the run is not under load
	Elapsed, Paused  time.Duration
	Planned          time.Duration // length of the plan when nothing delays it
	Workers          []string
	ProvisionalSince time.Time // since when what is shown is not committed; zero: it is
	CaretakerSince   time.Time // since when it is shown by a coordinator that leads no more; zero: it is not
	Ended            bool      // no more will come
}

// Update is what somebody who watches a run is told at once.
type Update struct {
	View   RunView
	Events []Event // since the last update
	Missed uint64  // views between this and the last update that were lost, because it was not taken in time
}

var states = map[run.State]pb.RunState{
	run.Idle: pb.RunState_RUN_STATE_IDLE, run.Validating: pb.RunState_RUN_STATE_VALIDATING,
	run.Initializing: pb.RunState_RUN_STATE_INITIALIZING, run.Running: pb.RunState_RUN_STATE_RUNNING,
	run.Paused: pb.RunState_RUN_STATE_PAUSED, run.Stopping: pb.RunState_RUN_STATE_STOPPING,
	run.Completed: pb.RunState_RUN_STATE_COMPLETED, run.Failed: pb.RunState_RUN_STATE_FAILED,
}

var verdicts = map[run.Result]pb.Verdict{
	run.Pass: pb.Verdict_VERDICT_PASS, run.Fail: pb.Verdict_VERDICT_FAIL,
	run.Invalid: pb.Verdict_VERDICT_INVALID, run.Aborted: pb.Verdict_VERDICT_ABORTED,
}

// StateToProto translates a state.
func StateToProto(s run.State) pb.RunState { return states[s] }

// StateFromProto translates a state; an unknown one is empty.
func StateFromProto(s pb.RunState) run.State {
	for state, p := range states {
		if p == s {
			return state
		}
	}
	return ""
}

// RunToProto translates a run.
func RunToProto(v RunView) *pb.Run {
	r := v.Run
	m := &pb.Run{
		Id: r.ID, Name: r.Name, Environment: r.Environment, Labels: r.Labels,
		State: states[r.State], Reason: r.Reason, StateTime: timestamppb.New(r.Since), CreateTime: timestamppb.New(r.CreatedAt),
		StartTime: stamp(r.T0), EndTime: stamp(r.EndedAt), Elapsed: durationpb.New(v.Elapsed), Paused: durationpb.New(v.Paused),
		Scale: r.Factor, ScenarioSha256: r.Scenario, Seed: r.Seed, Workers: v.Workers, Planned: durationpb.New(v.Planned),
	}
	if !v.ProvisionalSince.IsZero() {
		m.ProvisionalSince = timestamppb.New(v.ProvisionalSince)
	}
	if !v.CaretakerSince.IsZero() {
		m.CaretakerSince = timestamppb.New(v.CaretakerSince)
	}
	if r.Verdict != nil {
		m.Verdict, m.ExitCode = verdicts[r.Verdict.Result], int32(r.Verdict.ExitCode)
		for _, reason := range r.Verdict.Reasons {
			m.VerdictReasons = append(m.VerdictReasons, &pb.VerdictReason{Code: reason.Code, Message: reason.Message})
		}
	}
	for _, t := range r.Transitions {
		m.Transitions = append(m.Transitions, &pb.Transition{
			From: states[t.From], To: states[t.To], Time: timestamppb.New(t.At), Reason: t.Reason,
		})
	}
	return m
}

func stamp(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}
