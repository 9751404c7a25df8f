package scenario

import "time"

// PlanFormat is the version of the plan's encoding. A worker refuses a plan of another format.
const PlanFormat = 1

// Shards is the number of virtual shards of each phase. Ownership of load moves between workers
// in units of one shard; the arrivals of a shard do not depend on who owns it.
const Shards = 16384

// Defaults that the plan makes explicit, so that no later piece needs to know them.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultLate        = 50 * time.Millisecond
	DefaultGrace       = 20 * time.Second
	DefaultMaxInFlight = 10000
)

// defaultValidity is what a trustworthy measurement is when the scenario does not say.
var defaultValidity = Validity{ScheduleLagP99: 5 * time.Millisecond, WorkerCPU: 0.9, Sent: 0.995, Completeness: 0.999}

// Plan is a scenario made definite: one environment chosen, parameters put in, defaults spelled
// out, the timeline computed. It is what the coordinator stores, what every worker holds whole,
// and what the judge and the report read. A Plan is never changed once built; it is encoded as
// JSON, and its digest names it. All floats survive the encoding exactly.
//
// Text fields marked "template" still hold ${...}: they are evaluated on the worker, per
// iteration. References to params and env are already replaced, secrets never are.
type Plan struct {
	Format         int               `json:"format"`
	Name           string            `json:"name"`
	Description    string            `json:"description,omitempty"`
	Environment    string            `json:"environment,omitempty"`
	ScenarioSHA256 string            `json:"scenario_sha256"`
	Seed           uint64            `json:"seed"`
	Labels         map[string]string `json:"labels,omitempty"`

	Params  map[string]any    `json:"params,omitempty"`  // values of ${params.NAME}
	Env     map[string]string `json:"env,omitempty"`     // the ${env.NAME} that the scenario names and the client had
	Secrets []string          `json:"secrets,omitempty"` // names of the ${secret.NAME} in use; never values

	Targets      map[string]Target  `json:"targets"`
	AllowTargets []string           `json:"allow_targets,omitempty"`
	Mocks        map[string]Mock    `json:"mocks,omitempty"`
	Data         map[string]Dataset `json:"data,omitempty"`
	Setup        []Step             `json:"setup,omitempty"`
	Teardown     []Step             `json:"teardown,omitempty"`
	Flows        map[string]Flow    `json:"flows"`
	Phases       []Phase            `json:"phases"` // in the order of the file

	Search *Search `json:"search,omitempty"` // nil: none

	Criteria []Criterion    `json:"criteria,omitempty"`
	Validity Validity       `json:"validity"`
	Workers  WorkerSelector `json:"workers"`
	Limits   Limits         `json:"limits"`
	Loss     WorkerLoss     `json:"worker_loss"`
	Grace    time.Duration  `json:"grace"` // coordinator_loss.grace
	// Confirm says that whoever runs the plan must give the environment's name twice.
	Confirm bool `json:"confirm,omitempty"`
}

// DefaultTarget is the name under which the scenario's single target stands in Plan.Targets.
const DefaultTarget = "default"

// Target is one system under test and the way to it.
type Target struct {
	// URL is scheme://host[:port][/base]; the schemes are those of the table in targets.go. Empty when Mock
	// is set.
	URL string `json:"url,omitempty"`
	// Mock names the entry of Plan.Mocks that each worker serves on its own loopback for this target.
	Mock string `json:"mock,omitempty"`
	// HTTP is the version that is spoken, and no other: 2 or 3; empty is 1.1.
	HTTP        string       `json:"http,omitempty"`
	TLS         *TLS         `json:"tls,omitempty"` // nil: the authorities of the system, no client certificate
	DNS         *DNS         `json:"dns,omitempty"` // nil: the system resolves the name for each connection
	Connections *Connections `json:"connections,omitempty"`
	Auth        *Auth        `json:"auth,omitempty"`
	Cookies     bool         `json:"cookies,omitempty"`   // each user, and in an open phase each iteration, has a jar
	Redirects   int          `json:"redirects,omitempty"` // how many of them in a row are followed
	// Compression is the content coding of answers that is asked for: gzip or zstd.
	Compression string  `json:"compression,omitempty"`
	Trace       float64 `json:"trace,omitempty"` // share of the requests that carry a traceparent, 0 to 1
}

// Auth is how requests say who sends them: exactly one of its fields is set. All but region and service are
// templates.
type Auth struct {
	Basic  *BasicAuth `json:"basic,omitempty"`
	Bearer string     `json:"bearer,omitempty"`
	AWS    *AWSAuth   `json:"aws,omitempty"`
}

