package scenario

// File is the scenario file as it is written. The yaml tags are the names of the language; a key
// that is not here does not exist, and one of type Later exists but is not built yet. What the other
// tags mean is told at rules; decoder and schema both read them.
type File struct {
	Version      Count              `yaml:"version,required" is:"1..1"`
	Name         Text               `yaml:"name,required" is:"text"`
	Description  Text               `yaml:"description"`
	Seed         *Count             `yaml:"seed"`
	Labels       map[string]Text    `yaml:"labels"`
	Params       ParamsF            `yaml:"params" keys:"identifier"`
	Target       *TargetF           `yaml:"target" one:"target"`
	Targets      map[string]TargetF `yaml:"targets" one:"target" is:"filled"`
	AllowTargets []Text             `yaml:"allow_targets" items:"host"`
	Environments EnvironmentsF      `yaml:"environments"`
	Load         *Share             `yaml:"load" is:">0"`
	Workers      *WorkersFile       `yaml:"workers"`
	Limits       *LimitsFile        `yaml:"limits"`
	Confirm      *Flag              `yaml:"confirm"`
	FaultPolicy  Later              `yaml:"fault_policy"`
	Canary       Later              `yaml:"canary"`
	Window       Later              `yaml:"window"`
	Mocks        map[string]MockF   `yaml:"mocks"`
	Data         map[string]DataF   `yaml:"data" keys:"identifier"`
	Setup        []StepF            `yaml:"setup"`
	Teardown     []StepF            `yaml:"teardown"`
	Flows        map[string][]StepF `yaml:"flows,required" is:"filled" keys:"name" items:"filled"`
	Phases       []PhaseF           `yaml:"phases,required" is:"filled"`
	Search       *SearchF           `yaml:"search"`
	Proxies      Later              `yaml:"proxies"`
	Faults       Later              `yaml:"faults"`
	Recovery     Later              `yaml:"recovery"`
	Criteria     []CriterionF       `yaml:"criteria"`
	Sources      Later              `yaml:"sources"`
	Validity     *ValidityF         `yaml:"validity"`
	WorkerLoss   *WorkerLossF       `yaml:"worker_loss"`
	Coordinator  *CoordinatorLossF  `yaml:"coordinator_loss"`
	Notify       Later              `yaml:"notify"`
}

// WorkersFile chooses workers.
type WorkersFile struct {
	Match map[string]Text `yaml:"match"`
	Min   *Count          `yaml:"min"`
}

// LimitsFile bounds the load.
type LimitsFile struct {
	Rate  *Rate  `yaml:"rate" is:">0"`
	Users *Count `yaml:"users" is:"1.."`
}

// MockF is a stub service.
type MockF struct {
	Routes   []RouteF `yaml:"routes,required" is:"filled"`
	Parallel *Count   `yaml:"parallel" is:"1..1000000"`
	At       pos      `yaml:"-"`
}

// RouteF is one answer of a mock.
type RouteF struct {
	Match   *MatchF         `yaml:"match"`
	Status  *Count          `yaml:"status" is:"100..599"`
	Headers map[string]Text `yaml:"headers" keys:"header"`
	JSON    Tree            `yaml:"json" most:"body"`
	Body    *Text           `yaml:"body" most:"body"`
	Latency *DistF          `yaml:"latency"`
	Fail    *FailF          `yaml:"fail"`
	At      pos             `yaml:"-"`
}

// MatchF chooses requests.
type MatchF struct {
	Method Text `yaml:"method" is:"method"`
	Path   Text `yaml:"path" is:"path"`
}

// FailF makes a share of a route's answers fail.
type FailF struct {
	Ratio  Share  `yaml:"ratio,required" is:"..100%"`
	Status *Count `yaml:"status" is:"100..599"`
}

// DistF is a duration, fixed or drawn.
type DistF struct {
	Dist Distribution
	At   pos
}

