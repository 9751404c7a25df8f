package expression

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/registry"
	"github.com/theory/jsonpath/spec"
)

// jsonPath is a compiled query of RFC 9535.
type jsonPath struct {
	source   string
	segments []*spec.Segment
	// heavy are the filters that look at more than a fixed number of values, of all that there is, not only of what is
	// below the node.
	heavy map[*spec.FilterSelector]bool
}

// jsonPaths parses with the functions that filters may call. The library's match lets a pattern with alternatives match a
// part of a text, and its match and search panic where their pattern is absent.
var jsonPaths = jsonpath.NewParser(jsonpath.WithRegistry(func() *registry.Registry {
	r := registry.New()
	for name, whole := range map[string]bool{"match": true, "search": false} {
		f := r.Get(name)
		old := *f
		*f = *spec.Extension(name, spec.FuncLogical, old.Validate, func(args []spec.PathValue) spec.PathValue {
			pattern := spec.ValueFrom(args[1])
			if pattern == nil {
				return spec.LogicalFalse
			}
			if text, ok := pattern.Value().(string); ok && whole {
				args = []spec.PathValue{args[0], spec.Value("(?:" + text + ")")}
			}
			return old.Evaluate(args)
		})
	}
	return r
}()))

// quoted is a text within a path.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)

// weigh refuses filters that look at all descendants, which the library does at a cost that grows with the cube of how deep
// an answer is, and notes which of the others are heavy.
func (p *jsonPath) weigh() error {
	for _, segment := range p.segments {
		for _, s := range segment.Selectors() {
			f, ok := s.(*spec.FilterSelector)
			if !ok {
				continue
			}
			switch text := quoted.ReplaceAllString(f.String(), ""); {
			case strings.Contains(text, ".."):
				return fmt.Errorf("the filter %s looks for descendants (..), which only a path itself may do", f)
			case strings.ContainsAny(strings.TrimPrefix(text, "?"), "*:?"):
				p.heavy[f] = strings.Contains(text, "$")
			}
		}
	}
	return nil
}

func compileJSONPath(source string) (p *jsonPath, err error) {
	defer func() {
		if r := recover(); r != nil { // as of XPath
			p, err = nil, fmt.Errorf("the path cannot be compiled: %v", r)
		}
	}()
	parsed, err := jsonPaths.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("the path is no JSONPath: %w", err)
	}
	p = &jsonPath{source: source, segments: parsed.Query().Segments(), heavy: map[*spec.FilterSelector]bool{}}
	return p, p.weigh()
}

// findJSONPath returns the first node that a path leads to in a value.
func findJSONPath(args ...any) (any, error) {
	p := args[2].(*jsonPath)
	var first any
	found := false
	if err := p.walk(args[0].(*frame), args[1], func(node any) bool { first, found = node, true; return false }); err != nil {
		return nil, err
	}
	if !found {
		return nil, &AbsentError{Path: fmt.Sprintf("jsonpath %q", p.source), Why: "no node is there"}
	}
	return first, nil
}

// findAllJSONPath returns all nodes that a path leads to.
func findAllJSONPath(args ...any) (any, error) {
	list := []any{}
	err := args[2].(*jsonPath).walk(args[0].(*frame), args[1], func(node any) bool { list = append(list, node); return true })
	if err != nil {
		return nil, err
	}
	return list, nil
}

// walk yields the nodes until yield is false, the entries of an object by their names. The library would take those in
// another order each time, and a target's answer could make it build lists without bound.
func (p *jsonPath) walk(f *frame, root any, yield func(node any) bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Source: p.source, Message: fmt.Sprintf("the path cannot be evaluated: %v", r)}
		}
	}()
	w := jsonWalk{path: p, frame: f, root: root, yield: yield}
	if err := w.from(root, p.segments); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return w.tooMuch
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// jsonWalk is one evaluation of a path.
type jsonWalk struct {
	path    *jsonPath
	frame   *frame
	root    any
	yield   func(any) bool
	tooMuch error // what a filter would have taken
}

// from goes on from a node by the segments that are left: depth first, as the RFC orders nodes.
func (w *jsonWalk) from(node any, left []*spec.Segment) error {
	if len(left) == 0 {
		if w.yield(node) {
			return nil
		}
		return errEnough
	}
	for _, s := range left[0].Selectors() {
		for next := range w.selected(s, node) {
			if err := w.step(next, left[1:]); err != nil {
				return err
			}
		}
	}
	if !left[0].IsDescendant() {
		return nil
	}
	for next := range children(node) {
		if err := w.step(next, left); err != nil {
			return err
		}
	}
	return nil
}

func (w *jsonWalk) step(node any, left []*spec.Segment) error {
	if err := w.frame.step(1); err != nil {
		return err
	}
	return w.from(node, left)
}

// selected is what a selector takes of a node.
func (w *jsonWalk) selected(s spec.Selector, node any) iter.Seq[any] {
	switch s := s.(type) {
	case spec.WildcardSelector:
		return children(node)
	case *spec.FilterSelector:
		return func(yield func(any) bool) {
			for child := range children(node) {
				if !w.affords(s, child) || s.Eval(child, w.root) && !yield(child) {
					return
				}
			}
		}
	}
	return slices.Values(s.Select(node, w.root)) // by a name, or of a list in its order
}

// affords counts what a filter looks at, and reports whether that is still within the bounds.
func (w *jsonWalk) affords(f *spec.FilterSelector, child any) bool {
	steps := 1
	if all, heavy := w.path.heavy[f]; heavy {
		steps += nodes(child)
		if all {
			steps += nodes(w.root)
		}
	}
	if w.tooMuch == nil {
		w.tooMuch = w.frame.step(steps)
	}
	return w.tooMuch == nil
}

// nodes counts the values in one. Unlike sizeOf it does not count texts: a filter is no slower for them.
func nodes(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			n += nodes(child)
		}
	case map[string]any:
		for _, child := range v {
			n += nodes(child)
		}
	}
	return n
}

// children are the elements of a list, or the values of an object by their names.
func children(node any) iter.Seq[any] {
	object, ok := node.(map[string]any)
	if !ok {
		return slices.Values(spec.Wildcard().Select(node, nil))
	}
	return func(yield func(any) bool) {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if !yield(object[name]) {
				return
			}
		}
	}
}
