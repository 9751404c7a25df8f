package judge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"proofload/internal/run"
	"proofload/internal/scenario/quantity"
	"proofload/internal/search"
)

// verdict puts everything in the order of the rules: stopped by a person, by a rule, untrustworthy,
// breached, not judged, passed.
func (j *Judge) verdict(in Input, rows []Criterion) run.Verdict {
	breached, unjudged := deciding(rows)
	doubts := j.trust.reasons(j.plan, in)
	var found []run.Reason
	if in.Search != nil {
		found = []run.Reason{in.Search.reason()}
		// The probes have said what was measured; a search that did not get far enough has no second that counts.
		doubts = slices.DeleteFunc(doubts, func(r run.Reason) bool { return r.Code == run.CodeNothing })
		if r := in.Search.Result; r.Low == 0 {
			unjudged = nil
		}
	}
	if in.Stop != nil {
		if v, ended := stopped(*in.Stop); ended {
			v.Reasons = slices.Concat(v.Reasons, found, doubts, breached)
			return v
		}
	}
	switch {
	case in.Search != nil && !in.Search.Result.Kind.Valid():
		return run.Verdict{Result: run.Invalid, ExitCode: run.ExitInvalid, Reasons: slices.Concat(found, doubts, breached)}
	case in.Search != nil && in.Search.Result.Kind == search.TooLow && len(doubts) == 0:
		return run.Verdict{Result: run.Fail, ExitCode: run.ExitFail, Reasons: slices.Concat(found, breached, unjudged)}
	case len(doubts) > 0:
		return run.Verdict{Result: run.Invalid, ExitCode: run.ExitInvalid, Reasons: slices.Concat(doubts, breached, unjudged, found)}
	case len(breached) > 0:
		return run.Verdict{Result: run.Fail, ExitCode: run.ExitFail, Reasons: slices.Concat(breached, unjudged, found)}
	case len(unjudged) > 0:
		return run.Verdict{Result: run.Invalid, ExitCode: run.ExitInvalid, Reasons: slices.Concat(unjudged, found)}
	case len(rows) == 0 && j.trust.failed == j.trust.requests:
		return run.Verdict{Result: run.Invalid, ExitCode: run.ExitInvalid, Reasons: []run.Reason{{
			Code: run.CodeAllFailed, Message: "no request succeeded, and the scenario has no criterion that would allow that",
		}}}
	}
	reason := run.Reason{Code: run.CodeAllMet, Message: "every critical criterion holds"}
	if len(rows) == 0 {
		reason = run.Reason{Code: run.CodeNoCriteria, Message: "the scenario has no criteria; the measurement can be trusted"}
	}
	return run.Verdict{Result: run.Pass, ExitCode: run.ExitPass, Reasons: append(found, reason)}
}

// stopped is the verdict of a run that did not run to its end; false for one that did.
func stopped(s run.Stop) (run.Verdict, bool) {
	v := run.Verdict{StoppedBy: s.Kind.StoppedBy()}
	var code string
	text := s.Reason
	switch s.Kind {
	case run.StopCompleted:
		return v, false
	case run.StopOperator, run.StopSignal, run.StopHalt:
		v.Result, v.ExitCode, code = run.Aborted, run.ExitStopped, run.CodeStopped
	case run.StopCriterion, run.StopSafety:
		v.Result, v.ExitCode, code = run.Aborted, run.ExitAborted, run.CodeAborted
	case run.StopWorkerLoss:
		v.Result, v.ExitCode, code = run.Invalid, run.ExitInvalid, run.CodeWorkerLoss
	default: // an error, or a kind that nobody here knows
		v.Result, v.ExitCode, code = run.Invalid, run.ExitInvalid, run.CodeError
		if s.ExitCode != 0 {
			v.ExitCode = s.ExitCode
		}
	}
	if text == "" {
		text = fmt.Sprintf("the run was stopped: %s", s.Kind)
	}
	v.Reasons = []run.Reason{{Code: code, Message: text}}
	return v, true
}

// deciding returns reasons for the critical rows that do not hold, and for those that cannot tell. A
// severity that is not known decides: it must not hide a breach.
func deciding(rows []Criterion) (breached, unjudged []run.Reason) {
	for _, r := range rows {
		if r.Severity == "warning" || r.Severity == "info" {
			continue
		}
		switch r.Result {
		case Pass, Skipped:
		case Fail:
			breached = append(breached, run.Reason{Code: run.CodeBreached, Message: r.sentence("does not hold")})
		default:
			unjudged = append(unjudged, run.Reason{Code: run.CodeNotJudged, Message: r.sentence("cannot be judged")})
		}
	}
	return breached, unjudged
}

// sentence says what is with a row: which of its criterion's rows it is, the check unless that is the
// name, and the value that decided.
func (r Criterion) sentence(what string) string {
	s := r.Name + r.which()
	if r.Check != r.Name {
		s += ": " + r.Check
	}
	return s + r.saying(what)
}

// detail is the sentence where the name has been said.
func (r Criterion) detail(what string) string { return r.Check + r.which() + r.saying(what) }

// which says which row of its criterion it is; empty for the only one.
func (r Criterion) which() string {
	if len(r.Labels) == 0 {
		return ""
	}
	var which []string
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		which = append(which, label+" "+r.Labels[label])
	}
	return " (" + strings.Join(which, ", ") + ")"
}

// saying says what is with the row, and why.
func (r Criterion) saying(what string) string {
	s := " " + what
	if r.Observed != nil {
		s += ", observed " + quantity.Value(*r.Observed, r.Unit)
	}
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}
