package cli

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

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

// planViewOf shows a plan, with the shares of so many workers.
func planViewOf(p *scenario.Plan, workers int) planView {
	workers = max(workers, 1)
	rate, users := p.Peak()
	v := planView{
		Schema: planSchema, Name: p.Name, Description: p.Description, Environment: given(p.Environment), ScenarioSHA256: p.ScenarioSHA256,
		Seed: p.Seed, Labels: notNilMap(p.Labels), Params: map[string]any{}, Env: sortedKeys(p.Env), Secrets: notNil(p.Secrets),
		PlannedS: p.Planned().Seconds(), PeakPerS: rate, PeakUsers: users,
		Targets: []planTarget{}, AllowTargets: notNil(p.AllowTargets), Data: []planData{}, Flows: []planFlow{},
		Setup: each(p.Setup, planStepOf), Teardown: each(p.Teardown, planStepOf), Criteria: each(p.Criteria, planCriterionOf),
		Validity:   planValidity{p.Validity.ScheduleLagP99.Seconds(), p.Validity.WorkerCPU, p.Validity.Sent, p.Validity.Completeness},
		Workers:    planWorkers{max(p.Workers.Min, 1), notNilMap(p.Workers.Match), workers},
		Limits:     planLimits{given(p.Limits.Rate), given(p.Limits.Users)},
		WorkerLoss: planLoss{p.Loss.Policy, p.Loss.MaxLost}, CoordinatorLoss: planGrace{p.Grace.Seconds()}, Confirm: p.Confirm,
	}
	maps.Copy(v.Params, p.Params)
	for _, name := range sortedKeys(p.Targets) {
		v.Targets = append(v.Targets, planTargetOf(name, p.Targets[name]))
	}
	for _, name := range sortedKeys(p.Data) {
		d := p.Data[name]
		v.Data = append(v.Data, planData{name, given(d.File()), given(d.Rows), given(d.Order), given(d.Per), given(d.OnEnd)})
	}
	for _, name := range sortedKeys(p.Flows) {
		v.Flows = append(v.Flows, planFlow{name, each(p.Flows[name].Steps, planStepOf)})
	}
	counts := schedule.Counts(p, mostDrawn)
	v.Phases = each(p.Phases, func(ph scenario.Phase) planPhase {
		out := planPhaseOf(p, ph)
		if len(ph.Rate) > 0 && !ph.Searched { // how many arrivals a search makes, nobody knows before
			out.count(ph.PlannedArrivals(), counts(&ph), int64(workers))
		}
		return out
	})
	v.Search = planSearchOf(p.Search)
	return v
}

func planTargetOf(name string, t scenario.Target) planTarget {
	v := planTarget{
		Name: name, URL: given(t.URL), Mock: given(t.Mock), HTTP: given(t.HTTP),
		Cookies: t.Cookies, Redirects: t.Redirects, Compression: given(t.Compression), Trace: given(t.Trace),
	}
	if a := t.Auth; a != nil {
		kind := "bearer"
		if a.Basic != nil {
			kind = "basic"
		} else if a.AWS != nil {
			kind = "aws"
		}
		v.Auth = &kind
	}
	fileName := func(f *scenario.FileRef) *string {
		if f == nil {
			return nil
		}
		return &f.Name
	}
	if s := t.TLS; s != nil {
		v.TLS = &planTLS{fileName(s.CA), fileName(s.Cert), fileName(s.Key), given(s.KeySecret), given(s.ServerName), !s.NoVerify}
	}
	if d := t.DNS; d != nil {
		v.DNS = &planDNS{notNil(d.Addresses), givenSeconds(d.Refresh)}
	}
	if c := t.Connections; c != nil {
		v.Connections = &planConnections{cmp.Or(c.Reuse, "shared"), notNil(c.Source)}
	}
	return v
}

func planSearchOf(s *scenario.Search) *planSearch {
	if s == nil {
		return nil
	}
	return &planSearch{
		Phase: s.Phase, LowPerS: s.Low, HighPerS: s.High, Precision: s.Precision, Confirm: s.Confirm,
		WarmS: s.Warm.Seconds(), MeasureS: s.Measure.Seconds(), CoolS: s.Cool.Seconds(),
		ProbesUsual: s.Config().Usual(), ProbesMost: s.Config().Most(),
	}
}

