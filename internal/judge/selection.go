package judge

import (
	"fmt"
	"regexp"
	"slices"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// placeLabels tell where in the plan an operation stands.
var placeLabels = []string{"phase", "flow", "step"}

// timed are the metrics for which an arrival that was held back is a value above every limit, and
// the age of an operation in flight a lower bound.
var timed = []string{metric.ResponseTime, metric.ServiceTime, metric.Iterations}

// parts are the counters of some of the requests. They are 0 where there were requests and none of these.
var parts = []string{metric.Retried, metric.Redirects}

// matcher compares one label.
type matcher struct {
	label, op, value string
	pattern          *regexp.Regexp // of =~ and !~
}

func newMatcher(m scenario.Matcher) (matcher, error) {
	out := matcher{label: m.Label, op: m.Op, value: m.Value}
	switch m.Op {
	case "=", "!=":
		return out, nil
	case "=~", "!~":
		p, err := regexp.Compile("^(?:" + m.Value + ")$")
		if err != nil {
			return out, fmt.Errorf("matcher of label %s: %w", m.Label, err)
		}
		out.pattern = p
		return out, nil
	}
	return out, fmt.Errorf("matcher of label %s: unknown operator %q", m.Label, m.Op)
}

// match compares a value; an absent label is the empty text.
func (m matcher) match(value string) bool {
	switch m.op {
	case "=":
		return value == m.value
	case "!=":
		return value != m.value
	case "=~":
		return m.pattern.MatchString(value)
	}
	return !m.pattern.MatchString(value)
}

// selection is a compiled scenario.Selection.
type selection struct {
	scenario.Selection
	metric   string    // under which the values are recorded
	outcome  []matcher // of outcome labels
	other    []matcher // of all other labels
	latency  bool      // one of timed
	inFlight bool      // made from arrivals, not from a series
}

func newSelection(s scenario.Selection) (selection, error) {
	out := selection{Selection: s, metric: s.Metric}
	switch s.Metric {
	case scenario.MetricRequests:
		out.metric = metric.ResponseTime
	case scenario.MetricInFlight:
		out.inFlight = true
	}
	switch s.Stat {
	case scenario.StatMean, scenario.StatStddev, scenario.StatMin, scenario.StatMax, scenario.StatQuantile, scenario.StatTrend:
		out.latency = slices.Contains(timed, out.metric)
	case scenario.StatSum:
		out.latency = s.Metric != scenario.MetricRequests && slices.Contains(timed, out.metric)
	case scenario.StatCount, scenario.StatRate, scenario.StatErrorRatio:
	default:
		return out, fmt.Errorf("unknown statistic %q", s.Stat)
	}
	if s.Stat == scenario.StatQuantile && !(s.Quantile > 0 && s.Quantile <= 1) {
		return out, fmt.Errorf("quantile %v is not in (0, 1]", s.Quantile)
	}
	for _, m := range s.Matchers {
		c, err := newMatcher(m)
		if err != nil {
			return out, err
		}
		if slices.Contains(scenario.OutcomeLabels, m.Label) {
			out.outcome = append(out.outcome, c)
		} else {
			out.other = append(out.other, c)
		}
	}
	return out, nil
}

// counts tells whether the statistic only counts, so that nothing selected is a 0.
func (s selection) counts() bool {
	switch s.Stat {
	case scenario.StatCount, scenario.StatRate, scenario.StatSum, scenario.StatErrorRatio:
		return true
	}
	return false
}

// additive tells whether the value grows with the time that it covers.
func (s selection) additive() bool {
	switch s.Stat {
	case scenario.StatCount, scenario.StatRate, scenario.StatSum:
		return true
	}
	return false
}

// totals tells whether the statistic states a total, to which every second belongs.
func (s selection) totals() bool {
	return s.Stat == scenario.StatCount || s.Stat == scenario.StatSum
}

// charged tells whether the statistic would be another one had nothing been held back.
func (s selection) charged() bool { return slices.Contains(timed, s.metric) }

// reads tells whether series of a metric say anything to the selection. Requests that never left are in
// doubt wherever those are looked at that did, and those that did were tried where some of them are counted.
func (s selection) reads(name string) bool {
	requests := s.metric == metric.ResponseTime || s.metric == metric.ServiceTime
	return !s.inFlight && (name == s.metric || name == metric.Unsent && requests || name == metric.ResponseTime && s.among())
}

// tellsWorkers tells whether the selection names the label of the workers.
func (s selection) tellsWorkers() bool {
	return slices.ContainsFunc(s.other, func(m matcher) bool { return m.label == "worker" })
}

// among tells whether the metric counts some of the requests.
func (s selection) among() bool { return slices.Contains(parts, s.metric) }

// base matches what was tried: all labels but those of the outcome.
func (s selection) base(l metric.Labels) bool { return all(s.other, l) }

// narrow matches the labels of the outcome.
func (s selection) narrow(l metric.Labels) bool { return all(s.outcome, l) }

func all(ms []matcher, l metric.Labels) bool {
	for _, m := range ms {
		if !m.match(l.Get(m.label)) {
			return false
		}
	}
	return true
}

// onlyCounts tells whether the outcome does not matter: a request that failed was a request.
func (s selection) onlyCounts() bool { return s.additive() && !s.latency && len(s.outcome) == 0 }
