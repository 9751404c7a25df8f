package search

// Outcome is what one probe shows.
type Outcome string

// The outcomes of a probe.
const (
	Held      Outcome = "held"      // the criteria held
	Broken    Outcome = "broken"    // the target broke a criterion
	Limited   Outcome = "limited"   // the generators were the limit, so that nothing is known of the target
	Disturbed Outcome = "disturbed" // it could not be measured for another reason
)

// Valid tells whether o is one of the outcomes.
func (o Outcome) Valid() bool {
	switch o {
	case Held, Broken, Limited, Disturbed:
		return true
	}
	return false
}

// Verdict is one probe as it was judged.
type Verdict struct {
	Rate    float64 `json:"rate"` // arrivals per second
	Outcome Outcome `json:"outcome"`
	// Criterion is the name of the one that broke; empty unless the outcome is Broken.
	Criterion string `json:"criterion,omitempty"`
	// Reason is a sentence that says why the outcome is not Held.
	Reason string `json:"reason,omitempty"`
}
