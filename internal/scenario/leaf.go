package scenario

import (
	"fmt"
	"math"
	"strings"
	"time"

	"proofload/internal/scenario/expression"
)

// The types below are the scalars of the language. Each knows its place, so that what is found wrong
// later can be shown there.

// Text is a text that is fixed before the run.
type Text struct {
	Value string
	At    pos
}

func (t *Text) decode(d *decoder, n *node) {
	t.At = n.pos
	v, ok := d.fixed(n, "a text")
	if !ok {
		return
	}
	b, err := expression.AppendText(nil, v)
	if err != nil || v == nil {
		d.fail(n.pos, "%s where a text was expected", n.describe())
		return
	}
	t.Value = string(b)
}

// TemplateText is a text that may read what exists during an iteration. Params and env are put in.
type TemplateText struct {
	Value string
	At    pos
}

func (t *TemplateText) decode(d *decoder, n *node) {
	t.At = n.pos
	if n.kind != scalarNode || n.value == nil {
		d.fail(n.pos, "%s where a text was expected", n.describe())
		return
	}
	t.Value = d.template(n)
}

// template puts params and env into the text of a scalar.
func (d *decoder) template(n *node) string {
	if d.undecided(n) {
		return n.text
	}
	r, err := expression.Replace(n.text, d.known, d.scope)
	if err != nil {
		d.expressionProblem(err, n.pos)
		return n.text
	}
	if r.Constant && r.Value == nil {
		d.fail(n.pos, "this is nothing where a text was expected")
	}
	return r.Template
}

// Source is an expression, as text.
type Source struct {
	Value string
	At    pos
}

func (s *Source) decode(d *decoder, n *node) {
	s.At = n.pos
	if n.kind != scalarNode || n.value == nil || strings.TrimSpace(n.text) == "" {
		d.fail(n.pos, "%s where an expression was expected", n.describe())
		return
	}
	s.Value = n.text
}

// Span is a duration.
type Span struct {
	Value time.Duration
	At    pos
	Set   bool
}

func (s *Span) decode(d *decoder, n *node) {
	s.At, s.Set = n.pos, true
	v, ok := d.fixed(n, "a duration")
	if !ok {
		return
	}
	var err error
	if s.Value, err = parseDuration(v); err != nil {
		d.fail(n.pos, "%s", err)
	}
}

// maxSpan keeps arithmetic on times far from overflow; no run lasts a hundred years.
const maxSpan = 100 * 365 * 24 * time.Hour

func parseDuration(v any) (time.Duration, error) {
	switch x := v.(type) {
	case time.Duration:
		return x, nil
	case string:
		dur, err := time.ParseDuration(x)
		if err != nil || strings.HasPrefix(x, "-") || dur > maxSpan {
			return 0, fmt.Errorf("%q is not a duration: write 250ms, 30s or 1h30m", x)
		}
		return dur, nil
	case int64, int, float64:
		if fmt.Sprint(x) == "0" {
			return 0, nil
		}
	}
	return 0, fmt.Errorf("duration %v has no unit: write %vs or %vms", v, v, v)
}

// Rate is a number per second.
type Rate struct {
	Value float64
	At    pos
}

func (r *Rate) decode(d *decoder, n *node) {
	r.At = n.pos
	v, ok := d.fixed(n, "a rate")
	if !ok {
		return
	}
	var err error
	if r.Value, err = readRate(v); err != nil {
		d.fail(n.pos, "%s", err)
	}
}

const maxRate = 1e8

func readRate(v any) (float64, error) {
	text, ok := v.(string)
	if !ok {
		return 0, fmt.Errorf("rate %v has no unit: write %v/s, %v/m or %v/h", v, v, v, v)
	}
	value, ok := parseRate(strings.TrimSpace(text))
	if !ok || math.Signbit(value) {
		return 0, fmt.Errorf("%q is not a rate: write 400/s, 30/m or 100/h", text)
	}
	if value > maxRate {
		return 0, fmt.Errorf("rate %s is above %g/s", text, float64(maxRate))
	}
	return value, nil
}

// Share is a part of a whole, 1 being all of it.
type Share struct {
	Value float64
	At    pos
	Set   bool
}

func (s *Share) decode(d *decoder, n *node) {
	s.At, s.Set = n.pos, true
	v, ok := d.fixed(n, "a share")
	if !ok {
		return
	}
	var err error
	if s.Value, err = parseShare(v); err != nil {
		d.fail(n.pos, "%s", err)
	}
}

