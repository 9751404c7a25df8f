package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"proofload/internal/scenario/expression"
)

// decoder fills the Go types of the file from nodes. A field is named by its yaml tag; one tagged
// `required` must be there. Types that read themselves implement selfDecoder.
type decoder struct {
	*parser
	known *expression.Values // params and env, for templates that can be evaluated now
	scope expression.Scope
}

// selfDecoder is a type that reads itself.
type selfDecoder interface{ decode(d *decoder, n *node) }

// decode fills v, which is a pointer, from n.
func (d *decoder) decode(n *node, v any) { d.value(n, reflect.ValueOf(v).Elem(), "") }

func (d *decoder) value(n *node, v reflect.Value, what string) {
	if self, ok := v.Addr().Interface().(selfDecoder); ok {
		self.decode(d, n)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		d.value(n, fresh.Elem(), what)
		v.Set(fresh)
	case reflect.Struct:
		d.structure(n, v, what)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.list(n, v)
	default:
		panic("scenario: no way to read a " + v.Type().String())
	}
}

func (d *decoder) structure(n *node, v reflect.Value, what string) {
	if n.kind != mapNode {
		d.fail(n.pos, "%s where a map with %s was expected", n.describe(), strings.Join(keysOf(v.Type()), ", "))
		return
	}
	t := v.Type()
	seen := map[string]bool{}
	for _, f := range n.fields {
		i := fieldByKey(t, f.name)
		if i < 0 {
			d.unknown(f, keysOf(t), what)
			continue
		}
		seen[f.name] = true
		if v.Field(i).Type() == reflect.TypeFor[Later]() {
			d.fail(f.pos, "%s is not supported yet", f.name)
			continue
		}
		if f.node.kind == scalarNode && f.node.value == nil && v.Field(i).Kind() != reflect.Pointer && !nullable(v.Field(i)) {
			d.fail(f.node.pos, "%s has no value: give one, or leave the key out", f.name)
			continue
		}
		d.value(f.node, v.Field(i), f.name)
	}
	for i := range t.NumField() {
		key, opts, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if opts == "required" && !seen[key] {
			d.fail(n.pos, "%s is missing", key)
		}
	}
	if at := v.FieldByName("At"); at.IsValid() && at.Type() == reflect.TypeFor[pos]() {
		at.Set(reflect.ValueOf(n.pos))
	}
}

func nullable(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(interface{ nullable() })
	return ok
}

func (d *decoder) unknown(f field, known []string, what string) {
	in := ""
	if what != "" {
		in = " in " + what
	}
	if best := expression.Nearest(f.name, known); best != "" {
		d.fail(f.pos, "unknown key %q%s; did you mean %q?", f.name, in, best)
		return
	}
	d.fail(f.pos, "unknown key %q%s; known here: %s", f.name, in, strings.Join(known, ", "))
}

func (d *decoder) mapping(n *node, v reflect.Value) {
	if n.kind != mapNode {
		d.fail(n.pos, "%s where a map was expected", n.describe())
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.fields)))
	for _, f := range n.fields {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(f.node, item, f.name)
		v.SetMapIndex(reflect.ValueOf(f.name), item)
	}
}

func (d *decoder) list(n *node, v reflect.Value) {
	if n.kind != listNode {
		d.fail(n.pos, "%s where a list was expected", n.describe())
		return
	}
	for _, item := range n.items {
		fresh := reflect.New(v.Type().Elem()).Elem()
		d.value(item, fresh, "")
		v.Set(reflect.Append(v, fresh))
	}
}

// keysOf returns the keys of a struct type in the order of the language.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

func fieldByKey(t reflect.Type, key string) int {
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name == key && name != "" && name != "-" {
			return i
		}
	}
	return -1
}

// fixed returns the scalar of a node as it is before the run: templates that read only params and
// env are evaluated. It is false, with a problem noted, when something else would be needed.
func (d *decoder) fixed(n *node, want string) (any, bool) {
	if n.kind != scalarNode {
		d.fail(n.pos, "%s where %s was expected", n.describe(), want)
		return nil, false
	}
	text, isText := n.value.(string)
	if !isText || !strings.Contains(text, "${") {
		return n.value, true
	}
	r, err := expression.Replace(text, d.known, d.scope)
	if err != nil {
		d.fail(n.pos, "%s", err)
		return nil, false
	}
	if !r.Constant {
		d.fail(n.pos, "%s is decided before the run: only params and env can be read here", want)
		return nil, false
	}
	return r.Value, true
}

// oneOf returns the only key that is set of a union, and reports none or several.
func (d *decoder) oneOf(at pos, what string, set map[string]bool) string {
	var have, all []string
	for key, is := range set {
		all = append(all, key)
		if is {
			have = append(have, key)
		}
	}
	slices.Sort(all)
	slices.Sort(have)
	switch len(have) {
	case 1:
		return have[0]
	case 0:
		d.fail(at, "%s needs one of %s", what, strings.Join(all, ", "))
	default:
		d.fail(at, "%s has %s: only one of them", what, strings.Join(have, " and "))
	}
	return ""
}

func quoteAll(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}
