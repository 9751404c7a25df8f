package scenario

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"proofload/internal/scenario/expression"
)

var method = regexp.MustCompile(`^[A-Z]+$`)

// columns notes the columns of the data set whose file was just read.
func (l *loader) columns(name Text, header []string) {
	if l.header == nil {
		l.header = map[string]expression.Names{}
	}
	for set, f := range l.file.Data {
		if f.CSV != nil && f.CSV.At == name.At {
			l.header[set] = expression.Names(header)
		}
	}
}

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
	l.secrets = map[string]bool{}
	var setup expression.Names
	l.plan.Setup, setup = l.steps(l.file.Setup, expression.Names{})
	l.plan.Teardown, _ = l.steps(l.file.Teardown, setup)
	if len(l.file.Flows) == 0 && l.file.Flows != nil {
		l.fail(pos{}, "flows is empty")
	}
	for _, name := range slices.Sorted(maps.Keys(l.file.Flows)) {
		if !word.MatchString(name) {
			l.fail(pos{}, "flow %q: a name is of letters, digits, _ and -", name)
		}
		steps, _ := l.steps(l.file.Flows[name], setup)
		if len(steps) == 0 {
			l.fail(pos{}, "flow %s has no steps", name)
		}
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
			if !word.MatchString(step.Name) {
				l.fail(f.Step.At, "step %q: a name is of letters, digits, _ and -", step.Name)
			}
			if names[step.Name] {
				l.fail(f.Step.At, "step %s stands twice in its flow", step.Name)
			}
			names[step.Name] = true
		}
		scope := l.scopeWith(setup, vars)
		switch {
		case f.GRPC.At.line > 0 || f.WS.At.line > 0:
			continue
		case f.Think != nil && f.HTTP == nil:
			l.think(f)
			step.Think = &f.Think.Dist
			out = append(out, step)
			continue
		case f.HTTP == nil:
			l.fail(f.At, "a step needs http or think")
			continue
		case f.Think != nil:
			l.fail(f.At, "http and think are two steps")
		case f.Step == nil:
			l.fail(f.At, "a step with http needs a name: `- step: login`")
		}
		l.http(&step, f, scope)
		l.response(&step, f, scope)
		for _, s := range step.Save {
			vars = append(vars, s.Name)
		}
		out = append(out, step)
	}
	return out, vars
}

func (l *loader) think(f StepF) {
	if f.Target != nil || f.Timeout != nil || f.Expect != nil || f.Save != nil || f.Measure != nil || f.Retry != nil {
		l.fail(f.At, "a think step only waits: it has no target, timeout, expect, save, measure or retry")
	}
}

func (l *loader) http(step *Step, f StepF, scope expression.Scope) {
	step.Target = l.stepTarget(f)
	h := HTTP{Method: strings.ToUpper(f.HTTP.Method.Value), Path: f.HTTP.Path.Value, JSON: f.HTTP.JSON.Value, HasJSON: f.HTTP.JSON.Set}
	if !method.MatchString(h.Method) {
		l.fail(f.HTTP.Method.At, "method %q: write GET, POST, PUT, PATCH, DELETE or another word", f.HTTP.Method.Value)
	}
	if !strings.HasPrefix(h.Path, "/") && !strings.HasPrefix(h.Path, "${") {
		l.fail(f.HTTP.Path.At, "path %q must begin with /", h.Path)
	}
	l.checkTemplate(h.Path, f.HTTP.Path.At, scope)
	for _, name := range slices.Sorted(maps.Keys(f.HTTP.Headers)) {
		v := f.HTTP.Headers[name]
		if !headerName.MatchString(name) {
			l.fail(v.At, "%q is not the name of a header", name)
		}
		l.checkTemplate(v.Value, v.At, scope)
		h.Headers = append(h.Headers, Field{name, v.Value})
	}
	for _, name := range slices.Sorted(maps.Keys(f.HTTP.Query)) {
		v := f.HTTP.Query[name]
		l.checkTemplate(v.Value, v.At, scope)
		h.Query = append(h.Query, Field{name, v.Value})
	}
	if f.HTTP.Body != nil {
		l.checkTemplate(f.HTTP.Body.Value, f.HTTP.Body.At, scope)
		h.Body = &f.HTTP.Body.Value
		if h.HasJSON {
			l.fail(f.HTTP.Body.At, "json and body exclude each other")
		}
	}
	l.checkTree(h.JSON, f.HTTP.JSON.At, scope)
	step.HTTP = &h
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func (l *loader) stepTarget(f StepF) string {
	if f.Target != nil {
		if _, ok := l.file.Targets[f.Target.Value]; !ok {
			l.fail(f.Target.At, "there is no target %q%s", f.Target.Value, didYouMean(f.Target.Value, slices.Sorted(maps.Keys(l.file.Targets))))
		}
		return f.Target.Value
	}
	if len(l.file.Targets) == 1 {
		for name := range l.file.Targets {
			return name
		}
	}
	if len(l.file.Targets) > 1 {
		l.fail(f.At, "there are several targets: say which, e.g. `target: %s`", slices.Sorted(maps.Keys(l.file.Targets))[0])
	}
	return DefaultTarget
}

// response builds what a step does with its response.
func (l *loader) response(step *Step, f StepF, scope expression.Scope) {
	scope.Response = true
	step.Timeout = DefaultTimeout
	if f.Timeout != nil {
		if step.Timeout = f.Timeout.Value; step.Timeout <= 0 {
			l.fail(f.Timeout.At, "timeout must be above 0")
		}
	}
	step.ImplyStatus = true
	for _, e := range f.Expect {
		p := l.checkExpr(e, scope)
		if p != nil && p.Reads(expression.Status) {
			step.ImplyStatus = false
		}
		step.Expect = append(step.Expect, e.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Save)) {
		l.checkName("save", name, f.Save[name].At)
		l.checkExpr(f.Save[name], scope)
		step.Save = append(step.Save, Expression{name, f.Save[name].Value})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Measure)) {
		m := f.Measure[name]
		l.checkName("measure", name, m.Value.At)
		if _, engine := checkMetrics[name]; engine {
			l.fail(m.Value.At, "measure %s has the name of a metric that every run has", name)
		}
		l.checkExpr(m.Value, scope)
		l.measure(name, m)
		step.Measure = append(step.Measure, Measure{name, m.Value.Value, m.Unit})
	}
	step.Continue = l.choice(f.OnFail, "stop", "continue") == "continue"
	if f.Retry != nil {
		step.Retry = &Retry{Times: int(f.Retry.Times.Value)}
		if f.Retry.Backoff != nil {
			step.Retry.Backoff = f.Retry.Backoff.Value
		}
		if f.Retry.Times.Value < 1 || f.Retry.Times.Value > 100 {
			l.fail(f.Retry.Times.At, "times is not between 1 and 100")
		}
	}
}

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

func (l *loader) checkName(what, name string, at pos) {
	if !identifier.MatchString(name) {
		l.fail(at, "%s %q: a name is of a-z, 0-9 and _, and does not begin with a digit", what, name)
	}
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

// expressionProblem puts the offset of an expression's error into the file's column where the
// expression stands on one line.
func (l *loader) expressionProblem(err error, at pos) {
	var e *expression.Error
	if errors.As(err, &e) {
		at.column += e.Offset
	}
	l.fail(at, "%s", err)
}

// note remembers the secrets that are read.
func (l *loader) note(refs []expression.Ref) {
	for _, r := range refs {
		if r.Root == expression.Secret {
			l.secrets[r.Name] = true
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
