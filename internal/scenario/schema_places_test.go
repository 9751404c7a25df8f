package scenario

import (
	"maps"
	"reflect"
	"slices"
)

// aPlace is a map of a file that the decoder reads into a struct.
type aPlace struct {
	typ   reflect.Type
	value map[string]any
	// complete says that nothing can be laid over it, so that what is missing is missing.
	complete bool
}

// places returns every such map of a file, the file itself first, in a steady order.
func places(t tester, text string) []aPlace {
	t.Helper()
	return placesOf(parsed(t, text))
}

// placesOf does so for a file that has been parsed; what it returns may be changed.
func placesOf(n *node) []aPlace {
	root := plain(n).(map[string]any)
	w := &placeWalker{}
	_, has := root["environments"]
	w.visit(reflect.TypeFor[File](), root, !has)
	return w.found
}

type placeWalker struct{ found []aPlace }

func (w *placeWalker) visit(t reflect.Type, v any, complete bool) {
	switch x := reflect.New(t).Interface().(type) {
	case interface{ long() reflect.Type }:
		if _, isMap := v.(map[string]any); isMap {
			w.visit(x.long(), v, complete)
		}
		return
	case *EnvironmentsF:
		environments, _ := v.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(environments)) {
			w.visit(reflect.TypeFor[File](), environments[name], false)
		}
		return
	case selfDecoder:
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		w.visit(t.Elem(), v, complete)
	case reflect.Slice:
		items, _ := v.([]any)
		for _, item := range items {
			m, _ := item.(map[string]any)
			named := m["name"] != nil || m["step"] != nil
			w.visit(t.Elem(), item, complete || m != nil && !named)
		}
	case reflect.Map:
		m, _ := v.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			w.visit(t.Elem(), m[key], complete)
		}
	case reflect.Struct:
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		w.found = append(w.found, aPlace{t, m, complete})
		for f := range t.Fields() {
			if value, has := m[keyOf(f)]; has && keyOf(f) != "" {
				w.visit(f.Type, value, complete)
			}
		}
	}
}

// tester is what tests and properties have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
}