// DataF is a data set.
type DataF struct {
	CSV   *Text           `yaml:"csv" one:"rows" is:"text"`
	JSONL *Text           `yaml:"jsonl" one:"rows" is:"text"`
	Fake  map[string]Text `yaml:"fake" one:"rows" is:"filled"`
	Order *Text           `yaml:"order" is:"sequential|random|unique" with:"csv|jsonl: generated data has no order"`
	Per   *Text           `yaml:"per" is:"iteration|user"`
	OnEnd *Text           `yaml:"on_end" is:"wrap|stop" with:"csv|jsonl: generated data never ends"`
	At    pos             `yaml:"-"`
}

// StepF is one step of a flow.
type StepF struct {
	Step      *Text               `yaml:"step" is:"name"`
	HTTP      *HTTPF              `yaml:"http" one:"kind" with:"step: a request has a name"`
	Think     *DistF              `yaml:"think" one:"kind"`
	GRPC      *GRPCF              `yaml:"grpc" one:"kind" with:"step: a request has a name"`
	WebSocket *WebSocketF         `yaml:"websocket" one:"kind" with:"step: a request has a name"`
	TCP       *SocketF            `yaml:"tcp" one:"kind" with:"step: a request has a name"`
	UDP       *SocketF            `yaml:"udp" one:"kind" with:"step: a request has a name"`
	Program   *ProgramF           `yaml:"program" one:"kind" with:"step: a request has a name"`
	Target    *Text               `yaml:"target" with:"http|grpc|websocket|tcp|udp|program: a think step only waits"`
	Timeout   *Span               `yaml:"timeout" is:">0" with:"http|grpc|websocket|tcp|udp|program: a think step only waits"`
	Expect    []Source            `yaml:"expect" with:"http|grpc|websocket|tcp|udp|program: a think step only waits"`
	Save      map[string]Source   `yaml:"save" keys:"identifier" with:"http|grpc|websocket|tcp|udp|program: a think step only waits"`
	Measure   map[string]MeasureF `yaml:"measure" keys:"identifier" with:"http|grpc|websocket|tcp|udp|program: a think step only waits"`
	OnFail    *Text               `yaml:"on_fail" is:"stop|continue" with:"http|grpc|websocket|tcp|udp|program: a think step only waits"`
	Retry     *RetryF             `yaml:"retry" with:"http|grpc|websocket|tcp|udp|program: a think step only waits"`
	At        pos                 `yaml:"-"`
}

// HTTPF is a request.
type HTTPF struct {
	Method  Text                    `yaml:"method,required" is:"method"`
	Path    TemplateText            `yaml:"path,required" is:"path"`
	Headers map[string]TemplateText `yaml:"headers" keys:"header"`
	Query   map[string]TemplateText `yaml:"query"`
	JSON    Tree                    `yaml:"json" most:"body"`
	Body    *TemplateText           `yaml:"body" most:"body"`
	Form    map[string]TemplateText `yaml:"form" most:"body" is:"filled"`
	Parts   []PartF                 `yaml:"multipart" most:"body" is:"filled"`
	File    *FileF                  `yaml:"file" most:"body"`
	// Compress is the content coding in which the body is sent.
	Compress *Text `yaml:"compress" is:"none|gzip"`
	At       pos   `yaml:"-"`
}

// MeasureF is a business measure: an expression, or a map with value and unit.
type MeasureF struct {
	Value Source
	Unit  string
}

type measureMap struct {
	Value Source `yaml:"value,required"`
	Unit  *Text  `yaml:"unit"`
}

func (m *MeasureF) decode(d *decoder, n *node) {
	if n.kind != mapNode {
		m.Value.decode(d, n)
		return
	}
	var long measureMap
	d.decode(n, &long)
	m.Value = long.Value
	if long.Unit != nil {
		m.Unit = long.Unit.Value
	}
}

// RetryF repeats a failed step.
type RetryF struct {
	Times   Count `yaml:"times,required" is:"1..100"`
	Backoff *Span `yaml:"backoff"`
}

