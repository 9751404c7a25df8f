package scenario

// File is the scenario file as it is written. The yaml tags are the names of the language; a key
// that is not here does not exist, and one of type Later exists but is not built yet.
type File struct {
	Version      Count              `yaml:"version,required"`
	Name         Text               `yaml:"name,required"`
	Description  Text               `yaml:"description"`
	Seed         *Count             `yaml:"seed"`
	Labels       map[string]Text    `yaml:"labels"`
	Params       Raw                `yaml:"params"`
	Target       *Text              `yaml:"target"`
	Targets      map[string]Text    `yaml:"targets"`
	AllowTargets []Text             `yaml:"allow_targets"`
	Environments Raw                `yaml:"environments"`
	Load         *Share             `yaml:"load"`
	Workers      *WorkersFile       `yaml:"workers"`
	Limits       *LimitsFile        `yaml:"limits"`
	Confirm      *Flag              `yaml:"confirm"`
	FaultPolicy  Later              `yaml:"fault_policy"`
	Canary       Later              `yaml:"canary"`
	Window       Later              `yaml:"window"`
	Mocks        map[string]MockF   `yaml:"mocks"`
	Data         map[string]DataF   `yaml:"data"`
	Setup        []StepF            `yaml:"setup"`
	Teardown     []StepF            `yaml:"teardown"`
	Flows        map[string][]StepF `yaml:"flows,required"`
	Phases       []PhaseF           `yaml:"phases,required"`
	Search       Later              `yaml:"search"`
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
	Rate  *Rate  `yaml:"rate"`
	Users *Count `yaml:"users"`
}

// MockF is a stub service.
type MockF struct {
	Routes []RouteF `yaml:"routes,required"`
	At     pos      `yaml:"-"`
}

// RouteF is one answer of a mock.
type RouteF struct {
	Match   *MatchF         `yaml:"match"`
	Status  *Count          `yaml:"status"`
	Headers map[string]Text `yaml:"headers"`
	JSON    Tree            `yaml:"json"`
	Body    *Text           `yaml:"body"`
	Latency *DistF          `yaml:"latency"`
	Fail    *FailF          `yaml:"fail"`
	At      pos             `yaml:"-"`
}

// MatchF chooses requests.
type MatchF struct {
	Method Text `yaml:"method"`
	Path   Text `yaml:"path"`
}

// FailF makes a share of a route's answers fail.
type FailF struct {
	Ratio  Share  `yaml:"ratio,required"`
	Status *Count `yaml:"status"`
}

// DistF is a duration, fixed or drawn.
type DistF struct {
	Dist Distribution
	At   pos
}

// DataF is a data set.
type DataF struct {
	CSV   *Text           `yaml:"csv"`
	Fake  map[string]Text `yaml:"fake"`
	Order *Text           `yaml:"order"`
	Per   *Text           `yaml:"per"`
	OnEnd *Text           `yaml:"on_end"`
	At    pos             `yaml:"-"`
}

// StepF is one step of a flow.
type StepF struct {
	Step    *Text               `yaml:"step"`
	HTTP    *HTTPF              `yaml:"http"`
	Think   *DistF              `yaml:"think"`
	GRPC    Later               `yaml:"grpc"`
	WS      Later               `yaml:"websocket"`
	Target  *Text               `yaml:"target"`
	Timeout *Span               `yaml:"timeout"`
	Expect  []Source            `yaml:"expect"`
	Save    map[string]Source   `yaml:"save"`
	Measure map[string]MeasureF `yaml:"measure"`
	OnFail  *Text               `yaml:"on_fail"`
	Retry   *RetryF             `yaml:"retry"`
	At      pos                 `yaml:"-"`
}