// BasicAuth is a user with a password.
type BasicAuth struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// AWSAuth signs requests as AWS Signature Version 4 asks for.
type AWSAuth struct {
	Region       string `json:"region"`
	Service      string `json:"service"`
	AccessKey    string `json:"access_key"`
	SecretKey    string `json:"secret_key"`
	SessionToken string `json:"session_token,omitempty"`
}

// TLS is how a target is trusted, and how it trusts the load. Files are PEM.
type TLS struct {
	CA   *FileRef `json:"ca,omitempty"`   // authorities, instead of the system's
	Cert *FileRef `json:"cert,omitempty"` // client certificate with its chain
	Key  *FileRef `json:"key,omitempty"`  // of Cert; or KeySecret
	// KeySecret names the secret whose value is the private key of Cert.
	KeySecret  string `json:"key_secret,omitempty"`
	ServerName string `json:"server_name,omitempty"` // instead of the target's host
	NoVerify   bool   `json:"no_verify,omitempty"`   // any certificate will do
}

// DNS is where the name of a target leads: to Addresses, one for each new connection in turn, or to what the
// resolver says, asked again every Refresh.
type DNS struct {
	Addresses []string      `json:"addresses,omitempty"`
	Refresh   time.Duration `json:"refresh,omitempty"`
}

// Values of Connections.Reuse beside the empty one, which is one set of connections for all.
const (
	ReuseUser  = "user"  // each user, and in an open phase each iteration, has its own connections
	ReuseNever = "never" // a new connection for each request
)

// Connections is how connections to a target are made and used again.
type Connections struct {
	Reuse  string   `json:"reuse,omitempty"`
	Source []string `json:"source,omitempty"` // local addresses, one for each new connection in turn
}

// Flow is a sequence of steps; one execution of it is one iteration.
type Flow struct {
	Steps []Step `json:"steps"`
}

// Step is one element of a flow: exactly one of HTTP, GRPC, WebSocket, Socket, Program and Think is set.
type Step struct {
	Name      string        `json:"name,omitempty"` // empty for a think step
	Target    string        `json:"target,omitempty"`
	HTTP      *HTTP         `json:"http,omitempty"`
	GRPC      *GRPC         `json:"grpc,omitempty"`
	WebSocket *WebSocket    `json:"websocket,omitempty"`
	Socket    *Socket       `json:"socket,omitempty"`
	Program   *Program      `json:"program,omitempty"`
	Think     *Distribution `json:"think,omitempty"`

	// Timeout is of one attempt, from send to last byte. Of a script it is of the opening, of each send, and of
	// each expectation that has none of its own.
	Timeout time.Duration `json:"timeout,omitempty"`
	Expect  []string      `json:"expect,omitempty"` // expressions; all must be true
	// ImplyStatus says that no expression of Expect reads status or, of gRPC, code, so that status < 400 or
	// code == "OK" is required too.
	ImplyStatus bool         `json:"imply_status,omitempty"`
	Save        []Expression `json:"save,omitempty"`
	Measure     []Measure    `json:"measure,omitempty"`
	// Continue says that a failure of this step does not end the iteration (on_fail: continue).
	Continue bool   `json:"continue,omitempty"`
	Retry    *Retry `json:"retry,omitempty"`
}

// HTTP is one HTTP request. At most one of JSON, Body, Form, Multipart and File is set.
type HTTP struct {
	Method  string  `json:"method"`
	Path    string  `json:"path"` // template; joined to the target's base path
	Headers []Field `json:"headers,omitempty"`
	Query   []Field `json:"query,omitempty"` // appended to Path, escaped
	// JSON is the body as a tree of map[string]any, []any and scalars; every string in it, and no key, is a template.
	JSON    any     `json:"json,omitempty"`
	HasJSON bool    `json:"has_json,omitempty"` // tells a JSON null from no body
	Body    *string `json:"body,omitempty"`     // template
	// Form is sent as application/x-www-form-urlencoded, Multipart as multipart/form-data.
	Form      []Field   `json:"form,omitempty"`
	Multipart []Part    `json:"multipart,omitempty"`
	File      *BodyFile `json:"file,omitempty"`
	Compress  string    `json:"compress,omitempty"` // gzip; empty: the body is sent as it is
}

// Part is one part of a multipart body: exactly one of Value and File is set.
type Part struct {
	Name     string    `json:"name"`
	Value    *string   `json:"value,omitempty"` // template
	File     *BodyFile `json:"file,omitempty"`
	Filename string    `json:"filename,omitempty"` // template; of a file
	Type     string    `json:"type,omitempty"`     // Content-Type; empty: none
}

