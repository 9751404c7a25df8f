package search

import (
	"errors"
	"math"
)

// Config says what a search looks for.
type Config struct {
	Low, High float64 // arrivals per second, both above 0 and Low below High: the first rate, and the highest
	Precision float64 // how wide the result may be, as a share of its upper end; above 0 and below 1
	Confirm   int     // how often the lower end must hold; at least 1
}

// Validate reports all that is wrong with a configuration, joined.
func (c Config) Validate() error {
	var problems []error
	if !(c.Low > 0) || !(c.High > c.Low) || math.IsInf(c.High, 0) {
		problems = append(problems, errors.New("a search goes from a rate above 0 to a higher one"))
	}
	if !(c.Precision > 0) || !(c.Precision < 1) {
		problems = append(problems, errors.New("the precision of a search is above 0 and below 100 %"))
	}
	if c.Confirm < 1 {
		problems = append(problems, errors.New("a search confirms its result at least once"))
	}
	return errors.Join(problems...)
}

// majority is how often the upper end must break more often than it holds.
func (c Config) majority() int { return c.Confirm/2 + 1 }

// tries is after how many valid probes of one rate it counts as broken although it is not decided.
func (c Config) tries() int { return 2*c.Confirm + 1 }

// Usual is how many probes a search takes at most when every probe of a rate shows the same.
func (c Config) Usual() int {
	growth := 1 + int(math.Ceil(math.Log2(c.High/c.Low)))
	halving := 1 + int(math.Ceil(math.Log2(1/c.Precision)))
	return growth + halving + c.Confirm - 1 + c.majority() - 1
}

// Most is how many probes a search takes at most, whatever they show.
func (c Config) Most() int { return 2*c.Usual() + c.tries() }
