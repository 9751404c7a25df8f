package expression

import (
	"errors"
	"strings"
)

// Template is text with ${EXPRESSION} in it. It is immutable and safe for concurrent use.
type Template struct {
	source   string
	segments []segment
	constant string // when segments is nil
}

// segment is literal text, or an expression when program is set.
type segment struct {
	text    string
	program *Program
	offset  int // of the expression in the source
}

// CompileTemplate compiles text with ${EXPRESSION} for a place where scope can be read; $${ stands
// for a literal ${. The error is an *Error whose offset counts in src.
func CompileTemplate(src string, scope Scope) (*Template, error) {
	t := &Template{source: src}
	if !strings.Contains(src, "${") {
		t.constant = src
		return t, nil
	}
	segments, err := split(src)
	if err != nil {
		return nil, err
	}
	constant := true
	for i, s := range segments {
		if s.program == nil {
			continue
		}
		if segments[i].program, err = CompileExpr(s.text, scope); err != nil {
			return nil, shift(err, src, s.offset)
		}
		constant = false
	}
	if !constant {
		t.segments = segments
		return t, nil
	}
	for _, s := range segments {
		t.constant += s.text
	}
	return t, nil
}

// shift makes an error of an expression one of the template that holds it at offset.
func shift(err error, src string, offset int) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{Source: src, Offset: e.Offset + offset, Message: e.Message}
	}
	return err
}

// placeholder marks the segments that split found to be expressions.
var placeholder = new(Program)

// split takes a template apart. Neighbouring literal text is one segment.
func split(src string) ([]segment, error) {
	var segments []segment
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			segments = append(segments, segment{text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(src); {
		switch {
		case strings.HasPrefix(src[i:], "$${"):
			text.WriteString("${")
			i += 3
		case strings.HasPrefix(src[i:], "${"):
			length := closing(src[i+2:])
			if length < 0 {
				return nil, &Error{Source: src, Offset: i, Message: "${ is not closed by }; write $${ for a literal ${"}
			}
			flush()
			segments = append(segments, segment{text: src[i+2 : i+2+length], offset: i + 2, program: placeholder})
			i += 2 + length + 1
		default:
			text.WriteByte(src[i])
			i++
		}
	}
	flush()
	return segments, nil
}

// closing finds the brace that ends an expression, past the braces and strings within; -1 when there is none.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		case '\'', '"', '`':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' && c != '`' {
					i++
				}
			}
		}
	}
	return -1
}

// Source returns the text that was compiled.
func (t *Template) Source() string { return t.source }

// Const returns the text of a template without expressions, and whether it is one.
func (t *Template) Const() (string, bool) { return t.constant, t.segments == nil }

// Literals returns the text between the expressions of the template, in the order of the source.
func (t *Template) Literals() []string {
	if t.segments == nil {
		return []string{t.constant}
	}
	var texts []string
	for _, s := range t.segments {
		if s.program == nil {
			texts = append(texts, s.text)
		}
	}
	return texts
}

// References returns what the template reads, in the order of the source.
func (t *Template) References() []Ref {
	var refs []Ref
	for _, s := range t.segments {
		if s.program == nil {
			continue
		}
		for _, ref := range s.program.refs {
			ref.Offset += s.offset
			refs = append(refs, ref)
		}
	}
	return refs
}

// Eval returns the value of the expression when the template is exactly one, with its type;
// otherwise the text. Errors are those of Program.Eval.
func (t *Template) Eval(v *Values) (any, error) {
	if t.segments == nil {
		return t.constant, nil
	}
	if p := t.single(); p != nil {
		x, err := p.Eval(v)
		if err != nil {
			return nil, shift(err, t.source, t.segments[0].offset)
		}
		return x, nil
	}
	b, err := t.Append(nil, v)
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

// single returns the expression of a template that is exactly one.
func (t *Template) single() *Program {
	if len(t.segments) == 1 {
		return t.segments[0].program
	}
	return nil
}

// Append appends the text of the template to dst.
func (t *Template) Append(dst []byte, v *Values) ([]byte, error) {
	if t.segments == nil {
		return append(dst, t.constant...), nil
	}
	for _, s := range t.segments {
		if s.program == nil {
			dst = append(dst, s.text...)
			continue
		}
		x, err := s.program.Eval(v)
		if err != nil {
			return dst, shift(err, t.source, s.offset)
		}
		more, err := AppendText(dst, x)
		if err != nil {
			return dst, shift(s.program.evalError(err), t.source, s.offset)
		}
		dst = more
	}
	return dst, nil
}
