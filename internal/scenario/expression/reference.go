package expression

import (
	"slices"
	"strings"
)

// Ref is one read of a path in a template or expression.
type Ref struct {
	Root   Root
	Name   string // under params, env, setup, vars, secret, user and headers; the data set under data; else empty
	Column string // under data
	Offset int    // of the root's first byte in the source
	// Guarded says that the read may find nothing: it stands in has(PATH), or left of ??.
	Guarded bool
}

// Everywhere accepts every root and every name: for looking at a template before the names of its
// scenario are known.
func Everywhere() Scope {
	return Scope{
		Params: AnyName, Env: AnyName, Setup: AnyName, Vars: AnyName, Secrets: AnyName,
		Data: map[string]Names{AnyName[0]: AnyName}, User: true, Response: true, Roots: responseRoots,
	}
}

// References returns what the template src reads, in the order of the source.
func References(src string) ([]Ref, error) {
	t, err := CompileTemplate(src, Everywhere())
	if err != nil {
		return nil, err
	}
	return t.References(), nil
}

// ExprReferences returns what the expression src reads, in the order of the source.
func ExprReferences(src string) ([]Ref, error) {
	p, err := CompileExpr(src, Everywhere())
	if err != nil {
		return nil, err
	}
	return p.refs, nil
}

// Replacement is a template in which what is known before the run has been put in.
type Replacement struct {
	// Template is the source of what remains: the known parts as text, with ${ in them escaped.
	Template string
	// Constant says that nothing remains to be evaluated; Value is then the result, with its type
	// when the source is exactly one ${}, and otherwise (unescaped) text.
	Constant bool
	Value    any
}

// Replace evaluates the expressions of the template src that read only params and env, or nothing,
// and puts their values in their place; the other expressions stay as they are written.
func Replace(src string, known *Values, scope Scope) (Replacement, error) {
	t, err := CompileTemplate(src, scope)
	if err != nil {
		return Replacement{}, err
	}
	if text, ok := t.Const(); ok {
		return Replacement{Template: src, Constant: true, Value: text}, nil
	}
	if p := t.single(); p != nil && p.early() {
		return replaceSingle(t, known)
	}
	result := Replacement{Constant: true}
	var template, text []byte // text is what is known since the last expression that remains
	for _, s := range t.segments {
		if s.program != nil && !s.program.early() {
			result.Constant = false
			template = append(append(append(appendEscaped(template, text, true), "${"...), s.text...), '}')
			text = text[:0]
			continue
		}
		one := Template{source: src, segments: []segment{s}}
		if text, err = one.Append(text, known); err != nil {
			return Replacement{}, err
		}
	}
	result.Template = string(appendEscaped(template, text, false))
	if result.Constant {
		result.Value = string(text)
	}
	return result, nil
}

// appendEscaped writes text so that it is read as literal text. A dollar before an expression
// becomes an expression itself: $${ would be an escape.
func appendEscaped(dst, text []byte, expressionFollows bool) []byte {
	if rest, ok := strings.CutSuffix(string(text), "$"); ok && expressionFollows {
		return append(append(dst, Escape(rest)...), `${"$"}`...)
	}
	return append(dst, Escape(string(text))...)
}

func replaceSingle(t *Template, known *Values) (Replacement, error) {
	x, err := t.Eval(known)
	if err != nil {
		return Replacement{}, err
	}
	result := Replacement{Constant: true, Value: x}
	if x == nil {
		return result, nil // a null has no text; the caller that needs text refuses it
	}
	b, err := AppendText(nil, x)
	if err != nil {
		return Replacement{}, shift(t.segments[0].program.evalError(err), t.source, t.segments[0].offset)
	}
	result.Template = Escape(string(b))
	return result, nil
}

// early tells whether p can be evaluated before the run.
func (p *Program) early() bool {
	return !slices.ContainsFunc(p.refs, func(r Ref) bool { return r.Root != Params && r.Root != Env })
}

// Escape writes text so that CompileTemplate reads it as literal text.
func Escape(text string) string { return strings.ReplaceAll(text, "${", "$${") }
