package flow

import (
	"fmt"

	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// text is a template, or what it always yields.
type text struct {
	template *expression.Template
	constant string
}

func (c *compiler) text(src string) (text, error) {
	t, err := expression.CompileTemplate(src, expression.Everywhere())
	if err != nil {
		return text{}, err
	}
	if constant, ok := t.Const(); ok {
		return text{constant: constant}, nil
	}
	c.refs = append(c.refs, t.References()...)
	return text{template: t}, nil
}

// append appends the text to dst.
func (t *text) append(it *Iteration, dst []byte) ([]byte, error) {
	if t.template == nil {
		return append(dst, t.constant...), nil
	}
	return t.template.Append(dst, &it.values)
}

// string returns the text; a constant one without allocating.
func (t *text) string(it *Iteration) (string, error) {
	if t.template == nil {
		return t.constant, nil
	}
	var err error
	if it.scratch, err = t.template.Append(it.scratch[:0], &it.values); err != nil {
		return "", err
	}
	return string(it.scratch), nil
}

// pair is a name with a text: of a header, or of a query parameter, whose name is escaped.
type pair struct {
	name  string
	value text
}

func (c *compiler) pairs(fields []scenario.Field, name func(string) string) ([]pair, error) {
	var out []pair
	for _, f := range fields {
		value, err := c.text(f.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out = append(out, pair{name(f.Name), value})
	}
	return out, nil
}