// BodyFile is a file of the scenario that is sent.
type BodyFile struct {
	FileRef
	Template bool `json:"template,omitempty"` // it is a text with ${...}
	// Data names the data sets that the templates of the file read.
	Data []string `json:"data,omitempty"`
}

// GRPC is one gRPC call. Proto, Descriptor or the server's reflection, when both are empty, tell what its
// messages look like.
type GRPC struct {
	Method     string    `json:"method"`               // package.Service/Method
	Proto      string    `json:"proto,omitempty"`      // name of the .proto file as Files has it
	Descriptor string    `json:"descriptor,omitempty"` // the file's name in the scenario
	Files      []FileRef `json:"files,omitempty"`      // Proto with what it imports, or Descriptor
	// Send is the messages to send: trees of map[string]any, []any and scalars; every string in them, and no
	// key, is a template. Nil: one empty message, or none where the client sends a stream.
	Send     []any   `json:"send"`
	Metadata []Field `json:"metadata,omitempty"` // in the order of the names
	// The stream is ended by the client, successfully, once Until is true of a message, Count messages have come,
	// or CloseAfter has passed since it was opened; whatever is set.
	Until      string        `json:"until,omitempty"` // expression
	Count      int64         `json:"count,omitempty"`
	CloseAfter time.Duration `json:"close_after,omitempty"`
}

// Field is one header or query parameter, in the order of the file.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"` // template
}

// Expression is a named expression of save.
type Expression struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}

// Measure is a business metric taken from a response.
type Measure struct {
	Name   string `json:"name"`
	Source string `json:"source"` // expression that yields a number
	Unit   string `json:"unit,omitempty"`
}

// Retry repeats a failed step explicitly; every attempt is a request and is counted as retried.
type Retry struct {
	Times   int           `json:"times"` // attempts after the first
	Backoff time.Duration `json:"backoff"`
}

// Distribution is a random duration. Kind says which fields count:
// constant (Value), uniform (Min, Max), exponential (Mean), normal (Mean, Stddev, cut at zero),
// lognormal (Median, Sigma).
type Distribution struct {
	Kind   string        `json:"kind"`
	Value  time.Duration `json:"value,omitempty"`
	Min    time.Duration `json:"min,omitempty"`
	Max    time.Duration `json:"max,omitempty"`
	Mean   time.Duration `json:"mean,omitempty"`
	Stddev time.Duration `json:"stddev,omitempty"`
	Median time.Duration `json:"median,omitempty"`
	Sigma  float64       `json:"sigma,omitempty"`
}

// Dataset is rows for iterations or users: from a file (CSV or JSONL set) or generated (Fake set).
type Dataset struct {
	CSV    string  `json:"csv,omitempty"`    // the file's name in the scenario
	JSONL  string  `json:"jsonl,omitempty"`  // the same, of a file with a JSON object on each line
	Digest string  `json:"digest,omitempty"` // sha256 of the file, hex: its name in the blob store
	Rows   int64   `json:"rows,omitempty"`   // data rows, header excluded
	Order  string  `json:"order,omitempty"`  // sequential | random | unique
	Per    string  `json:"per,omitempty"`    // iteration | user
	OnEnd  string  `json:"on_end,omitempty"` // wrap | stop
	Fake   []Field `json:"fake,omitempty"`   // column name and gofakeit function, e.g. price(1,500)
}

// File returns the name of the data set's file in the scenario; empty when it is generated.
func (d Dataset) File() string { return d.CSV + d.JSONL }

// Mock is a stub service that every worker serves on its own loopback for the run.
type Mock struct {
	Routes []Route `json:"routes"` // first match answers; none: 404
	// Parallel is how many requests are answered at once, while the others wait; 0: all.
	Parallel int64 `json:"parallel,omitempty"`
}

// Route is one answer of a mock. An empty Method or Path matches all; a Path ending in * matches by prefix.
type Route struct {
	Method  string        `json:"method,omitempty"`
	Path    string        `json:"path,omitempty"`
	Status  int           `json:"status"`
	Headers []Field       `json:"headers,omitempty"`
	JSON    any           `json:"json,omitempty"`
	HasJSON bool          `json:"has_json,omitempty"`
	Body    string        `json:"body,omitempty"`
	Latency *Distribution `json:"latency,omitempty"`
	Fail    *MockFailure  `json:"fail,omitempty"`
}

// MockFailure makes a share of a route's answers fail.
type MockFailure struct {
	Ratio  float64 `json:"ratio"` // 0 to 1
	Status int     `json:"status"`
}

