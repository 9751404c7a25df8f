package run

// Result is what a run proves. It is apart from the State: a completed run may have failed.
type Result string

// The results, from results.md.
const (
	Pass    Result = "PASS"
	Fail    Result = "FAIL"
	Invalid Result = "INVALID" // the measurement cannot be trusted
	Aborted Result = "ABORTED"
)

// Exit codes of a run and of the commands that wait for one. 2 is never used: it is what a crashed
// Go program exits with.
const (
	ExitPass        = 0
	ExitFail        = 1
	ExitAborted     = 3 // by a stop condition or a safety rule
	ExitStopped     = 4 // by an operator or a signal
	ExitInvalid     = 5
	ExitUsage       = 64 // bad usage or scenario
	ExitUnreachable = 69
	ExitInternal    = 70
	ExitNotStarted  = 75 // try later: no workers, queue timeout, closed window, halted
	ExitRefused     = 77
	ExitInterrupted = 130
)

// StopKind says who or what ended a run.
type StopKind string

// The kinds of stop.
const (
	StopCompleted  StopKind = "completed"   // every phase ended
	StopCriterion  StopKind = "criterion"   // a criterion with on_breach: abort was breached
	StopSafety     StopKind = "safety"      // a safety rule
	StopWorkerLoss StopKind = "worker_loss" // more workers were lost than the policy bears
	StopHalt       StopKind = "halt"        // an emergency halt of the whole fleet, by an operator
	StopOperator   StopKind = "operator"
	StopSignal     StopKind = "signal"
	StopError      StopKind = "error" // the run could not be carried out
)

// Valid tells whether k is one of the kinds.
func (k StopKind) Valid() bool {
	switch k {
	case StopCompleted, StopCriterion, StopSafety, StopWorkerLoss, StopHalt, StopOperator, StopSignal, StopError:
		return true
	}
	return false
}

// Fails tells whether a run that stopped so ends as FAILED, which implies the verdict INVALID.
func (k StopKind) Fails() bool { return k == StopError || k == StopWorkerLoss }

// Requestable tells whether StopRequested may carry k. The other kinds have events of their own.
func (k StopKind) Requestable() bool {
	switch k {
	case StopCriterion, StopSafety, StopHalt, StopOperator, StopSignal:
		return true
	}
	return false
}

// StoppedBy is k as the report's verdict.stopped_by shows it: empty (null) for a run that
// completed and for one that an error ended, whose reasons tell what it was.
func (k StopKind) StoppedBy() string {
	if k == StopCompleted || k == StopError {
		return ""
	}
	return string(k)
}

// Verdict is the judgement of a whole run.
type Verdict struct {
	Result    Result   `json:"result"`
	ExitCode  int      `json:"exit_code"`
	StoppedBy string   `json:"stopped_by,omitempty"` // empty: by nobody
	Reasons   []Reason `json:"reasons,omitempty"`
}

// valid tells whether the parts of v agree with each other.
func (v Verdict) valid() bool {
	switch v.Result {
	case Pass:
		return v.ExitCode == ExitPass
	case Fail:
		return v.ExitCode == ExitFail
	case Aborted:
		return v.ExitCode == ExitAborted || v.ExitCode == ExitStopped
	case Invalid:
		return v.ExitCode == ExitInvalid || v.ExitCode >= ExitUsage
	}
	return false
}
