package scenario

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"proofload/internal/scenario/expression"
)

// What a mock answers when the scenario does not say. net/http is out of reach of a pure package.
const (
	statusOK     = 200
	statusFailed = 500
)

var word = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// build makes the plan out of the decoded file. Problems are collected; the plan counts only when
// there is none.
func (l *loader) build() {
	l.buildMocks()
	l.buildTargets()
	l.buildData()
	l.buildFlows()
	l.buildLimits()
	l.buildSearch()
	l.buildPhases()
	l.buildCriteria()
	l.checkSearch()
	l.buildRest()
	l.checkRows()
}

func (l *loader) buildMocks() {
	if len(l.file.Mocks) == 0 {
		return
	}
	l.plan.Mocks = map[string]Mock{}
	for name, m := range l.file.Mocks {
		var out Mock
		for _, r := range m.Routes {
			out.Routes = append(out.Routes, l.route(r))
		}
		if m.Parallel != nil {
			out.Parallel = m.Parallel.Value
		}
		l.plan.Mocks[name] = out
	}
}

func (l *loader) route(r RouteF) Route {
	out := Route{Status: statusOK, JSON: unescape(r.JSON.Value), HasJSON: r.JSON.Set}
	if r.Match != nil {
		out.Method, out.Path = strings.ToUpper(r.Match.Method.Value), r.Match.Path.Value
	}
	if r.Status != nil {
		out.Status = int(r.Status.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		out.Headers = append(out.Headers, Field{name, r.Headers[name].Value})
	}
	if r.Body != nil {
		out.Body = r.Body.Value
	}
	if r.Latency != nil {
		out.Latency = &r.Latency.Dist
	}
	if r.Fail != nil {
		out.Fail = &MockFailure{Ratio: r.Fail.Ratio.Value, Status: statusFailed}
		if r.Fail.Status != nil {
			out.Fail.Status = int(r.Fail.Status.Value)
		}
	}
	return out
}

// unescape turns the templates of a tree that has none into plain texts: a mock answers what stands there.
func unescape(v any) any {
	switch x := v.(type) {
	case string:
		return strings.ReplaceAll(x, "$${", "${")
	case map[string]any:
		for k := range x {
			x[k] = unescape(x[k])
		}
	case []any:
		for i := range x {
			x[i] = unescape(x[i])
		}
	}
	return v
}

func (l *loader) buildLimits() {
	f := &l.file
	l.plan.Workers.Min = 1
	if f.Workers != nil {
		l.plan.Workers.Match = texts(f.Workers.Match)
		if f.Workers.Min != nil {
			l.plan.Workers.Min = int(max(f.Workers.Min.Value, 1))
		}
	}
	if f.Limits != nil {
		if f.Limits.Rate != nil {
			l.plan.Limits.Rate = f.Limits.Rate.Value
		}
		if f.Limits.Users != nil {
			l.plan.Limits.Users = float64(f.Limits.Users.Value)
		}
	}
	if f.Confirm != nil {
		l.plan.Confirm = f.Confirm.Value
		if l.opts.Environment == "" {
			l.fail(f.Confirm.At, "confirm belongs into an environment: it asks for that environment's name")
		}
	}
}

func (l *loader) buildRest() {
	p, f := l.plan, &l.file
	p.Validity = defaultValidity
	if v := f.Validity; v != nil {
		if v.Lag != nil {
			p.Validity.ScheduleLagP99 = v.Lag.Value
		}
		for _, s := range []struct {
			from *Share
			to   *float64
		}{{v.CPU, &p.Validity.WorkerCPU}, {v.Sent, &p.Validity.Sent}, {v.Completeness, &p.Validity.Completeness}} {
			if s.from != nil {
				*s.to = s.from.Value
			}
		}
	}
	p.Loss = WorkerLoss{Policy: "redistribute", MaxLost: 0.5}
	if w := f.WorkerLoss; w != nil {
		p.Loss.Policy = textOr(w.Policy, "redistribute")
		if w.MaxLost != nil {
			p.Loss.MaxLost = w.MaxLost.Value
		}
	}
	p.Grace = DefaultGrace
	if f.Coordinator != nil && f.Coordinator.Grace != nil {
		p.Grace = f.Coordinator.Grace.Value
		if p.Grace < 2*time.Second {
			l.fail(f.Coordinator.Grace.At, "grace is below 2s: workers hear from the coordinator once per second")
		}
	}
	p.Secrets = slices.Sorted(maps.Keys(l.secrets))
}

// inScope returns what can be read at a place, with vars and setup values added as they come.
func (l *loader) scopeWith(setup, vars expression.Names) expression.Scope {
	data := map[string]expression.Names{}
	for name := range l.plan.Data {
		data[name] = l.header[name]
	}
	return expression.Scope{
		Params: expression.NamesOf(l.plan.Params), Env: expression.AnyName, Data: data, Setup: setup, Vars: vars,
		Secrets: expression.AnyName, User: true,
	}
}