func planPhaseOf(p *scenario.Plan, ph scenario.Phase) planPhase {
	start := p.Start(ph.Name)
	v := planPhase{
		Name: ph.Name, Warmup: ph.Warmup, After: given(ph.After), With: given(ph.With),
		FromS: start.Seconds(), ToS: (start + p.Lasts(&ph)).Seconds(),
		MaxInFlight: given(ph.MaxInFlight), PaceS: givenSeconds(ph.Pace),
		Mix:    each(ph.Mix, func(w scenario.Weight) planWeight { return planWeight{w.Flow, w.Weight} }),
		Shapes: []planShape{}, Rate: each(ph.Rate, planSegmentOf), Users: each(ph.Users, planSegmentOf), UniqueRows: planRows{},
	}
	if len(ph.Rate) > 0 {
		v.Arrivals, v.LateS = given(ph.Arrivals), inSeconds(ph.Late)
	}
	at := time.Duration(0)
	scenario.EachShape(ph.Shapes, slices.Concat(ph.Rate, ph.Users), func(s scenario.Shape, of []scenario.Segment) {
		from := at
		for _, o := range of {
			at = o.Start + o.For
		}
		v.Shapes = append(v.Shapes, planShape{Kind: s.Kind, Text: s.Text, StartS: from.Seconds(), ForS: (at - from).Seconds()})
	})
	for name, d := range ph.Deals {
		v.UniqueRows[name] = d.Rows
	}
	return v
}

// count enters the numbers of arrivals: of each shape, if they are counted, and of all.
func (v *planPhase) count(all int64, counts []int64, workers int64) {
	if len(counts) > 0 {
		all = 0
	}
	for i := range counts {
		v.Shapes[i].Planned = &counts[i]
		all += counts[i]
	}
	share := all / workers
	v.Planned, v.PlannedPerWorker = &all, &share
}

func planSegmentOf(s scenario.Segment) planSegment {
	return planSegment{s.Kind, s.From, s.To, s.Start.Seconds(), s.For.Seconds()}
}

func planStepOf(s scenario.Step) planStep {
	v := planStep{
		Name: given(s.Name), Target: given(s.Target), TimeoutS: givenSeconds(s.Timeout), Expect: notNil(s.Expect),
		Save:    each(s.Save, func(e scenario.Expression) string { return e.Name }),
		Measure: each(s.Measure, func(m scenario.Measure) string { return m.Name }),
		OnFail:  "stop", Script: []string{},
	}
	if s.Continue {
		v.OnFail = "continue"
	}
	if h := s.HTTP; h != nil {
		v.Method, v.Path, v.Body, v.Compress = &h.Method, &h.Path, given(h.BodyKind()), given(h.Compress)
	}
	if w := s.WebSocket; w != nil {
		v.Path, v.Script = &w.Path, each(w.Script, scenario.Action.Kind)
	}
	if w := s.Socket; w != nil {
		v.Script = each(w.Script, scenario.Action.Kind)
	}
	if g := s.GRPC; g != nil {
		v.Method = &g.Method
	}
	if r := s.Retry; r != nil {
		v.Retry = &planRetry{r.Times, r.Backoff.Seconds()}
	}
	if s.Think != nil {
		v.Think = planThinkOf(*s.Think)
	}
	return v
}

func planThinkOf(d scenario.Distribution) *planThink {
	v := &planThink{Kind: d.Kind}
	switch d.Kind {
	case "constant":
		v.ValueS = inSeconds(d.Value)
	case "uniform":
		v.MinS, v.MaxS = inSeconds(d.Min), inSeconds(d.Max)
	case "exponential":
		v.MeanS = inSeconds(d.Mean)
	case "normal":
		v.MeanS, v.StddevS = inSeconds(d.Mean), inSeconds(d.Stddev)
	case "lognormal":
		v.MedianS, v.Sigma = inSeconds(d.Median), &d.Sigma
	}
	return v
}

func planCriterionOf(c scenario.Criterion) planCriterion {
	v := planCriterion{
		Name: c.Name, Check: c.Source, Limit: c.Check.Limit, Unit: c.Check.Unit, During: notNil(c.During),
		WindowS: givenSeconds(c.Window), ForS: givenSeconds(c.For), By: notNil(c.By), Severity: c.Severity, OnBreach: c.OnBreach,
	}
	if c.Window > 0 {
		v.Met = &c.Met
	}
	return v
}

// given returns nil for the zero value, with which a plan says that something is absent.
func given[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

func givenSeconds(d time.Duration) *float64 { return given(d.Seconds()) }

func inSeconds(d time.Duration) *float64 { return new(d.Seconds()) }

// each maps a list; the result is never nil.
func each[T, U any](in []T, f func(T) U) []U {
	out := make([]U, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

// sortedKeys returns the keys of a map in order; never nil.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return notNil(slices.Sorted(maps.Keys(m)))
}
