package run

// Reason is one reason of a verdict: a stable code for programs and a sentence for people.
type Reason struct {
	Code    string `json:"code"` // one of those below
	Message string `json:"message"`
}

// Codes of reasons. They are public, for they stand in reports: codes are added, never renamed. This is
// the whole of them, and docs/results.md lists the same.
const (
	CodeAllMet      = "criteria_met"
	CodeNoCriteria  = "no_criteria"        // it measured, and there was nothing to judge
	CodeAllFailed   = "nothing_succeeded"  // and there was nothing to say whether that is right
	CodeBreached    = "criterion_breached" // a critical criterion does not hold
	CodeNotJudged   = "criterion_invalid"  // a critical criterion cannot be judged
	CodeNothing     = "nothing_measured"
	CodeNotSent     = "not_sent"           // the generator did not send enough of what was planned
	CodeIncomplete  = "incomplete"         // samples are missing
	CodeScheduleLag = "schedule_lag"       // arrivals were sent late
	CodeGenerator   = "generator_limited"  // too many seconds were not valid
	CodeDisordered  = "disordered"         // the seconds were not given in order
	CodeUnreadable  = "samples_unreadable" // committed samples could not be read
	CodeCapacity    = "capacity_found"     // the search found what the target bears
	CodeNoCapacity  = "capacity_too_low"   // the target does not bear the lowest rate of the search
	CodeNoResult    = "search_unfinished"  // the search proves nothing
	CodeStopped     = "stopped"            // by an operator, a signal or a halt
	CodeAborted     = "aborted"            // by a stop condition or a safety rule
	CodeWorkerLoss  = "worker_loss"        // more workers were lost than the policy bears
	CodeError       = "error"              // the run could not be carried out
	CodeDamaged     = "damaged"            // what is stored of the run is, so that nobody could go on with it
	CodeInternal    = "internal"           // the judgement contradicts the record: a defect of Proofload
)