// HTTPF is a request.
type HTTPF struct {
	Method  Text                    `yaml:"method,required"`
	Path    TemplateText            `yaml:"path,required"`
	Headers map[string]TemplateText `yaml:"headers"`
	Query   map[string]TemplateText `yaml:"query"`
	JSON    Tree                    `yaml:"json"`
	Body    *TemplateText           `yaml:"body"`
	At      pos                     `yaml:"-"`
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
	Times   Count `yaml:"times,required"`
	Backoff *Span `yaml:"backoff"`
}

// PhaseF is one stretch of load.
type PhaseF struct {
	Name        Text            `yaml:"name,required"`
	Flow        *Text           `yaml:"flow"`
	Mix         map[string]Real `yaml:"mix"`
	After       *Text           `yaml:"after"`
	With        *Text           `yaml:"with"`
	At          *Span           `yaml:"at"`
	Arrivals    *Text           `yaml:"arrivals"`
	MaxInFlight *Count          `yaml:"max_in_flight"`
	Late        *Span           `yaml:"late"`
	Pace        *Span           `yaml:"pace"`
	Record      *Text           `yaml:"record"`
	Rate        []RateSegmentF  `yaml:"rate"`
	Users       []UserSegmentF  `yaml:"users"`
	Where       pos             `yaml:"-"`
}

// RateSegmentF is a union: exactly one key.
type RateSegmentF struct {
	Hold   *RateHoldF `yaml:"hold"`
	Ramp   *RateRampF `yaml:"ramp"`
	Steps  Later      `yaml:"steps"`
	Burst  Later      `yaml:"burst"`
	Wave   Later      `yaml:"wave"`
	Chaos  Later      `yaml:"chaos"`
	Replay Later      `yaml:"replay"`
	At     pos        `yaml:"-"`
}

// RateHoldF keeps a rate.
type RateHoldF struct {
	At  Rate `yaml:"at,required"`
	For Span `yaml:"for,required"`
}

// RateRampF changes a rate evenly.
type RateRampF struct {
	From Rate `yaml:"from,required"`
	To   Rate `yaml:"to,required"`
	For  Span `yaml:"for,required"`
}

// UserSegmentF is a union: exactly one key.
type UserSegmentF struct {
	Hold   *UserHoldF `yaml:"hold"`
	Ramp   *UserRampF `yaml:"ramp"`
	Steps  Later      `yaml:"steps"`
	Burst  Later      `yaml:"burst"`
	Wave   Later      `yaml:"wave"`
	Chaos  Later      `yaml:"chaos"`
	Replay Later      `yaml:"replay"`
	At     pos        `yaml:"-"`
}

// UserHoldF keeps a number of users.
type UserHoldF struct {
	At  Count `yaml:"at,required"`
	For Span  `yaml:"for,required"`
}

// UserRampF changes the number of users evenly.
type UserRampF struct {
	From Count `yaml:"from,required"`
	To   Count `yaml:"to,required"`
	For  Span  `yaml:"for,required"`
}

// CriterionF is one statement that must hold.
type CriterionF struct {
	Name      *Text  `yaml:"name"`
	Check     Source `yaml:"check,required"`
	During    *Words `yaml:"during"`
	Except    Later  `yaml:"except"`
	Window    *Span  `yaml:"window"`
	Met       *Share `yaml:"met"`
	For       *Span  `yaml:"for"`
	Severity  *Text  `yaml:"severity"`
	OnBreach  *Text  `yaml:"on_breach"`
	OnMissing Later  `yaml:"on_missing"`
	By        []Text `yaml:"by"`
	At        pos    `yaml:"-"`
}

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
	CPU          *Share `yaml:"worker_cpu"`
	Sent         *Share `yaml:"sent"`
	Completeness *Share `yaml:"completeness"`
}

// WorkerLossF is the policy for lost workers.
type WorkerLossF struct {
	Policy  *Text  `yaml:"policy"`
	MaxLost *Share `yaml:"max_lost"`
}

// CoordinatorLossF is how long workers go on without a leader.
type CoordinatorLossF struct {
	Grace *Span `yaml:"grace"`
}
