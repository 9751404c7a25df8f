package expression

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// jsonPath is a compiled query of RFC 9535.
type jsonPath struct {
	source   string
	segments []*spec.Segment
}

func compileJSONPath(source string) (p *jsonPath, err error) {
	defer func() {
		if r := recover(); r != nil { // as of XPath
			p, err = nil, fmt.Errorf("the path cannot be compiled: %v", r)
		}
	}()
	parsed, err := jsonpath.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("the path is no JSONPath: %w", err)
	}
	return &jsonPath{source: source, segments: parsed.Query().Segments()}, nil
}

// findJSONPath returns the first node that a path leads to in a value.
func findJSONPath(args ...any) (any, error) {
	p := args[2].(*jsonPath)
	var first []any
	if err := p.walk(args[0].(*frame), args[1], func(node any) bool { first = []any{node}; return false }); err != nil {
		return nil, err
	}
	if first == nil {
		return nil, &AbsentError{Path: fmt.Sprintf("jsonpath %q", p.source), Why: "no node is there"}
	}
	return first[0], nil
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
	w := jsonWalk{frame: f, root: root, yield: yield}
	if err := w.from(root, p.segments); !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// jsonWalk is one evaluation of a path.
type jsonWalk struct {
	frame *frame
	root  any
	yield func(any) bool
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
	if err := w.frame.step(); err != nil {
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
				if s.Eval(child, w.root) && !yield(child) {
					return
				}
			}
		}
	}
	return slices.Values(s.Select(node, w.root)) // by a name, or of a list in its order
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
