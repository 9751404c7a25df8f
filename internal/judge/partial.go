package judge

import "proofload/internal/scenario"

// Partial returns a copy of the plan with those of its criteria that abort and whose breach by a part of the load is
// one by the whole: shares of errors and statistics of times mean the same for a part, and an upper limit on a
// rate or a number that a part exceeds is exceeded. It is nil when there is none.
func Partial(plan *scenario.Plan) *scenario.Plan {
	own := *plan
	own.Criteria = nil
	for _, c := range plan.Criteria {
		if c.OnBreach == "abort" && partial(c.Check) {
			own.Criteria = append(own.Criteria, c)
		}
	}
	if len(own.Criteria) == 0 {
		return nil
	}
	return &own
}

func partial(c scenario.Check) bool {
	if c.Over == nil && (c.Op == "<" || c.Op == "<=") {
		switch c.Left.Stat {
		case scenario.StatRate, scenario.StatCount, scenario.StatSum:
			return true
		}
	}
	return scaleFree(c.Left) && (c.Over == nil || scaleFree(*c.Over))
}

// scaleFree reports whether a statistic means the same for a part of the load as for the whole.
func scaleFree(s scenario.Selection) bool {
	switch s.Stat {
	case scenario.StatErrorRatio:
		return true
	case scenario.StatMean, scenario.StatMin, scenario.StatMax, scenario.StatStddev, scenario.StatQuantile:
		return s.Metric != scenario.MetricInFlight
	}
	return false
}
