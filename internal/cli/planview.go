package cli

// planSchema names the format of planView. Fields are added to it, never renamed or removed.
const planSchema = "proofload.plan/v1"

// planView is a plan as `plan -o json` shows it. The encoding of the plan itself is the affair of
// coordinator and workers and changes with them; this one is public and follows report.json: names that
// end in _s are seconds, in _per_s rates, shares are 0 to 1, what is absent is null, and lists are not.
type planView struct {
	Schema          string            `json:"schema"`
	Name            string            `json:"name"`
	Description     string            `json:"description"`
	Environment     *string           `json:"environment"` // null: none chosen
	ScenarioSHA256  string            `json:"scenario_sha256"`
	Seed            uint64            `json:"seed"`
	Labels          map[string]string `json:"labels"`
	Params          map[string]any    `json:"params"`
	Env             []string          `json:"env"` // names only: what they hold is this machine's affair
	Secrets         []string          `json:"secrets"`
	PlannedS        float64           `json:"planned_s"`
	PeakPerS        float64           `json:"peak_per_s"`
	PeakUsers       float64           `json:"peak_users"`
	Targets         []planTarget      `json:"targets"`
	AllowTargets    []string          `json:"allow_targets"`
	Data            []planData        `json:"data"`
	Setup           []planStep        `json:"setup"`
	Teardown        []planStep        `json:"teardown"`
	Flows           []planFlow        `json:"flows"`
	Phases          []planPhase       `json:"phases"`
	Search          *planSearch       `json:"search"` // null: none
	Criteria        []planCriterion   `json:"criteria"`
	Validity        planValidity      `json:"validity"`
	Workers         planWorkers       `json:"workers"`
	Limits          planLimits        `json:"limits"`
	WorkerLoss      planLoss          `json:"worker_loss"`
	CoordinatorLoss planGrace         `json:"coordinator_loss"`
	Confirm         bool              `json:"confirm"`
}

type planTarget struct {
	Name        string           `json:"name"`
	URL         *string          `json:"url"`  // null: a mock
	Mock        *string          `json:"mock"` // null: a URL
	HTTP        *string          `json:"http"` // version; null: 1.1, or another protocol
	TLS         *planTLS         `json:"tls"`
	DNS         *planDNS         `json:"dns"`
	Connections *planConnections `json:"connections"`
	Auth        *string          `json:"auth"` // basic, bearer, aws
	Cookies     bool             `json:"cookies"`
	Redirects   int              `json:"redirects"`
	Compression *string          `json:"compression"` // gzip, zstd
	Trace       *float64         `json:"trace"`       // share of the requests that carry a traceparent
}

// planTLS names files as the scenario does; null is the default of the language.
type planTLS struct {
	CA         *string `json:"ca"`
	Cert       *string `json:"cert"`
	Key        *string `json:"key"`
	KeySecret  *string `json:"key_secret"`
	ServerName *string `json:"server_name"`
	Verify     bool    `json:"verify"`
}

type planDNS struct {
	Addresses []string `json:"addresses"`
	RefreshS  *float64 `json:"refresh_s"`
}

type planConnections struct {
	Reuse  string   `json:"reuse"` // shared | user | never
	Source []string `json:"source"`
}

type planData struct {
	Name  string  `json:"name"`
	File  *string `json:"file"` // null: generated
	Rows  *int64  `json:"rows"` // null: without end
	Order *string `json:"order"`
	Per   *string `json:"per"`
	OnEnd *string `json:"on_end"`
}

type planFlow struct {
	Name  string     `json:"name"`
	Steps []planStep `json:"steps"`
}

// planStep is a request, or a pause that Think tells.
type planStep struct {
	Name     *string    `json:"name"`
	Method   *string    `json:"method"`
	Target   *string    `json:"target"`
	Path     *string    `json:"path"`
	Body     *string    `json:"body"`     // json, body, form, multipart, file
	Compress *string    `json:"compress"` // gzip
	Script   []string   `json:"script"`   // of a websocket step: send, expect or wait, in order
	TimeoutS *float64   `json:"timeout_s"`
	Expect   []string   `json:"expect"`
	Save     []string   `json:"save"`
	Measure  []string   `json:"measure"`
	OnFail   string     `json:"on_fail"` // stop, continue
	Retry    *planRetry `json:"retry"`
	Think    *planThink `json:"think"`
}

type planRetry struct {
	Times    int     `json:"times"`
	BackoffS float64 `json:"backoff_s"`
}

