package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"proofload/internal/scenario/expression"
)

// Bounds that keep nonsense from costing more than a moment.
const (
	maxFileBytes = 4 << 20
	maxDepth     = 64
)

type kind uint8

const (
	scalarNode kind = iota + 1
	mapNode
	listNode
	brokenNode // what is no part of the language; a problem says so
)

// pos is a place in a file.
type pos struct{ line, column int }

// node is a value of the file with its place. Templates that only read params and env have been
// evaluated; value then holds the result, typed.
type node struct {
	kind   kind
	pos    pos
	text   string // of a scalar, as written
	value  any    // of a scalar: string, int64, uint64, float64, bool or nil
	fields []field
	items  []*node
}

type field struct {
	name string
	pos  pos
	node *node
}

// get returns the value of a key of a map; nil when it is not there.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.name == name {
			return f.node
		}
	}
	return nil
}

func (n *node) describe() string {
	switch {
	case n.kind == mapNode:
		return "a map"
	case n.kind == listNode:
		return "a list"
	case n.value == nil:
		return "nothing"
	}
	return fmt.Sprintf("%q", n.text)
}

// parser turns YAML into nodes and collects problems.
type parser struct {
	file     string
	problems Problems
}

func (p *parser) fail(at pos, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: p.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// expressionProblem reports an error of an expression at its place within a scalar that stands on one line.
func (p *parser) expressionProblem(err error, at pos) {
	if e, ok := errors.AsType[*expression.Error](err); ok && !strings.Contains(e.Source, "\n") {
		at.column += e.Offset
	}
	p.fail(at, "%s", err)
}

// refuse notes a problem that is no mistake of the language.
func (p *parser) refuse(at pos, format string, args ...any) {
	p.fail(at, format, args...)
	p.problems[len(p.problems)-1].Refused = true
}

// parse reads one YAML document; nil when it is not one.
func (p *parser) parse(data []byte) *node {
	if len(data) > maxFileBytes {
		p.fail(pos{}, "file has %d bytes, more than %d: put data into csv files", len(data), maxFileBytes)
		return nil
	}
	if at, what := misprint(data); what != "" {
		p.fail(at, "not valid YAML: %s", what)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		p.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		if err == nil {
			p.fail(pos{second.Line, second.Column}, "a second document begins here: a scenario is one document")
		} else {
			p.syntax(err)
		}
		return nil
	}
	if len(doc.Content) != 1 {
		p.fail(pos{}, "file is empty: a scenario begins with `version: 1`")
		return nil
	}
	return p.convert(doc.Content[0], 0)
}

// syntax reports an error of the YAML parser.
func (p *parser) syntax(err error) {
	if errors.Is(err, io.EOF) {
		p.fail(pos{}, "file is empty: a scenario begins with `version: 1`")
		return
	}
	at, message := pos{1, 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		message = e.Message
		if e.Mark.Line > 0 {
			at = pos{e.Mark.Line, max(1, e.Mark.Column)}
		}
	}
	p.fail(at, "not valid YAML: %s", strings.ReplaceAll(message, "\n", "; "))
}

// misprint finds what is no text, of which the YAML parser tells no place.
func misprint(data []byte) (at pos, what string) {
	at = pos{1, 1}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return at, "" // UTF-16, which the parser reads
	}
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1:
			return at, fmt.Sprintf("byte %#02x is no UTF-8", data[0])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r':
			return at, fmt.Sprintf("control character %#02x: write it as an escape between double quotes", r)
		case r == '\n':
			at = pos{at.line + 1, 0}
		}
		data = data[n:]
		at.column++
	}
	return at, ""
}

func (p *parser) convert(y *yaml.Node, depth int) *node {
	n := &node{pos: pos{y.Line, y.Column}}
	if depth > maxDepth {
		p.fail(n.pos, "nested deeper than %d levels", maxDepth)
		return &node{kind: brokenNode, pos: n.pos}
	}
	if y.Anchor != "" || y.Kind == yaml.AliasNode {
		p.fail(n.pos, "anchors and aliases are not part of the language: write the value out, or use params")
		return &node{kind: brokenNode, pos: n.pos}
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapNode
		p.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		for _, item := range y.Content {
			n.items = append(n.items, p.convert(item, depth+1))
		}
	default:
		n.kind, n.text = scalarNode, y.Value
		n.value = p.scalar(y)
	}
	return n
}

func (p *parser) mapping(n *node, y *yaml.Node, depth int) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, at := y.Content[i], pos{y.Content[i].Line, y.Content[i].Column}
		if key.Kind != yaml.ScalarNode {
			p.fail(at, "a key must be a word")
			continue
		}
		if seen[key.Value] {
			p.fail(at, "key %q stands twice", key.Value)
			continue
		}
		seen[key.Value] = true
		n.fields = append(n.fields, field{key.Value, at, p.convert(y.Content[i+1], depth+1)})
	}
}

// scalar returns the value of a scalar by the core schema of YAML 1.2: no, on and yes are texts.
func (p *parser) scalar(y *yaml.Node) any {
	switch y.ShortTag() {
	case "!!null":
		return nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := y.Decode(&v); err == nil {
			switch x := v.(type) {
			case int:
				return int64(x)
			case float64:
				if math.IsNaN(x) || math.IsInf(x, 0) {
					p.fail(pos{y.Line, y.Column}, "%s is not a number that can be used", y.Value)
					return int64(1) // stands in for it, so that nothing else is said
				}
				return x
			case int64, uint64, bool:
				return x
			}
		}
	case "!!str", "!!timestamp":
	default:
		p.fail(pos{y.Line, y.Column}, "tag %s is not part of the language", y.Tag)
	}
	return y.Value
}

// merge lays a patch over a base, as environments do: maps merge, lists whose items all have a name
// merge by it, everything else is replaced.
func merge(base, patch *node) *node {
	if base == nil || base.kind != patch.kind {
		return patch
	}
	switch {
	case patch.kind == mapNode:
		out := &node{kind: mapNode, pos: base.pos, fields: slices.Clone(base.fields)}
		for _, f := range patch.fields {
			out.set(f)
		}
		return out
	case patch.kind == listNode && named(base) && named(patch):
		out := &node{kind: listNode, pos: base.pos, items: slices.Clone(base.items)}
		for _, item := range patch.items {
			out.put(item)
		}
		return out
	}
	return patch
}

// set merges a field into a map; null takes the key out, as RFC 7396 has it.
func (n *node) set(f field) {
	if f.node.kind == scalarNode && f.node.value == nil {
		n.fields = slices.DeleteFunc(n.fields, func(mine field) bool { return mine.name == f.name })
		return
	}
	for i := range n.fields {
		if n.fields[i].name == f.name {
			n.fields[i].node = merge(n.fields[i].node, f.node)
			return
		}
	}
	n.fields = append(n.fields, f)
}

// put merges a named item into a list.
func (n *node) put(item *node) {
	for i, mine := range n.items {
		if nameOf(mine) == nameOf(item) {
			n.items[i] = merge(mine, item)
			return
		}
	}
	n.items = append(n.items, item)
}

// nameKeys is the keys that name an entry of a list.
var nameKeys = []string{"name", "step"}

func nameOf(n *node) string {
	for _, key := range nameKeys {
		if v := n.get(key); v != nil && v.kind == scalarNode {
			return v.text
		}
	}
	return ""
}

func named(n *node) bool {
	for _, item := range n.items {
		if nameOf(item) == "" {
			return false
		}
	}
	return len(n.items) > 0
}
