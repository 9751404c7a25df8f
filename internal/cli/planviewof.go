package cli

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

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
