package scenario

import (
	"maps"
	"slices"
	"strings"

	"proofload/internal/scenario/expression"
)

func (l *loader) buildFlows() {
	if l.header == nil {
		l.header = map[string]expression.Names{}
	}
	for name, d := range l.plan.Data {
		if len(d.Fake) > 0 {
			for _, f := range d.Fake {
				l.header[name] = append(l.header[name], f.Name)
			}
		}
		if l.header[name] == nil {
			l.header[name] = expression.AnyName // its file could not be read, which was said already
		}
	}
	for _, check := range l.later {
		check()
	}
	var setup expression.Names
	l.plan.Setup, setup = l.steps(l.file.Setup, expression.Names{})
	l.plan.Teardown, _ = l.steps(l.file.Teardown, setup)
	for _, name := range slices.Sorted(maps.Keys(l.file.Flows)) {
		l.flowName = name
		steps, _ := l.steps(l.file.Flows[name], setup)
		l.plan.Flows[name] = Flow{Steps: steps}
	}
}

// steps builds a sequence of steps and returns the names that it saves.
func (l *loader) steps(in []StepF, setup expression.Names) ([]Step, expression.Names) {
	var out []Step
	vars := expression.Names{}
	names := map[string]bool{}
	for _, f := range in {
		step := Step{}
		if f.Step != nil {
			step.Name = f.Step.Value
			if names[step.Name] {
				l.fail(f.Step.At, "step %s stands twice in its flow", step.Name)
			}
			names[step.Name] = true
		}
		scope := l.scopeWith(setup, vars)
		switch {
		case f.HTTP != nil:
			l.http(&step, f, scope)
		case f.WebSocket != nil:
			l.webSocket(&step, f, scope)
			scope.Roots = webSocketRoots
		case f.Program != nil:
			l.program(&step, f, scope)
			scope.Roots = programRoots
		case f.TCP != nil || f.UDP != nil:
			l.socket(&step, f, scope)
			scope.Roots = socketRoots
		case f.GRPC != nil:
			l.grpc(&step, f, scope)
			scope.Roots = grpcRoots
		case f.Think != nil:
			step.Think = &f.Think.Dist
			out = append(out, step)
			continue
		default: // refused by the decoder; what it saves is known all the same
			for name := range f.Save {
				vars = append(vars, name)
			}
			continue
		}
		l.response(&step, f, scope)
		for _, s := range step.Save {
			vars = append(vars, s.Name)
		}
		out = append(out, step)
	}
	return out, vars
}

func (l *loader) http(step *Step, f StepF, scope expression.Scope) {
	step.Target = l.stepTarget(f, protocolHTTP)
	h := HTTP{Method: strings.ToUpper(f.HTTP.Method.Value), Path: f.HTTP.Path.Value}
	l.checkTemplate(h.Path, f.HTTP.Path.At, scope)
	h.Headers, h.Query = l.fields(f.HTTP.Headers, scope), l.fields(f.HTTP.Query, scope)
	l.body(&h, f.HTTP, scope)
	step.HTTP = &h
}

// stepTarget returns the name of a step's target, which must speak the step's protocol.
func (l *loader) stepTarget(f StepF, protocol string) string {
	at, name := f.At, DefaultTarget
	names := slices.Sorted(maps.Keys(l.file.Targets))
	switch {
	case f.Target != nil:
		at, name = f.Target.At, f.Target.Value
		if _, ok := l.file.Targets[name]; !ok {
			l.fail(at, "there is no target %q%s", name, didYouMean(name, names))
		}
	case len(names) == 1:
		name = names[0]
	case len(names) > 1:
		l.fail(at, "there are several targets: say which, e.g. `target: %s`", names[0])
	}
	if t, ok := l.plan.Targets[name]; ok && t.protocol() != protocol {
		l.fail(at, "target %s is %s: a step that is %s cannot go there", name, t.URL, protocol)
	}
	return name
}

// response builds what a step does with its response.
func (l *loader) response(step *Step, f StepF, scope expression.Scope) {
	scope.Response = true
	step.Timeout = DefaultTimeout
	if f.Timeout != nil {
		step.Timeout = f.Timeout.Value
	}
	step.ImplyStatus = step.WebSocket == nil && step.Socket == nil // a script that was spoken to its end is a success
	for _, e := range f.Expect {
		p := l.checkExpr(e, scope)
		if p != nil && (p.Reads(expression.Status) || p.Reads(expression.Code)) {
			step.ImplyStatus = false
		}
		step.Expect = append(step.Expect, e.Value)
	}
	// What is saved or measured is stored and shown: no secret may go there.
	scope.Secrets = nil
	for _, name := range slices.Sorted(maps.Keys(f.Save)) {
		l.checkExpr(f.Save[name], scope)
		step.Save = append(step.Save, Expression{name, f.Save[name].Value})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Measure)) {
		m := f.Measure[name]
		if _, engine := checkMetrics[name]; engine || slices.Contains(countedApart, name) {
			l.fail(m.Value.At, "measure %s has the name of a metric that every run has", name)
		}
		l.checkExpr(m.Value, scope)
		l.measure(name, m)
		step.Measure = append(step.Measure, Measure{name, m.Value.Value, m.Unit})
	}
	step.Continue = textOr(f.OnFail, "stop") == "continue"
	if f.Retry != nil {
		step.Retry = &Retry{Times: int(f.Retry.Times.Value)}
		if f.Retry.Backoff != nil {
			step.Retry.Backoff = f.Retry.Backoff.Value
		}
	}
}

// countedApart are the metrics of every run that no criterion can read.
var countedApart = []string{"unsent", "arrival_gap"}

// measure notes a measure with its unit, which must be the same wherever it stands.
func (l *loader) measure(name string, m MeasureF) {
	if l.measures == nil {
		l.measures = map[string]string{}
	}
	if old, ok := l.measures[name]; ok && old != m.Unit {
		l.fail(m.Value.At, "measure %s has unit %q here and %q elsewhere", name, m.Unit, old)
	}
	l.measures[name] = m.Unit
}

func (l *loader) checkTemplate(src string, at pos, scope expression.Scope) {
	t, err := expression.CompileTemplate(src, scope)
	if err != nil {
		l.expressionProblem(err, at)
		return
	}
	l.note(t.References())
}

func (l *loader) checkExpr(s Source, scope expression.Scope) *expression.Program {
	if s.Value == "" {
		return nil
	}
	p, err := expression.CompileExpr(s.Value, scope)
	if err != nil {
		l.expressionProblem(err, s.At)
		return nil
	}
	l.note(p.References())
	for _, ref := range p.References() {
		if _, ok := l.plan.Env[ref.Name]; ref.Root == expression.Env && !ok && !strings.Contains(s.Value, "??") && !strings.Contains(s.Value, "has(") {
			l.fail(s.At, "environment variable %s is not set", ref.Name)
		}
	}
	return p
}

// note remembers the secrets that are read, and the flows that read what only a user has.
func (l *loader) note(refs []expression.Ref) {
	for _, r := range refs {
		switch {
		case r.Root == expression.Secret:
			l.secrets[r.Name] = true
		case r.Root == expression.User && !r.Guarded && l.flowName != "":
			l.personal[l.flowName] = true
		}
	}
}

func (l *loader) checkTree(v any, at pos, scope expression.Scope) {
	switch x := v.(type) {
	case string:
		l.checkTemplate(x, at, scope)
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			l.checkTree(x[k], at, scope)
		}
	case []any:
		for _, item := range x {
			l.checkTree(item, at, scope)
		}
	}
}
