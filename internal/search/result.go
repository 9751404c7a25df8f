package search

// Kind says what a search has found.
type Kind string

// The kinds of results.
const (
	// Found: Low held and High broke, both as often as they had to, and they lie close enough.
	Found Kind = "found"
	// AtLeast: Low, which is the highest rate of the configuration, held as often as it had to.
	AtLeast Kind = "at_least"
	// TooLow: the lowest rate of the configuration, which is High, broke.
	TooLow Kind = "too_low"
	// GeneratorLimit: up to Low everything held, and at High the generators were the limit.
	GeneratorLimit Kind = "generator_limit"
	// Unmeasured: a rate could not be measured however often it was tried.
	Unmeasured Kind = "unmeasured"
	// Unfinished: the search did not come to its end; Low and High are how far it came.
	Unfinished Kind = "unfinished"
)

// Valid tells whether the result is one about the target.
func (k Kind) Valid() bool { return k == Found || k == AtLeast || k == TooLow }

// Result is what a search has found, or how far it has come.
type Result struct {
	Kind Kind
	// Low is the highest rate that held, with none below it that broke; 0: none.
	Low float64
	// High is the lowest rate above Low that broke, or with GeneratorLimit at which the generators were the limit; 0: none.
	High float64
	// Criterion is the name of the one that broke at High last, and Reason a sentence about High.
	Criterion, Reason string
	Probes            int // how many there were
}
