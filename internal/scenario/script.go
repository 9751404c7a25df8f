package scenario

import (
	"encoding/hex"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"

	"proofload/internal/scenario/expression"
)

// ActionF is one element of a script: something to send, something to await, or a time in which neither is done.
type ActionF struct {
	Send    *SendF   `yaml:"send" one:"action"`
	Expect  *ExpectF `yaml:"expect" one:"action"`
	Wait    *DistF   `yaml:"wait" one:"action"`
	Timeout *Span    `yaml:"timeout" is:">0" with:"expect: it is how long that is awaited"`
	Skip    *Flag    `yaml:"skip" with:"expect: it passes over what is not it"`
	At      pos      `yaml:"-"`
}

// SendF is what is sent: a text, or a map with another form of it.
type SendF struct {
	sendMap
	At pos
}

type sendMap struct {
	Text *TemplateText `yaml:"text" one:"content"`
	JSON Tree          `yaml:"json" one:"content"`
	Hex  *TemplateText `yaml:"hex" one:"content"`
	File *Text         `yaml:"file" one:"content" is:"text"`
}

func (s *SendF) decode(d *decoder, n *node) {
	s.At = n.pos
	if n.kind == mapNode {
		d.decode(n, &s.sendMap)
		return
	}
	s.Text = &TemplateText{}
	s.Text.decode(d, n)
}

func (*SendF) long() reflect.Type { return reflect.TypeFor[sendMap]() }

func (s *SendF) schema(g *generator) *Schema {
	return &Schema{AnyOf: []*Schema{new(TemplateText).schema(g), g.definition(s.long())}}
}

// ExpectF is what has to come: an expression over it, or a map.
type ExpectF struct {
	expectMap
	Expr Source // empty: the map counts
	At   pos
}

type expectMap struct {
	Text    *TemplateText `yaml:"text" one:"content"`
	Hex     *TemplateText `yaml:"hex" one:"content"`
	Pattern *Text         `yaml:"pattern" one:"content" is:"text"`
	Until   *TemplateText `yaml:"until" one:"content"`
	Size    *Count        `yaml:"size" one:"content" is:"1.."`
}

func (e *ExpectF) decode(d *decoder, n *node) {
	e.At = n.pos
	if n.kind == mapNode {
		d.decode(n, &e.expectMap)
		return
	}
	e.Expr.decode(d, n)
}

func (*ExpectF) long() reflect.Type { return reflect.TypeFor[expectMap]() }

func (e *ExpectF) schema(g *generator) *Schema {
	return &Schema{AnyOf: []*Schema{new(Source).schema(g), g.definition(e.long())}}
}

// medium is what a script is spoken over.
type medium int

const (
	byMessage medium = iota // each thing that is sent or comes is a message
	asDatagrams
	asBytes // bytes without bounds
)

// script builds what is said on a connection.
func (l *loader) script(in []ActionF, scope expression.Scope, over medium) []Action {
	var out []Action
	for _, f := range in {
		var a Action
		switch {
		case f.Send != nil:
			a.Send = l.payload(f.Send, scope)
		case f.Expect != nil:
			a.Expect = l.expectation(&f, scope, over)
		case f.Wait != nil:
			a.Wait = &f.Wait.Dist
		}
		out = append(out, a)
	}
	return out
}

func (l *loader) payload(f *SendF, scope expression.Scope) *Payload {
	out := &Payload{JSON: f.JSON.Value, HasJSON: f.JSON.Set}
	switch {
	case f.Text != nil:
		l.checkTemplate(f.Text.Value, f.Text.At, scope)
		out.Text = &f.Text.Value
	case f.Hex != nil:
		out.Hex = l.hex(f.Hex, scope)
	case f.File != nil:
		if ref, data, ok := l.shipped(*f.File); ok {
			out.File = &ref
			if len(data) == 0 {
				l.fail(f.File.At, "file %s is empty", path.Base(ref.Name))
			}
		}
	default:
		l.checkTree(out.JSON, f.JSON.At, scope)
	}
	return out
}

// hex checks bytes that are written as digits, as far as they are fixed.
func (l *loader) hex(t *TemplateText, scope expression.Scope) string {
	l.checkTemplate(t.Value, t.At, scope)
	if strings.Contains(t.Value, "${") {
		return t.Value
	}
	if _, err := DecodeHex(t.Value); err != nil {
		l.fail(t.At, "hex: %s", err)
	}
	return t.Value
}

// DecodeHex reads bytes that are written as pairs of hexadecimal digits, with space between them or without.
func DecodeHex(text string) ([]byte, error) {
	digits := strings.Join(strings.Fields(text), "")
	b, err := hex.DecodeString(digits)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not bytes: write pairs of digits such as 0a ff", text)
	case len(b) == 0:
		return nil, fmt.Errorf("there are no bytes")
	}
	return b, nil
}

func (l *loader) expectation(f *ActionF, scope expression.Scope, over medium) *Expectation {
	in := f.Expect
	out := &Expectation{Expr: in.Expr.Value, Skip: f.Skip != nil && f.Skip.Value}
	l.fits(f, over)
	if f.Timeout != nil {
		out.Timeout = f.Timeout.Value
	}
	switch {
	case in.Expr.Value != "":
		scope.Response = true
		l.checkExpr(in.Expr, scope)
	case in.Text != nil:
		l.checkTemplate(in.Text.Value, in.Text.At, scope)
		out.Text = &in.Text.Value
	case in.Hex != nil:
		out.Hex = l.hex(in.Hex, scope)
	case in.Until != nil:
		l.checkTemplate(in.Until.Value, in.Until.At, scope)
		if out.Until = &in.Until.Value; in.Until.Value == "" {
			l.fail(in.Until.At, "until is empty")
		}
	case in.Size != nil:
		out.Size = in.Size.Value
	case in.Pattern != nil:
		if out.Pattern = in.Pattern.Value; out.Pattern != "" {
			if _, err := regexp.Compile(out.Pattern); err != nil {
				l.fail(in.Pattern.At, "%s", err)
			}
		}
	}
	return out
}

// fits refuses what makes no sense over a medium.
func (l *loader) fits(f *ActionF, over medium) {
	in := f.Expect
	switch {
	case over == asBytes && in.Expr.Value != "":
		l.fail(in.At, "bytes of tcp have no bounds: say with text, hex, pattern, until or size what is awaited, and write the expression into the expect of the step")
	case over == asBytes && f.Skip != nil:
		l.fail(f.Skip.At, "bytes of tcp have no bounds: there is nothing to pass over")
	case over != asBytes && in.Until != nil:
		l.fail(in.Until.At, "until is of tcp, where bytes have no bounds: here each message has an end of its own")
	case over == byMessage && in.Size != nil:
		l.fail(in.Size.At, "size is of tcp and udp: write an expression such as size == 3")
	}
}

// mentions shows every template and expression of a script to look.
func mentions(script []Action, look func(string)) {
	text := func(t *string) {
		if t != nil {
			look(*t)
		}
	}
	for _, a := range script {
		if s := a.Send; s != nil {
			text(s.Text)
			look(s.Hex)
			look(fmt.Sprint(s.JSON))
		}
		if e := a.Expect; e != nil {
			look(e.Expr)
			look(e.Hex)
			text(e.Text)
			text(e.Until)
		}
	}
}

// scriptFiles returns the files that a script sends.
func scriptFiles(script []Action) []FileRef {
	var out []FileRef
	for _, a := range script {
		if a.Send != nil && a.Send.File != nil {
			out = append(out, *a.Send.File)
		}
	}
	return out
}
