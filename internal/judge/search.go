package judge

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/scenario/quantity"
	"proofload/internal/search"
)

// Searched is a capacity search as the final judgement takes it.
type Searched struct {
	Phase string
	// Windows are the stretches of run-time seconds, [from, to), in which the phase had the rate that is the result. Of
	// the time of the search only they count: that a criterion breaks above the result is what was looked for.
	Windows [][2]int64
	Result  search.Result
}

// SetSearch has only some seconds of a search count. Give it before any second.
func (j *Judge) SetSearch(s *Searched) { j.searched = s }

// masked tells whether a second belongs to a search and does not count: one without load, of a probe at another rate, or
// in which something of the phase still ended after it.
func (j *Judge) masked(index int64, arrivals map[metric.ArrivalKey]*metric.Arrivals) bool {
	s := j.searched
	if s == nil || slices.ContainsFunc(s.Windows, func(w [2]int64) bool { return index >= w[0] && index < w[1] }) {
		return false
	}
	if start, known := j.cal.start(s.Phase); known && j.cal.phases[s.Phase] != nil {
		from := time.Duration(index) * time.Second
		lo, hi := j.cal.plan(from), j.cal.plan(from+time.Second)
		if hi > start && lo < start+j.cal.length(s.Phase, start) {
			return true
		}
	}
	for key, a := range arrivals {
		if key.Phase == s.Phase && (a.Planned > 0 || a.Sent > 0 || a.Succeeded > 0 || a.Failed > 0 || a.InFlight > 0) {
			return true
		}
	}
	return false
}

// reason says what the search found.
func (s *Searched) reason() run.Reason {
	r := s.Result
	code := map[search.Kind]string{
		search.Found: run.CodeCapacity, search.AtLeast: run.CodeCapacity, search.TooLow: run.CodeNoCapacity,
		search.GeneratorLimit: run.CodeGenerator,
	}[r.Kind]
	if code == "" {
		code = run.CodeNoResult
	}
	return run.Reason{Code: code, Message: s.Sentence()}
}

// Sentence is the result in words.
func (s *Searched) Sentence() string {
	r := s.Result
	low, high := FormatRate(r.Low), FormatRate(r.High)
	why := ""
	if r.Reason != "" {
		why = ": " + r.Reason
	}
	held := "; nothing was measured before"
	if r.Low > 0 {
		held = "; up to " + low + " everything held"
	}
	switch r.Kind {
	case search.Found:
		return fmt.Sprintf("the capacity of phase %s is %s; the next step breaks %q%s", s.Phase, Interval(r), r.Criterion, why)
	case search.AtLeast:
		return fmt.Sprintf("phase %s bears %s at least, the highest rate that was tried", s.Phase, low)
	case search.TooLow:
		return fmt.Sprintf("phase %s does not bear %s, the lowest rate that was tried%s", s.Phase, high, why)
	case search.GeneratorLimit:
		return fmt.Sprintf("the generators were the limit at %s of phase %s%s%s", high, s.Phase, held, why)
	case search.Unmeasured:
		return fmt.Sprintf("the search in phase %s could not measure%s%s", s.Phase, held, why)
	}
	broke := ""
	if r.High > 0 {
		broke = fmt.Sprintf(", at %s %q broke", high, r.Criterion)
		if r.Criterion == "" {
			broke = fmt.Sprintf(", at %s the generators were the limit", high)
		}
	}
	return fmt.Sprintf("the search in phase %s did not come to its end after %d probes%s%s; nothing of it is confirmed", s.Phase, r.Probes, held, broke)
}

// Interval renders the result of a search that is an interval.
func Interval(r search.Result) string {
	return fmt.Sprintf("%s to %s", quantity.Digits(r.Low), FormatRate(r.High))
}

// FormatRate renders a rate of a search.
func FormatRate(rate float64) string { return quantity.Value(rate, "1/s") }
