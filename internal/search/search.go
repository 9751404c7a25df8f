package search

import (
	"fmt"
	"math"
	"slices"
)

// Bounds of what is tried again.
const (
	limitedAt   = 2 // probes of one rate in a row in which the generators were the limit, until it is a ceiling
	disturbedAt = 5 // probes in a row that were disturbed, until the search gives up
)

// Search is a search as far as it has come. It is a value: Judged returns a new one and never changes the old. The
// zero value is not ready for use.
type Search struct {
	config    Config
	tries     []try // by rate, ascending
	probes    int
	disturbed int     // in a row
	again     float64 // rate of the probe that was not valid last and is to be repeated; 0: none
	reason    string  // of the probe that was disturbed last
}

// try is what is known of one rate.
type try struct {
	rate                  float64
	held, broken, limited int    // limited: in a row
	criterion, reason     string // of the probe that broke last
	limit                 string // reason of the probe that was limited last
}

// New returns a search that has not begun. The configuration must be valid.
func New(c Config) Search { return Search{config: c} }

// Replay returns the search after the verdicts of its probes, in order.
func Replay(c Config, verdicts []Verdict) (Search, error) {
	s := New(c)
	for i, v := range verdicts {
		next, err := s.Judged(v)
		if err != nil {
			return s, fmt.Errorf("probe %d: %w", i+1, err)
		}
		s = next
	}
	return s, nil
}

// Step is what a search does next.
type Step struct {
	Rate   float64 // of the next probe; 0: there is none
	Result Result  // of a search that is done, and until then how far it has come
	Done   bool
}