// PhaseF is one stretch of load.
type PhaseF struct {
	Name        Text            `yaml:"name,required" is:"name"`
	Flow        *Text           `yaml:"flow" one:"flow"`
	Mix         map[string]Real `yaml:"mix" one:"flow" is:"filled" items:">0"`
	After       *Text           `yaml:"after" most:"start"`
	With        *Text           `yaml:"with" most:"start"`
	At          *Span           `yaml:"at" most:"start"`
	Arrivals    *Text           `yaml:"arrivals" is:"uniform|poisson" with:"rate: users come when they are done"`
	MaxInFlight *Count          `yaml:"max_in_flight" is:"1.." with:"rate: users bound themselves"`
	Late        *Span           `yaml:"late" with:"rate: users are never late"`
	Pace        *Span           `yaml:"pace" with:"users: arrivals are paced by their rate"`
	Record      *Text           `yaml:"record" is:"measure|warmup"`
	Rate        []RateSegmentF  `yaml:"rate" one:"load" is:"filled"`
	Users       []UserSegmentF  `yaml:"users" one:"load" is:"filled"`
	Where       pos             `yaml:"-"`
}

// RateSegmentF is a union: exactly one key.
type RateSegmentF struct {
	Hold   *RateHoldF  `yaml:"hold" one:"segment"`
	Ramp   *RateRampF  `yaml:"ramp" one:"segment"`
	Steps  *RateStepsF `yaml:"steps" one:"segment"`
	Burst  *RateBurstF `yaml:"burst" one:"segment"`
	Wave   *RateWaveF  `yaml:"wave" one:"segment"`
	Chaos  *RateChaosF `yaml:"chaos" one:"segment"`
	Replay *ReplayF    `yaml:"replay" one:"segment"`
	At     pos         `yaml:"-"`
}

// RateHoldF keeps a rate.
type RateHoldF struct {
	At  Rate `yaml:"at,required"`
	For Span `yaml:"for,required" is:">0"`
}

// RateRampF changes a rate evenly.
type RateRampF struct {
	From Rate `yaml:"from,required"`
	To   Rate `yaml:"to,required"`
	For  Span `yaml:"for,required" is:">0"`
}

// RateStepsF changes a rate in steps.
type RateStepsF struct {
	From  Rate `yaml:"from,required"`
	To    Rate `yaml:"to,required"`
	By    Rate `yaml:"by,required"`
	Every Span `yaml:"every,required" is:">0"`
}

// RateBurstF is a base with short peaks.
type RateBurstF struct {
	Base   Rate `yaml:"base,required"`
	Peak   Rate `yaml:"peak,required"`
	Length Span `yaml:"length,required" is:">0"`
	Every  Span `yaml:"every,required" is:">0"`
	For    Span `yaml:"for,required" is:">0"`
}

// RateWaveF swings around a middle.
type RateWaveF struct {
	Mid       Rate `yaml:"mid,required"`
	Amplitude Rate `yaml:"amplitude,required"`
	Period    Span `yaml:"period,required" is:">0"`
	For       Span `yaml:"for,required" is:">0"`
}

// RateChaosF jumps at random.
type RateChaosF struct {
	Min   Rate `yaml:"min,required"`
	Max   Rate `yaml:"max,required"`
	Every Span `yaml:"every,required" is:">0"`
	For   Span `yaml:"for,required" is:">0"`
}

// ReplayF repeats what was recorded in a file.
type ReplayF struct {
	CSV   Text  `yaml:"csv,required" is:"text"`
	Speed *Real `yaml:"speed" is:">0"`
	Scale *Real `yaml:"scale" is:">0"`
}

// UserSegmentF is a union: exactly one key.
type UserSegmentF struct {
	Hold   *UserHoldF  `yaml:"hold" one:"segment"`
	Ramp   *UserRampF  `yaml:"ramp" one:"segment"`
	Steps  *UserStepsF `yaml:"steps" one:"segment"`
	Burst  *UserBurstF `yaml:"burst" one:"segment"`
	Wave   *UserWaveF  `yaml:"wave" one:"segment"`
	Chaos  *UserChaosF `yaml:"chaos" one:"segment"`
	Replay *ReplayF    `yaml:"replay" one:"segment"`
	At     pos         `yaml:"-"`
}

