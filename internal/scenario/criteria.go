package scenario

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (l *loader) buildCriteria() {
	names := map[string]bool{}
	for _, f := range l.file.Criteria {
		c := Criterion{Source: f.Check.Value, Met: 1}
		c.Name = f.Check.Value
		if f.Name != nil {
			c.Name = f.Name.Value
		}
		if names[c.Name] {
			l.fail(f.At, "criterion %q stands twice", c.Name)
		}
		names[c.Name] = true
		check, err := ParseCheck(f.Check.Value, WithMetrics(l.measures))
		if err != nil && f.Check.Value != "" {
			at := f.Check.At
			var ce *CheckError
			var later *NotSupportedError
			if errors.As(err, &ce) {
				at.column += ce.Offset
			} else if errors.As(err, &later) {
				at.column += later.Offset
			}
			if ce == nil || !l.announced(ce) {
				l.fail(at, "%s", err)
			}
		}
		c.Check = check
		l.exist(check, f.Check.At)
		l.during(&c, f)
		l.when(&c, f)
		c.Severity = textOr(f.Severity, "critical")
		c.OnBreach = textOr(f.OnBreach, "none")
		if c.OnBreach == "abort" && c.Window == 0 {
			l.fail(f.OnBreach.At, "on_breach: abort needs a window: without one the criterion is judged only at the end")
		}
		l.by(&c, f.By)
		l.plan.Criteria = append(l.plan.Criteria, c)
	}
}

// by refuses labels that the series of a check cannot have: there would be one row for all of them.
func (l *loader) by(c *Criterion, labels []Text) {
	for _, b := range labels {
		c.By = append(c.By, b.Value)
		for _, side := range c.Check.sides() {
			if problem := labelProblem(side.Metric, b.Value); problem != "" && side.Metric != "" { // one that cannot be read has a problem
				l.fail(b.At, "by: %s", problem)
				break
			}
		}
	}
}

// announced tells whether an error is about a metric of the file's sources, which are refused as a whole.
func (l *loader) announced(err *CheckError) bool {
	for _, name := range l.sources {
		if strings.HasPrefix(err.Message, "unknown metric "+strconv.Quote(name)) {
			return true
		}
	}
	return false
}

// exist refuses a check that selects a phase, flow or step which the scenario does not have: it would
// never have a sample.
func (l *loader) exist(c Check, at pos) {
	known := map[string][]string{}
	var sampling []string // steps whose programs print samples, each name of which is a series of its own
	for _, p := range l.plan.Phases {
		known["phase"] = append(known["phase"], p.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(l.plan.Flows)) {
		known["flow"] = append(known["flow"], name)
		for _, s := range l.plan.Flows[name].Steps {
			if s.Name != "" && !slices.Contains(known["step"], s.Name) {
				known["step"] = append(known["step"], s.Name)
			}
			if s.Program != nil && s.Program.Samples {
				sampling = append(sampling, s.Name)
			}
		}
	}
	for _, s := range c.sides() {
		for _, m := range s.Matchers {
			if step, _, sample := strings.Cut(m.Value, "."); m.Label == "step" && sample && slices.Contains(sampling, step) {
				continue
			}
			if names, ok := known[m.Label]; ok && m.Op == "=" && !slices.Contains(names, m.Value) {
				l.fail(at, "there is no %s %q%s", m.Label, m.Value, didYouMean(m.Value, names))
			}
		}
	}
}

func (l *loader) during(c *Criterion, f CriterionF) {
	if f.During == nil {
		return
	}
	for _, t := range f.During.Items {
		if t.Value == "fault" || strings.HasPrefix(t.Value, "fault:") {
			l.fail(t.At, "during: %s is not supported yet", t.Value)
			continue
		}
		if l.plan.phase(t.Value) == nil {
			var names []string
			for _, p := range l.plan.Phases {
				names = append(names, p.Name)
			}
			l.fail(t.At, "there is no phase %q%s", t.Value, didYouMean(t.Value, names))
		}
		c.During = append(c.During, t.Value)
	}
}

// when reads how a criterion is judged over time.
func (l *loader) when(c *Criterion, f CriterionF) {
	if f.Window != nil {
		c.Window = f.Window.Value
		if c.Window%time.Second != 0 {
			l.fail(f.Window.At, "window must be whole seconds, at least 1s")
		}
	}
	if f.Met != nil {
		c.Met = f.Met.Value
	}
	if f.For != nil {
		c.For = f.For.Value
		if c.Window != 0 && c.For%c.Window != 0 {
			l.fail(f.For.At, "for must be a multiple of window")
		}
	}
}

// Mentions reports whether any template or expression of a step contains the text.
func (s Step) Mentions(text string) bool {
	found := false
	look := func(t string) { found = found || strings.Contains(t, text) }
	if s.HTTP != nil {
		s.HTTP.look(look)
	}
	if w := s.WebSocket; w != nil {
		look(w.Path)
		for _, f := range slices.Concat(w.Headers, w.Query) {
			look(f.Value)
		}
		mentions(w.Script, look)
	}
	if p := s.Program; p != nil {
		for _, a := range p.Argv {
			look(a)
		}
		for _, f := range p.Env {
			look(f.Value)
		}
		if p.Stdin != nil {
			look(*p.Stdin)
		}
	}
	if s.Socket != nil {
		mentions(s.Socket.Script, look)
	}
	if s.GRPC != nil {
		s.GRPC.look(look)
	}
	for _, e := range s.Expect {
		look(e)
	}
	for _, e := range s.Save {
		look(e.Source)
	}
	for _, m := range s.Measure {
		look(m.Source)
	}
	return found
}