// Judged returns the search after a probe. It is an error when the probe is not the one that was due: then
// nothing changes.
func (s Search) Judged(v Verdict) (Search, error) {
	due := s.Next()
	switch {
	case due.Done:
		return s, fmt.Errorf("a probe at %g/s was judged, but the search is done", v.Rate)
	case v.Rate != due.Rate:
		return s, fmt.Errorf("a probe at %g/s was judged, but %g/s is due", v.Rate, due.Rate)
	case !v.Outcome.Valid():
		return s, fmt.Errorf("unknown outcome %q of a probe", v.Outcome)
	}
	s.tries, s.again = slices.Clone(s.tries), 0
	s.probes++
	if v.Outcome == Disturbed {
		s.disturbed++
		s.again, s.reason = v.Rate, v.Reason
		return s, nil
	}
	s.disturbed = 0
	i, known := slices.BinarySearchFunc(s.tries, v.Rate, func(t try, rate float64) int { return compare(t.rate, rate) })
	if !known {
		s.tries = slices.Insert(s.tries, i, try{rate: v.Rate})
	}
	t := &s.tries[i]
	switch v.Outcome {
	case Held:
		t.held, t.limited = t.held+1, 0
	case Broken:
		t.broken, t.limited = t.broken+1, 0
		t.criterion, t.reason = v.Criterion, v.Reason
	default:
		t.limited++
		t.limit = v.Reason
		if t.limited < limitedAt {
			s.again = v.Rate
		}
	}
	return s, nil
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// score is how much more often a rate held than it broke.
func (t try) score() int { return t.held - t.broken }

// fails tells whether a rate is taken for broken as things stand.
func (s Search) fails(t try) bool {
	undecided := t.score() < s.config.Confirm
	return t.score() < 0 || t.held+t.broken >= s.config.tries() && undecided
}

// refuted tells whether a rate is taken for broken for good.
func (s Search) refuted(t try) bool {
	return s.fails(t) && (t.score() <= -s.config.majority() || t.held+t.broken >= s.config.tries())
}

// bounds are what the search stands between.
type bounds struct {
	low, high, ceiling *try // nil: none
	open               *try // a rate that held as often as it broke
}

func (s Search) bounds() bounds {
	var b bounds
	for i := range s.tries {
		t := &s.tries[i]
		if t.limited >= limitedAt {
			b.ceiling = t
			break // what is above is out of the generators' reach
		}
		switch {
		case t.held+t.broken == 0:
		case s.fails(*t):
			b.high = t
			return b
		case t.score() == 0:
			b.open = t
			return b
		default:
			b.low = t
		}
	}
	return b
}

// Next returns what is to be done now.
func (s Search) Next() Step {
	b := s.bounds()
	so := s.standing(b)
	switch {
	case s.disturbed >= disturbedAt:
		return s.done(so, Unmeasured, s.reason)
	case s.probes >= s.config.Most():
		return s.done(so, Unfinished, fmt.Sprintf("%d probes were not enough: what the target bears is not steady", s.probes))
	case s.again > 0:
		return Step{Rate: s.again, Result: so}
	case b.open != nil:
		return Step{Rate: b.open.rate, Result: so}
	case b.low == nil:
		return s.lowest(b, so)
	case b.high == nil && b.ceiling == nil:
		return s.grow(b, so)
	}
	return s.halve(b, so)
}

// standing is how far the search has come.
func (s Search) standing(b bounds) Result {
	r := Result{Kind: Unfinished, Probes: s.probes}
	if b.low != nil {
		r.Low = b.low.rate
	}
	switch {
	case b.high != nil:
		r.High, r.Criterion, r.Reason = b.high.rate, b.high.criterion, b.high.reason
	case b.ceiling != nil:
		r.High, r.Reason = b.ceiling.rate, b.ceiling.limit
	}
	return r
}

func (s Search) done(r Result, k Kind, reason string) Step {
	r.Kind = k
	if reason != "" {
		r.Reason = reason
	}
	return Step{Result: r, Done: true}
}

// lowest goes on while nothing has held yet.
func (s Search) lowest(b bounds, so Result) Step {
	switch {
	case b.high == nil && b.ceiling != nil && b.ceiling.rate <= s.config.Low:
		return s.done(so, GeneratorLimit, "")
	case b.high == nil || b.high.rate > s.config.Low:
		return Step{Rate: s.config.Low, Result: so}
	case !s.refuted(*b.high):
		return Step{Rate: b.high.rate, Result: so}
	}
	return s.done(so, TooLow, "")
}

// grow doubles the rate.
func (s Search) grow(b bounds, so Result) Step {
	const nearly = 1 + 1e-9
	switch {
	case b.low.rate < s.config.High && 2*b.low.rate*nearly < s.config.High:
		return Step{Rate: 2 * b.low.rate, Result: so}
	case b.low.rate < s.config.High:
		return Step{Rate: s.config.High, Result: so}
	case b.low.score() < s.config.Confirm:
		return Step{Rate: b.low.rate, Result: so}
	}
	return s.done(so, AtLeast, "")
}

// halve narrows the interval, and then confirms its ends: the lower one first, for it is the result.
func (s Search) halve(b bounds, so Result) Step {
	low, high := b.low.rate, so.High
	switch {
	case high-low > s.config.Precision*high*(1+1e-9):
		return Step{Rate: between(low, high), Result: so}
	case b.low.score() < s.config.Confirm:
		return Step{Rate: low, Result: so}
	case b.high == nil:
		return s.done(so, GeneratorLimit, "")
	case !s.refuted(*b.high):
		return Step{Rate: high, Result: so}
	}
	return s.done(so, Found, "")
}

// between returns the middle of two rates, rounded to a number that is easily read.
func between(low, high float64) float64 {
	middle := (low + high) / 2
	digit := math.Floor(math.Log10((high - low) / 20))
	rounded := math.Round(middle/math.Pow(10, digit)) * math.Pow(10, digit)
	if digit < 0 { // a division, so that 0.3 is not 0.30000000000000004
		rounded = math.Round(middle*math.Pow(10, -digit)) / math.Pow(10, -digit)
	}
	if rounded > low && rounded < high {
		return rounded
	}
	return middle
}
