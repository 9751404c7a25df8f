package report

import "time"

// Schema names the format of the Document. Fields are added to it, never renamed or removed.
const Schema = "proofload.report/v1"

// Document is the report of one run. Names that end in _s are seconds, in _per_s rates, ratios are
// from 0 to 1; where a row has a unit its numbers are in that unit. Instants in _s are run time
// since T0, pauses included; names that end in _at are wall time in UTC. Lists are never null.
type Document struct {
	Schema     string      `json:"schema"`
	Versions   Versions    `json:"versions"`
	Run        Run         `json:"run"`
	Verdict    Verdict     `json:"verdict"`
	Integrity  Integrity   `json:"integrity"`
	Load       Load        `json:"load"`
	Requests   Requests    `json:"requests"`
	Phases     []Phase     `json:"phases"`
	Series     []Series    `json:"series"`
	Measures   []Measure   `json:"measures"`
	Timeline   Timeline    `json:"timeline"`
	Events     []Event     `json:"events"`
	Criteria   []Criterion `json:"criteria"`
	Violations []Violation `json:"violations"`
	// Search is null in runs that search nothing.
	Search *Search `json:"search"`
	// Faults is empty in runs that inject none.
	Faults   []any     `json:"faults"`
	Findings []Finding `json:"findings"`
	// Slowest is the slowest requests of each step among those that carried the id of a trace, the slowest
	// first; empty without `trace`.
	Slowest []Slow `json:"slowest"`
	// Comparison is null in runs that were compared with none.
	Comparison any `json:"comparison"`
}

// Versions are those of the software that made the run.
type Versions struct {
	Proofload string `json:"proofload"`
	Go        string `json:"go"`
	Etcd      string `json:"etcd"`
}

// Run says which run it was. T0At is null when no load was started. Elapsed is time under load
// without pauses; Wall is from the start to the end.
type Run struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	ScenarioSHA256 string            `json:"scenario_sha256"`
	Environment    string            `json:"environment"` // empty: none chosen
	Labels         map[string]string `json:"labels"`
	Seed           uint64            `json:"seed"`
	State          string            `json:"state"`
	StartedAt      time.Time         `json:"started_at"`
	T0At           *time.Time        `json:"t0_at"`
	EndedAt        *time.Time        `json:"ended_at"`
	WallS          float64           `json:"wall_s"`
	ElapsedS       float64           `json:"elapsed_s"`
	PausedS        float64           `json:"paused_s"`
	StopReason     *string           `json:"stop_reason"` // null: it ended by itself
}

// The results of a verdict and of a criterion, which may be SKIPPED but not ABORTED.
const (
	Pass    = "PASS"
	Fail    = "FAIL"
	Invalid = "INVALID"
	Aborted = "ABORTED"
	Skipped = "SKIPPED"
)

// Verdict is the judgement of the run.
type Verdict struct {
	Result    string   `json:"result"` // PASS, FAIL, INVALID, ABORTED
	ExitCode  int      `json:"exit_code"`
	StoppedBy *string  `json:"stopped_by"` // criterion, safety, worker_loss, halt, operator, signal; null: nobody
	Reasons   []Reason `json:"reasons"`
}

// Reason is one reason of a verdict: a code for programs and a sentence for people.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Integrity says how much of what was measured reached the result, and through whom.
type Integrity struct {
	Completeness        float64        `json:"completeness"` // ratio of the samples owed that are in the result
	BatchesCommitted    int64          `json:"batches_committed"`
	DuplicatesDiscarded int64          `json:"duplicates_discarded"`
	SamplesCommitted    int64          `json:"samples_committed"`
	Gaps                []Gap          `json:"gaps"`
	LeaderChanges       []LeaderChange `json:"leader_changes"`
	Workers             []Worker       `json:"workers"`
	Generator           Generator      `json:"generator"`
}

// Generator says in how many seconds the workers themselves were the limit, or near it. Warm-up and pauses
// are left out: these are the seconds, and the schedule lag, by which the verdict judges.
type Generator struct {
	Seconds     int64             `json:"seconds"`  // with load
	Degraded    int64             `json:"degraded"` // near the limit
	Invalid     int64             `json:"invalid"`  // at the limit, or with arrivals of lost workers
	Causes      map[string]Strain `json:"causes"`   // a second may have several
	ScheduleLag Dist              `json:"schedule_lag"`
}

// Strain counts the seconds with one cause.
type Strain struct {
	Degraded int64 `json:"degraded"`
	Invalid  int64 `json:"invalid"`
}

