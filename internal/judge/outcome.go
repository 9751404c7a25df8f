package judge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario/quantity"
)

// Result is what one row of a criterion proves.
type Result string

// The results of a row.
const (
	Pass    Result = "PASS"
	Fail    Result = "FAIL"
	Invalid Result = "INVALID" // no samples, or none that can be trusted
	Skipped Result = "SKIPPED" // what it is about was left out on purpose, as a fault of fault_policy: skip
)

// Criterion is one result row, in the fields of the report.
type Criterion struct {
	Name     string
	Check    string // as written
	Labels   map[string]string
	During   []string
	Severity string
	Observed *float64 // the value that decided, with windows the worst; nil: none, or beyond every number
	Limit    float64
	Unit     string
	Met      *float64 // share of the windows that held; nil without windows
	Result   Result
	Reason   string // why the result is not PASS, where the numbers do not tell
	// Violations are the ids of the row's violations.
	Violations []string

	violations []Violation
}

// Violation is a stretch of run time in which a criterion did not hold.
type Violation struct {
	ID        string
	Criterion string
	Labels    map[string]string
	Severity  string
	// From and To are run time: whole windows, or whole seconds; what began under load ends with it at the latest.
	From, To time.Duration
	// KnownAt is the run time at which it was first certain: the end of the window with which it had
	// lasted for `for`; without windows that of its last second. It is not after To.
	KnownAt time.Duration
	Worst   *float64 // nil: beyond every number
	Limit   float64
	Unit    string
	Series  string // what was looked at
	// Requests ended in that time where the criterion looks, and Failed of them failed.
	Requests, Failed int64

	labels metric.Labels
}

// endBy cuts off what a violation has of its last window beyond the end of the run.
func (v *Violation) endBy(end time.Duration) {
	v.To = max(v.From, min(v.To, end))
	v.KnownAt = min(v.KnownAt, v.To)
}

// ViolationID names a violation: the same for everyone who judges the same run, live or finally.
func ViolationID(runID, criterion string, labels metric.Labels, from time.Duration) string {
	h := sha256.New()
	for _, part := range []string{runID, criterion, labels.String(), strconv.FormatInt(int64(from/time.Second), 10)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Breach is a criterion breached for as long as its `for` says, seen live.
type Breach struct {
	Violation
	OnBreach string // none | alert | abort
	Message  string
}

// breach makes a violation an event. It still may grow.
func (v Violation) breach(c *criterion) Breach {
	value := "above every limit"
	if v.Worst != nil {
		value = quantity.Value(*v.Worst, c.Check.Unit)
	}
	return Breach{
		Violation: v, OnBreach: c.OnBreach,
		Message: fmt.Sprintf("%s: %s, observed %s from %v to %v", c.Name, c.Source, value, v.From, v.To),
	}
}

// ViolationID returns the id under which the final judgement of the run lists the breach.
func (b Breach) ViolationID(runID string) string {
	return ViolationID(runID, b.Criterion, b.labels, b.From)
}

// Input is what the final judgement needs besides the seconds.
type Input struct {
	Run  string    // id
	Stop *run.Stop // why the run ended; nil: it completed
	// Completeness is the share of what the workers sealed that is committed, 0 to 1.
	Completeness float64
	// Gaps describe what is missing, one sentence each.
	Gaps []string
	// WorkerLost and Unknown are arrivals that are in no second: due while nobody owned their shard,
	// or in a stretch whose batches are lost.
	WorkerLost, Unknown int64
	// Search is the search of the run, if it has one and came as far as to begin it.
	Search *Searched
}

// loadEnd is the run time at which the load ended; 0: it is not known, or there was none.
func (in Input) loadEnd() time.Duration {
	if in.Stop == nil {
		return 0
	}
	return in.Stop.At
}

// Outcome is the judgement of a run.
type Outcome struct {
	Verdict    run.Verdict
	Criteria   []Criterion
	Violations []Violation
	Generator  Generator
}

// Generator is what the seconds under load say of those who made the load; warm-up and pauses are left
// out, as they are of all that decides whether a run can be trusted.
type Generator struct {
	Seconds  int64 // with load; those that nobody told of are among them
	Degraded int64 // in which the generator was near its limit
	Invalid  int64 // in which it was the limit, or of which nothing is known
	Causes   map[string]Strain
	Lag      *hist.Histogram // schedule lag; empty when nothing was sent
}

// Strain counts the seconds that have one cause of not being valid.
type Strain struct{ Degraded, Invalid int64 }