// planThink has the numbers that its kind asks for, and null for the others.
type planThink struct {
	Kind    string   `json:"kind"`
	ValueS  *float64 `json:"value_s"`
	MinS    *float64 `json:"min_s"`
	MaxS    *float64 `json:"max_s"`
	MeanS   *float64 `json:"mean_s"`
	StddevS *float64 `json:"stddev_s"`
	MedianS *float64 `json:"median_s"`
	Sigma   *float64 `json:"sigma"`
}

// planPhase is one phase; From is the earliest start of one that waits for another to end. Numbers of
// arrivals are null in phases of users, and those that the seed draws with poisson; expected ones beyond
// mostDrawn.
type planPhase struct {
	Name             string        `json:"name"`
	Warmup           bool          `json:"warmup"`
	After            *string       `json:"after"`
	With             *string       `json:"with"`
	FromS            float64       `json:"from_s"`
	ToS              float64       `json:"to_s"`
	Arrivals         *string       `json:"arrivals"` // uniform, poisson
	Planned          *int64        `json:"planned"`
	PlannedPerWorker *int64        `json:"planned_per_worker"`
	MaxInFlight      *int64        `json:"max_in_flight"`
	LateS            *float64      `json:"late_s"`
	PaceS            *float64      `json:"pace_s"`
	Mix              []planWeight  `json:"mix"`
	Shapes           []planShape   `json:"shapes"` // of rate or users, as they are written
	Rate             []planSegment `json:"rate"`   // arrivals per second
	Users            []planSegment `json:"users"`  // numbers of users
	UniqueRows       planRows      `json:"unique_rows"`
}

// planSearch is a search for the highest rate of a phase. ProbesUsual is how many probes it takes at most without
// repeats, ProbesMost with them.
type planSearch struct {
	Phase       string  `json:"phase"`
	LowPerS     float64 `json:"low_per_s"`
	HighPerS    float64 `json:"high_per_s"`
	Precision   float64 `json:"precision"`
	Confirm     int     `json:"confirm"`
	WarmS       float64 `json:"warm_s"`
	MeasureS    float64 `json:"measure_s"`
	CoolS       float64 `json:"cool_s"`
	ProbesUsual int     `json:"probes_usual"`
	ProbesMost  int     `json:"probes_most"`
}

// planRows is how many rows of each data set with order: unique a phase gives out.
type planRows map[string]int64

type planWeight struct {
	Flow   string  `json:"flow"`
	Weight float64 `json:"weight"`
}

// planShape is one shape of a profile. Planned is its arrivals; null for users, and where they are not counted.
type planShape struct {
	Kind    string  `json:"kind"` // hold, ramp, steps, burst, wave, chaos, replay
	Text    string  `json:"text"`
	StartS  float64 `json:"start_s"` // since the phase began
	ForS    float64 `json:"for_s"`
	Planned *int64  `json:"planned"`
}

// planSegment is a piece of a profile between two heights: even, but along a sine in a wave, and of a recording of
// arrivals both are zero.
type planSegment struct {
	Kind   string  `json:"kind"` // as of a shape
	From   float64 `json:"from"`
	To     float64 `json:"to"`
	StartS float64 `json:"start_s"` // since the phase began
	ForS   float64 `json:"for_s"`
}

type planCriterion struct {
	Name     string   `json:"name"`
	Check    string   `json:"check"`
	Limit    float64  `json:"limit"`
	Unit     string   `json:"unit"`
	During   []string `json:"during"`   // empty: every phase that is not warm-up
	WindowS  *float64 `json:"window_s"` // null: judged once, at the end
	Met      *float64 `json:"met"`      // share of the windows that must hold; null without windows
	ForS     *float64 `json:"for_s"`
	By       []string `json:"by"`
	Severity string   `json:"severity"`
	OnBreach string   `json:"on_breach"`
}

type planValidity struct {
	ScheduleLagP99S float64 `json:"schedule_lag_p99_s"`
	WorkerCPU       float64 `json:"worker_cpu"`
	Sent            float64 `json:"sent"`
	Completeness    float64 `json:"completeness"`
}

// planWorkers says what workers the run needs; Shares is the number of them that PlannedPerWorker is for.
type planWorkers struct {
	Min    int               `json:"min"`
	Match  map[string]string `json:"match"`
	Shares int               `json:"shares"`
}

type planLimits struct {
	RatePerS *float64 `json:"rate_per_s"` // null: no limit
	Users    *float64 `json:"users"`
}

type planLoss struct {
	Policy  string  `json:"policy"`
	MaxLost float64 `json:"max_lost"`
}

type planGrace struct {
	GraceS float64 `json:"grace_s"`
}
