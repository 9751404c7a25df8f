package report

import (
	"proofload/internal/judge"
	"proofload/internal/run"
)

// verdict renders what the judge made of the run as a whole.
func verdict(v run.Verdict) Verdict {
	out := Verdict{Result: string(v.Result), ExitCode: v.ExitCode, Reasons: []Reason{}}
	if v.StoppedBy != "" {
		out.StoppedBy = &v.StoppedBy
	}
	for _, r := range v.Reasons {
		out.Reasons = append(out.Reasons, Reason{Code: r.Code, Message: r.Message})
	}
	return out
}

// criteria renders the rows of the criteria.
func criteria(in []judge.Criterion) []Criterion {
	rows := make([]Criterion, 0, len(in))
	for _, c := range in {
		rows = append(rows, Criterion{
			Name: c.Name, Check: c.Check, Labels: notNil(c.Labels), During: list(c.During), Severity: c.Severity,
			Observed: c.Observed, Limit: c.Limit, Unit: c.Unit, Met: c.Met, Result: string(c.Result), Reason: c.Reason,
			Violations: list(c.Violations),
		})
	}
	return rows
}

// violations renders the stretches in which criteria did not hold.
func violations(in []judge.Violation) []Violation {
	rows := make([]Violation, 0, len(in))
	for _, v := range in {
		rows = append(rows, Violation{
			ID: v.ID, Criterion: v.Criterion, Labels: notNil(v.Labels), Severity: v.Severity, FromS: seconds(v.From), ToS: seconds(v.To),
			Worst: v.Worst, Limit: v.Limit, Unit: v.Unit, Series: v.Series, Faults: []string{},
			Impact: Impact{Requests: v.Requests, Failed: v.Failed},
		})
	}
	return rows
}