// Phase is one stretch of load. Exactly one of Rate (open model) and Users (closed model) is set.
type Phase struct {
	Name        string        `json:"name"`
	Mix         []Weight      `json:"mix"` // at least one
	Warmup      bool          `json:"warmup,omitempty"`
	After       string        `json:"after,omitempty"` // starts when that phase's schedule has ended and nothing of it is in flight
	With        string        `json:"with,omitempty"`  // starts when that phase starts
	At          time.Duration `json:"at,omitempty"`    // starts at this plan time (run time without pauses)
	Arrivals    string        `json:"arrivals,omitempty"`
	MaxInFlight int64         `json:"max_in_flight,omitempty"` // over the whole fleet
	Late        time.Duration `json:"late,omitempty"`          // an arrival further behind is given up
	Pace        time.Duration `json:"pace,omitempty"`          // closed model: from one iteration's start to the next
	Rate        []Segment     `json:"rate,omitempty"`
	Users       []Segment     `json:"users,omitempty"`
	Shapes      []Shape       `json:"shapes,omitempty"` // what the segments were made from, in their order
	Length      time.Duration `json:"length"`           // sum of the segments
	// Searched says that Plan.Search conducts the phase: Rate is the highest that it tries, for as long as it may take.
	Searched bool `json:"searched,omitempty"`
	// Deals is the rows of each data set with order: unique that are this phase's.
	Deals map[string]Deal `json:"deals,omitempty"`
}

// Weight is one flow of a phase's mix; weights are positive and relative.
type Weight struct {
	Flow   string  `json:"flow"`
	Weight float64 `json:"weight"`
}

// WorkerSelector chooses the workers of a run.
type WorkerSelector struct {
	Match map[string]string `json:"match,omitempty"` // labels that a worker must carry
	Min   int               `json:"min"`             // the run waits in IDLE until so many are free; at least 1
}

// Limits are refused at validation and cap `runs scale`; 0 is no limit.
type Limits struct {
	Rate  float64 `json:"rate,omitempty"` // arrivals per second over all phases at once
	Users float64 `json:"users,omitempty"`
}

// WorkerLoss is what happens when a worker dies.
type WorkerLoss struct {
	Policy  string  `json:"policy"`   // redistribute | shed | abort
	MaxLost float64 `json:"max_lost"` // share of the workers, 0 to 1
}

// Validity bounds what a trustworthy measurement is; beyond it a second or the run is INVALID.
type Validity struct {
	ScheduleLagP99 time.Duration `json:"schedule_lag_p99"` // default 5ms
	WorkerCPU      float64       `json:"worker_cpu"`       // share of one core's time of the busiest core, default 0.9
	Sent           float64       `json:"sent"`             // sent / planned, default 0.995
	Completeness   float64       `json:"completeness"`     // default 0.999
}

// Criterion is one statement that must hold.
type Criterion struct {
	Name     string        `json:"name"`
	Source   string        `json:"check"` // as written
	Check    Check         `json:"parsed"`
	During   []string      `json:"during,omitempty"` // phase names; empty: every phase not recorded as warm-up
	Window   time.Duration `json:"window,omitempty"` // tumbling, aligned to T0; 0: judged once, at the end
	Met      float64       `json:"met"`              // share of the windows that must hold, default 1
	For      time.Duration `json:"for,omitempty"`    // a breach counts when it lasts so long; a multiple of Window
	Severity string        `json:"severity"`         // critical | warning | info
	OnBreach string        `json:"on_breach"`        // none | alert | abort
	By       []string      `json:"by,omitempty"`     // one result row for each value of these labels
}

// Check is the parsed form of a criterion: Left [/ Over] Op Limit.
type Check struct {
	Left  Selection  `json:"left"`
	Over  *Selection `json:"over,omitempty"`
	Op    string     `json:"op"`             // < <= > >= == !=
	Limit float64    `json:"limit"`          // in the unit's base: seconds, per second, share, bytes, or bare
	Unit  string     `json:"unit,omitempty"` // s, 1/s, ratio, By or empty
}

// Selection is a statistic over the series of a metric that match.
type Selection struct {
	Stat     string    `json:"stat"`               // count rate sum mean stddev min max error_ratio trend quantile
	Quantile float64   `json:"quantile,omitempty"` // for Stat quantile: 0.99 of p99
	Per      string    `json:"per,omitempty"`      // for Stat trend: h, m or s
	Metric   string    `json:"metric"`
	Matchers []Matcher `json:"matchers,omitempty"`
}

// Matcher compares one label. Op is =, !=, =~ or !~; the regular expressions are anchored.
type Matcher struct {
	Label string `json:"label"`
	Op    string `json:"op"`
	Value string `json:"value"`
}