// UserHoldF keeps a number of users.
type UserHoldF struct {
	At  Count `yaml:"at,required" is:"..1000000"`
	For Span  `yaml:"for,required" is:">0"`
}

// UserRampF changes the number of users evenly.
type UserRampF struct {
	From Count `yaml:"from,required" is:"..1000000"`
	To   Count `yaml:"to,required" is:"..1000000"`
	For  Span  `yaml:"for,required" is:">0"`
}

// UserStepsF changes the number of users in steps.
type UserStepsF struct {
	From  Count `yaml:"from,required" is:"..1000000"`
	To    Count `yaml:"to,required" is:"..1000000"`
	By    Count `yaml:"by,required" is:"1..1000000"`
	Every Span  `yaml:"every,required" is:">0"`
}

// UserBurstF is a base with short peaks.
type UserBurstF struct {
	Base   Count `yaml:"base,required" is:"..1000000"`
	Peak   Count `yaml:"peak,required" is:"..1000000"`
	Length Span  `yaml:"length,required" is:">0"`
	Every  Span  `yaml:"every,required" is:">0"`
	For    Span  `yaml:"for,required" is:">0"`
}

// UserWaveF swings around a middle.
type UserWaveF struct {
	Mid       Count `yaml:"mid,required" is:"..1000000"`
	Amplitude Count `yaml:"amplitude,required" is:"..1000000"`
	Period    Span  `yaml:"period,required" is:">0"`
	For       Span  `yaml:"for,required" is:">0"`
}

// UserChaosF jumps at random.
type UserChaosF struct {
	Min   Count `yaml:"min,required" is:"..1000000"`
	Max   Count `yaml:"max,required" is:"..1000000"`
	Every Span  `yaml:"every,required" is:">0"`
	For   Span  `yaml:"for,required" is:">0"`
}

// CriterionF is one statement that must hold.
type CriterionF struct {
	Name      *Text       `yaml:"name"`
	Check     CheckSource `yaml:"check,required"`
	During    *Words      `yaml:"during"`
	Except    Later       `yaml:"except"`
	Window    *Span       `yaml:"window" is:">0"`
	Met       *Share      `yaml:"met" is:">0 ..100%" with:"window: it is the share of the windows that must hold"`
	For       *Span       `yaml:"for" is:">0" with:"window: it is a multiple of it"`
	Severity  *Text       `yaml:"severity" is:"critical|warning|info"`
	OnBreach  *Text       `yaml:"on_breach" is:"none|alert|abort"`
	OnMissing Later       `yaml:"on_missing"`
	By        []Text      `yaml:"by" items:"name"`
	At        pos         `yaml:"-"`
}

// CheckSource is the text of a check, which ParseCheck reads.
type CheckSource struct{ Source }

// Words is one word or a list of them.
type Words struct{ Items []Text }

func (w *Words) decode(d *decoder, n *node) {
	items := []*node{n}
	if n.kind == listNode {
		items = n.items
	}
	for _, item := range items {
		var t Text
		t.decode(d, item)
		w.Items = append(w.Items, t)
	}
}

// ValidityF bounds what a trustworthy measurement is.
type ValidityF struct {
	Lag          *Span  `yaml:"schedule_lag_p99"`
	CPU          *Share `yaml:"worker_cpu" is:"..100%"`
	Sent         *Share `yaml:"sent" is:"..100%"`
	Completeness *Share `yaml:"completeness" is:"..100%"`
}

// WorkerLossF is the policy for lost workers.
type WorkerLossF struct {
	Policy  *Text  `yaml:"policy" is:"redistribute|shed|abort"`
	MaxLost *Share `yaml:"max_lost" is:"..100%"`
}

// CoordinatorLossF is how long workers go on without a leader.
type CoordinatorLossF struct {
	Grace *Span `yaml:"grace"`
}
