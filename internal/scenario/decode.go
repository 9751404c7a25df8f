package scenario

import (
	"fmt"
	"reflect"
	"strings"

	"proofload/internal/scenario/expression"
)

// decoder fills the Go types of the file from nodes. A field is named by its yaml tag; one tagged
// `required` must be there. Types that read themselves implement selfDecoder.
type decoder struct {
	*parser
	known   *expression.Values // params and env, for templates that can be evaluated now
	scope   expression.Scope
	bare    bool // templates that read something stay: the environment that brings it is not known yet
	partial bool // an environment will be laid over what is read: nothing is missing yet
}

// selfDecoder is a type that reads itself, and says what it reads.
type selfDecoder interface {
	decode(d *decoder, n *node)
	schema(g *generator) *Schema
}

// decode fills v, which is a pointer, from n.
func (d *decoder) decode(n *node, v any) { d.value(n, reflect.ValueOf(v).Elem(), "") }

func (d *decoder) value(n *node, v reflect.Value, what string) {
	if n.kind == brokenNode {
		return // which was said already
	}
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
	seen := map[string]pos{}
	later := false
	for _, f := range n.fields {
		i := fieldByKey(t, f.name)
		if i < 0 {
			if meant := d.unknown(f, keysOf(t), what); meant != "" {
				seen[meant] = f.pos // not missing, but misspelt
			}
			continue
		}
		seen[f.name] = f.pos
		if v.Field(i).Type() == reflect.TypeFor[Later]() {
			d.fail(f.pos, "%s is not supported yet", f.name)
			later = true
			continue
		}
		d.field(f, v.Field(i), t.Field(i).Tag)
	}
	for f := range t.Fields() {
		if key := keyOf(f); isRequired(f) && !d.partial {
			if _, ok := seen[key]; !ok {
				d.fail(n.pos, "%s is missing", key)
			}
		}
	}
	if !later { // what belongs to a feature that is not built yet needs no second complaint
		d.together(n, t, seen)
	}
	if at := v.FieldByName("At"); at.IsValid() && at.Type() == reflect.TypeFor[pos]() {
		at.Set(reflect.ValueOf(n.pos))
	}
}

// field fills one field of a struct.
func (d *decoder) field(f field, v reflect.Value, tag reflect.StructTag) {
	if f.node.kind == brokenNode {
		return // which was said already
	}
	if f.node.kind == scalarNode && f.node.value == nil && !nullable(v) {
		d.fail(f.node.pos, "%s has no value: give one, or leave the key out", f.name)
		return
	}
	before := len(d.problems)
	d.value(f.node, v, f.name)
	if len(d.problems) == before {
		d.obey(f, v, tag)
	}
}

func nullable(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(interface{ nullable() })
	return ok
}

// unknown reports a key that is not known here, and returns the one that was probably meant.
func (d *decoder) unknown(f field, known []string, what string) (meant string) {
	in := ""
	if what != "" {
		in = " in " + what
	}
	if best := expression.Nearest(f.name, known); best != "" {
		d.fail(f.pos, "unknown key %q%s; did you mean %q?", f.name, in, best)
		return best
	}
	d.fail(f.pos, "unknown key %q%s; known here: %s", f.name, in, strings.Join(known, ", "))
	return ""
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
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.items))) // a list that is there and empty is not nil
	partial := d.partial
	for _, item := range n.items {
		fresh := reflect.New(v.Type().Elem()).Elem()
		d.partial = partial && nameOf(item) != "" // nothing is ever laid over an item without a name
		d.value(item, fresh, "")
		v.Set(reflect.Append(v, fresh))
	}
	d.partial = partial
}

// keysOf returns the keys of a struct type in the order of the language.
func keysOf(t reflect.Type) []string {
	var keys []string
	for f := range t.Fields() {
		if key := keyOf(f); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// keyOf returns the key of a field; empty when the field is not of the language.
func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(key, "-")
}

func isRequired(f reflect.StructField) bool {
	_, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return opts == "required"
}

func fieldByKey(t reflect.Type, key string) int {
	for i := range t.NumField() {
		if name := keyOf(t.Field(i)); name == key && name != "" {
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
	if d.undecided(n) {
		return nil, false
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

// undecided tells whether a scalar reads params or env that are not known yet.
func (d *decoder) undecided(n *node) bool {
	if !d.bare || n.kind != scalarNode {
		return false
	}
	refs, err := expression.References(n.text)
	return err == nil && len(refs) > 0
}

func quoteAll(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}