// Gap is a stretch of a worker's batches that is missing.
type Gap struct {
	Worker      string  `json:"worker"`
	Incarnation int64   `json:"incarnation"`
	FromSeq     uint64  `json:"from_seq"`
	ToSeq       *uint64 `json:"to_seq"` // null: open, the worker never said what its last batch was
	FromS       float64 `json:"from_s"`
	ToS         float64 `json:"to_s"`
}

// LeaderChange is a coordinator taking the run over; the first entry is not a change but the start.
type LeaderChange struct {
	Epoch       int64   `json:"epoch"`
	Coordinator string  `json:"coordinator"`
	AtS         float64 `json:"at_s"`
}

// Worker is one worker of the run.
type Worker struct {
	ID       string            `json:"id"`
	Labels   map[string]string `json:"labels"`
	Capacity float64           `json:"capacity"`
	Samples  int64             `json:"samples"`
	JoinedS  float64           `json:"joined_s"`
	LostS    *float64          `json:"lost_s"` // null: it stayed to the end
}

// Load counts arrivals: one flow iteration each. planned = sent + sum(not_sent) + unknown and
// sent = succeeded + failed.
type Load struct {
	Planned   int64            `json:"planned"`
	Sent      int64            `json:"sent"`
	NotSent   map[string]int64 `json:"not_sent"` // by cause; every known cause is there
	Unknown   int64            `json:"unknown"`  // planned in stretches of which no record reached the result
	Succeeded int64            `json:"succeeded"`
	Failed    int64            `json:"failed"`
	// ArrivalCV is the coefficient of variation of the times between the arrivals that each worker sent,
	// changes of the rate taken out (0 evenly spaced, 1 Poisson); null without an open model, and over
	// several phases.
	ArrivalCV   *float64 `json:"arrival_cv"`
	ScheduleLag Dist     `json:"schedule_lag"`
	StartSkewS  *float64 `json:"start_skew_s"` // largest difference between the workers' starts; null: unknown
}

// NotSentTotal is the sum over the causes.
func (l Load) NotSentTotal() int64 {
	var sum int64
	for _, n := range l.NotSent {
		sum += n
	}
	return sum
}

// Requests are what an independent server counts, and those that the target refused. sent = succeeded +
// failed, setup and teardown apart, which no phase has; retried and redirects are contained in sent, unsent
// is not.
type Requests struct {
	Sent      int64            `json:"sent"`
	Succeeded int64            `json:"succeeded"`
	Failed    int64            `json:"failed"`
	Unsent    map[string]int64 `json:"unsent"` // by kind of error
	Retried   int64            `json:"retried"`
	Redirects int64            `json:"redirects"`
	Setup     int64            `json:"setup"`
	Teardown  int64            `json:"teardown"`
}

// Phase is one stretch of load. Offered and achieved are arrivals per second of its schedule,
// pauses excluded; null when the phase had no time under load.
type Phase struct {
	Name     string  `json:"name"`
	Warmup   bool    `json:"warmup"`
	Arrivals *string `json:"arrivals"` // uniform, poisson; null: users
	// PlannedCV is the coefficient of variation that the times between arrivals have when each comes at its
	// instant: 0 of uniform arrivals, 1 of poisson ones; null: users.
	PlannedCV    *float64 `json:"planned_cv"`
	Load         Load     `json:"load"`
	Requests     Requests `json:"requests"`
	OfferedPerS  *float64 `json:"offered_per_s"`
	AchievedPerS *float64 `json:"achieved_per_s"`
	FromS        float64  `json:"from_s"`
	ToS          float64  `json:"to_s"`
}

// Series is requests with the same labels. The first row of a Document is the total without
// warm-up; the others are disjoint, and those that are not warm-up sum to it.
type Series struct {
	Labels             map[string]string `json:"labels"` // phase, flow, step; none on the total
	Warmup             bool              `json:"warmup"`
	Requests           int64             `json:"requests"`
	Errors             int64             `json:"errors"`
	RatePerS           *float64          `json:"rate_per_s"`
	ErrorsByKind       map[string]int64  `json:"errors_by_kind"`
	ErrorsByStatus     map[string]int64  `json:"errors_by_status"`
	Unsent             map[string]int64  `json:"unsent"`        // by kind of error; no requests and no errors
	Retried            int64             `json:"retried"`       // of the requests, those that repeated a failed one
	Redirects          int64             `json:"redirects"`     // and those that a redirect led to
	ResponseTime       Dist              `json:"response_time"` // of all requests, from their intended start
	ResponseTimeFailed Dist              `json:"response_time_failed"`
	ServiceTime        Dist              `json:"service_time"` // of all requests, from their actual send
}