func parseShare(v any) (float64, error) {
	text, ok := v.(string)
	if !ok {
		return 0, fmt.Errorf("share %v has no unit: write %v%%", v, v)
	}
	number, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	value, isNumber := parseDecimal(strings.TrimSpace(number), "e-2")
	if !ok || !isNumber || math.Signbit(value) {
		return 0, fmt.Errorf("%q is not a share: write 10%%", text)
	}
	return value, nil
}

// Count is a whole number.
type Count struct {
	Value int64
	At    pos
	Set   bool
}

func (c *Count) decode(d *decoder, n *node) {
	c.At, c.Set = n.pos, true
	v, ok := d.fixed(n, "a whole number")
	if !ok {
		return
	}
	switch x := v.(type) {
	case int64:
		c.Value = x
	case int:
		c.Value = int64(x)
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			c.Value = int64(x)
			return
		}
		d.fail(n.pos, "%v is not a whole number", x)
	default:
		d.fail(n.pos, "%s is not a whole number", n.describe())
	}
	if c.Value < 0 {
		d.fail(n.pos, "%d is negative", c.Value)
	}
}

// Real is a number.
type Real struct {
	Value float64
	At    pos
}

func (r *Real) decode(d *decoder, n *node) {
	r.At = n.pos
	v, ok := d.fixed(n, "a number")
	if !ok {
		return
	}
	switch x := v.(type) {
	case int64:
		r.Value = float64(x)
	case int:
		r.Value = float64(x)
	case float64:
		r.Value = x
	default:
		d.fail(n.pos, "%s is not a number", n.describe())
	}
	if math.IsNaN(r.Value) || math.IsInf(r.Value, 0) || r.Value < 0 {
		d.fail(n.pos, "%v is not a number that is usable here", r.Value)
	}
}

// Flag is true or false.
type Flag struct {
	Value bool
	At    pos
}

func (f *Flag) decode(d *decoder, n *node) {
	f.At = n.pos
	v, ok := d.fixed(n, "true or false")
	if !ok {
		return
	}
	b, isBool := v.(bool)
	if !isBool {
		d.fail(n.pos, "%s is neither true nor false", n.describe())
	}
	f.Value = b
}

// Tree is any value, with templates in its texts.
type Tree struct {
	Value any
	At    pos
	Set   bool
}

func (t *Tree) nullable() {}

func (t *Tree) decode(d *decoder, n *node) {
	t.At, t.Set = n.pos, true
	t.Value = d.tree(n)
}

func (d *decoder) tree(n *node) any {
	switch n.kind {
	case mapNode:
		m := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			m[f.name] = d.tree(f.node)
		}
		return m
	case listNode:
		l := make([]any, 0, len(n.items))
		for _, item := range n.items {
			l = append(l, d.tree(item))
		}
		return l
	}
	text, isText := n.value.(string)
	if !isText || d.undecided(n) {
		return n.value
	}
	r, err := expression.Replace(text, d.known, d.scope)
	if err != nil {
		d.fail(n.pos, "%s", err)
		return text
	}
	if s, isString := r.Value.(string); r.Constant && !isString {
		return r.Value
	} else if r.Constant {
		return expression.Escape(s)
	}
	return r.Template
}

// ParamsF is the params. The loader has read them before anything else; here they are only looked at.
type ParamsF struct{}

func (*ParamsF) decode(d *decoder, n *node) {
	if n.kind != mapNode {
		d.fail(n.pos, "%s where params were expected: a map from names to values", n.describe())
		return
	}
	for _, f := range n.fields {
		if f.node.kind != scalarNode {
			d.fail(f.node.pos, "%s where a param was expected", f.node.describe())
		}
	}
}

// EnvironmentsF is the environments. They are read when one of them is laid over the file; here they
// only have to be some.
type EnvironmentsF struct{}

func (*EnvironmentsF) decode(d *decoder, n *node) {
	if n.kind != mapNode {
		d.fail(n.pos, "%s where environments were expected: a map from names to maps", n.describe())
		return
	}
	if len(n.fields) == 0 {
		d.fail(n.pos, "environments is empty")
	}
	for _, f := range n.fields {
		if f.node.kind != mapNode {
			d.fail(f.node.pos, "%s where an environment was expected: a map that is laid over the file", f.node.describe())
		}
	}
}

// Later is a feature of the language that this version does not have.
type Later struct{ At pos }

func (l *Later) nullable() {}

func (l *Later) decode(_ *decoder, n *node) { l.At = n.pos }
