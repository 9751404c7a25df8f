package flow

import (
	"fmt"
	"maps"
	"slices"

	"proofload/internal/scenario/expression"
)

// document is a JSON body: literal JSON with templates between. What never changes is encoded once,
// when the plan is compiled.
type document struct{ parts []part }

// part is literal JSON, or a template in the place of one value.
type part struct {
	literal  string
	template *expression.Template
	at       string // where the template stands, for errors: items[0].sku
}

// document compiles a tree of map[string]any, []any and scalars whose strings are templates.
func (c *compiler) document(tree any) (*document, error) {
	w := writer{compiler: c}
	if err := w.value("", tree); err != nil {
		return nil, err
	}
	w.flush()
	return &document{parts: w.parts}, nil
}

// writer collects the parts of a document.
type writer struct {
	compiler *compiler
	parts    []part
	literal  []byte
}

func (w *writer) flush() {
	if len(w.literal) > 0 {
		w.parts = append(w.parts, part{literal: string(w.literal)})
		w.literal = nil
	}
}

func (w *writer) value(at string, v any) error {
	switch x := v.(type) {
	case string:
		return w.text(at, x)
	case map[string]any:
		w.literal = append(w.literal, '{')
		for i, key := range slices.Sorted(maps.Keys(x)) {
			w.comma(i)
			if err := w.encode(at, key); err != nil {
				return err
			}
			w.literal = append(w.literal, ':')
			if err := w.value(member(at, key), x[key]); err != nil {
				return err
			}
		}
		w.literal = append(w.literal, '}')
		return nil
	case []any:
		w.literal = append(w.literal, '[')
		for i, item := range x {
			w.comma(i)
			if err := w.value(fmt.Sprintf("%s[%d]", at, i), item); err != nil {
				return err
			}
		}
		w.literal = append(w.literal, ']')
		return nil
	}
	return w.encode(at, v)
}

func (w *writer) comma(i int) {
	if i > 0 {
		w.literal = append(w.literal, ',')
	}
}

func member(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// text writes a string: a template that is exactly one expression keeps the type of its value.
func (w *writer) text(at, src string) error {
	t, err := w.compiler.text(src)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if t.template == nil {
		return w.encode(at, t.constant)
	}
	w.flush()
	w.parts = append(w.parts, part{template: t.template, at: at})
	return nil
}

func (w *writer) encode(at string, v any) error {
	b, err := expression.AppendJSON(w.literal, v)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	w.literal = b
	return nil
}

// constant returns a document in which nothing changes.
func (d *document) constant() ([]byte, bool) {
	if len(d.parts) == 1 && d.parts[0].template == nil {
		return []byte(d.parts[0].literal), true
	}
	return nil, false
}

// append appends the document with the values of an iteration.
func (d *document) append(it *Iteration, dst []byte) ([]byte, error) {
	for i := range d.parts {
		p := &d.parts[i]
		if p.template == nil {
			dst = append(dst, p.literal...)
			continue
		}
		v, err := p.template.Eval(&it.values)
		if err == nil {
			dst, err = expression.AppendJSON(dst, v)
		}
		if err != nil {
			return dst[:0], fmt.Errorf("%s: %w", p.at, err)
		}
	}
	return dst, nil
}