// Measure is a metric of the system, the workers or the business.
type Measure struct {
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
	Category  string            `json:"category"` // system, agent, business
	Unit      string            `json:"unit"`
	Count     int64             `json:"count"`
	Sum       *float64          `json:"sum"`
	Mean      *float64          `json:"mean"`
	Min       *float64          `json:"min"`
	Max       *float64          `json:"max"`
	Stddev    *float64          `json:"stddev"`
	P50       *float64          `json:"p50"`
	P90       *float64          `json:"p90"`
	P95       *float64          `json:"p95"`
	P99       *float64          `json:"p99"`
	P999      *float64          `json:"p999"`
	RatePerS  *float64          `json:"rate_per_s"`
	TrendPerS *float64          `json:"trend_per_s"` // slope of the line through all values over run time
}

// Timeline is the run second by second, warm-up included.
type Timeline struct {
	IntervalS float64 `json:"interval_s"`
	Points    []Point `json:"points"`
}

// The validity of a second: whether its numbers may be charged to the target.
const (
	Valid    = "VALID"
	Degraded = "DEGRADED"
)

// Point is one interval of the timeline.
type Point struct {
	AtS          float64 `json:"at_s"` // its beginning
	Planned      int64   `json:"planned"`
	Sent         int64   `json:"sent"`
	NotSent      int64   `json:"not_sent"`
	Unknown      int64   `json:"unknown"` // due in it, and in no record
	Requests     int64   `json:"requests"`
	Errors       int64   `json:"errors"`
	InFlight     int64   `json:"in_flight"` // at its end
	ResponseTime Brief   `json:"response_time"`
	Validity     string  `json:"validity"` // VALID, DEGRADED, INVALID
}

// Brief is two percentiles; null when nothing ended in the interval.
type Brief struct {
	P50S *float64 `json:"p50_s"`
	P99S *float64 `json:"p99_s"`
}

// Event is something that happened to the run.
type Event struct {
	AtS    float64 `json:"at_s"`
	Kind   string  `json:"kind"` // pause, resume, scale, phase, leader, worker, stop, breach, notification ...
	Detail string  `json:"detail"`
}

// Criterion is one result row of a statement that had to hold.
type Criterion struct {
	Name     string            `json:"name"`
	Check    string            `json:"check"`
	Labels   map[string]string `json:"labels"`   // of the row, where the criterion has `by`
	During   []string          `json:"during"`   // phases; empty: all that are not warm-up
	Severity string            `json:"severity"` // critical, warning, info
	Observed *float64          `json:"observed"` // null: nothing was, or it is beyond every number
	Limit    float64           `json:"limit"`
	Unit     string            `json:"unit"`
	Met      *float64          `json:"met"`    // share of the windows that held; null: judged once, at the end
	Result   string            `json:"result"` // PASS, FAIL, INVALID, SKIPPED
	// Reason says why the result is neither PASS nor FAIL, or how it came about; it may be empty.
	Reason     string   `json:"reason"`
	Violations []string `json:"violations"` // ids
}

// Violation is a stretch in which a criterion did not hold.
type Violation struct {
	ID        string            `json:"id"`
	Criterion string            `json:"criterion"`
	Labels    map[string]string `json:"labels"` // of the criterion's row
	Severity  string            `json:"severity"`
	FromS     float64           `json:"from_s"`
	ToS       float64           `json:"to_s"`
	Worst     *float64          `json:"worst"` // null: beyond every number
	Limit     float64           `json:"limit"`
	Unit      string            `json:"unit"`
	Series    string            `json:"series"`
	Faults    []string          `json:"faults"` // ids
	Impact    Impact            `json:"impact"`
}

// Impact is what a violation covered.
type Impact struct {
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
}

// Slow is one request by whose trace the target can tell what it was doing.
type Slow struct {
	Labels        map[string]string `json:"labels"` // phase, flow, step
	Warmup        bool              `json:"warmup"`
	AtS           float64           `json:"at_s"`            // when it ended
	ResponseTimeS float64           `json:"response_time_s"` // from its intended start
	ServiceTimeS  float64           `json:"service_time_s"`  // from its actual send
	Status        *int              `json:"status"`          // null: no complete response
	Error         *string           `json:"error"`           // kind; null: success
	TraceID       string            `json:"trace_id"`        // 32 hexadecimal digits
}

// Finding is something that the reader should do something about.
type Finding struct {
	Kind           string     `json:"kind"` // generator, errors, ...
	Component      string     `json:"component"`
	Evidence       []Evidence `json:"evidence"`
	Confidence     string     `json:"confidence"` // high, medium, low
	Recommendation string     `json:"recommendation"`
}

// Evidence is one observation that supports a finding.
type Evidence struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
