package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// SchemaID names the schema of version 1 of the language. It is no address: the file lies in docs.
const SchemaID = "urn:proofload:scenario:1"

// JSONSchema returns the JSON Schema (draft 2020-12) of the scenario file. It is derived from the
// types that the decoder fills and the rules in their tags.
//
// What agreement with the decoder means: the schema never refuses a file that Validate accepts, and
// Validate refuses every file that the schema refuses. In the other direction the schema knows only
// the shape: keys, which of them are needed or exclude each other, types, words and spellings.
// Whether a name that is used exists, whether an expression compiles, what ${...} yields and what
// comes of arithmetic, only Validate can tell; so can it alone judge what an environment completes.
//
// What the language has and this version does not (Later) is refused by the schema as by the decoder,
// with a description that says so, and is not offered by completion.
func JSONSchema() ([]byte, error) {
	g := &generator{}
	root := g.root()
	root.Defs = g.defs
	slices.SortFunc(root.Defs, func(a, b property) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return b.Bytes(), nil
}

// Schema is the part of the vocabulary of JSON Schema that the language needs. errorMessage,
// patternErrorMessage and doNotSuggest are of the editors; validators pass over them.
type Schema struct {
	Dialect              string              `json:"$schema,omitempty"`
	ID                   string              `json:"$id,omitempty"`
	Ref                  string              `json:"$ref,omitempty"`
	Title                string              `json:"title,omitempty"`
	Description          string              `json:"description,omitempty"`
	Type                 any                 `json:"type,omitempty"` // a word or a list of them
	Enum                 []any               `json:"enum,omitempty"`
	Default              any                 `json:"default,omitempty"`
	Pattern              string              `json:"pattern,omitempty"`
	PatternErrorMessage  string              `json:"patternErrorMessage,omitempty"`
	Minimum              *float64            `json:"minimum,omitempty"`
	Maximum              *float64            `json:"maximum,omitempty"`
	ExclusiveMinimum     *float64            `json:"exclusiveMinimum,omitempty"`
	Items                *Schema             `json:"items,omitempty"`
	MinItems             int                 `json:"minItems,omitempty"`
	MaxItems             int                 `json:"maxItems,omitempty"`
	Properties           properties          `json:"properties,omitempty"`
	PropertyNames        *Schema             `json:"propertyNames,omitempty"`
	AdditionalProperties any                 `json:"additionalProperties,omitempty"` // false or a schema
	MinProperties        int                 `json:"minProperties,omitempty"`
	MaxProperties        int                 `json:"maxProperties,omitempty"`
	Required             []string            `json:"required,omitempty"`
	DependentRequired    map[string][]string `json:"dependentRequired,omitempty"`
	AllOf                []*Schema           `json:"allOf,omitempty"`
	AnyOf                []*Schema           `json:"anyOf,omitempty"`
	OneOf                []*Schema           `json:"oneOf,omitempty"`
	Not                  *Schema             `json:"not,omitempty"`
	If                   *Schema             `json:"if,omitempty"`
	Then                 *Schema             `json:"then,omitempty"`
	Else                 *Schema             `json:"else,omitempty"`
	ErrorMessage         string              `json:"errorMessage,omitempty"`
	DoNotSuggest         bool                `json:"doNotSuggest,omitempty"`
	Defs                 properties          `json:"$defs,omitempty"`
}

type property struct {
	name   string
	schema *Schema
}

// properties is a map that keeps the order of the language.
type properties []property

// MarshalJSON writes a JSON object.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, one := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(one.name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(one.schema); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (p properties) get(name string) *Schema {
	for _, one := range p {
		if one.name == name {
			return one.schema
		}
	}
	return nil
}

// generator walks the types of the file as the decoder does.
type generator struct {
	defs    properties
	partial bool // as in decoder: what is described will be completed by something laid over it
	patch   bool // what is described is laid over a file: it is partial, and null takes a key out
}

// def puts a schema under $defs, once, and returns a reference to it.
func (g *generator) def(name string, build func() *Schema) *Schema {
	if g.defs.get(name) == nil {
		place := new(Schema) // taken first: build may come back here
		g.defs = append(g.defs, property{name, place})
		*place = *build()
	}
	return &Schema{Ref: "#/$defs/" + name}
}

// of returns the schema of what decoder.value reads into a type.
func (g *generator) of(t reflect.Type) *Schema {
	if self, ok := reflect.New(t).Interface().(selfDecoder); ok {
		return self.schema(g)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.Struct:
		return g.definition(t)
	case reflect.Map:
		return &Schema{Type: "object", AdditionalProperties: g.removable(g.of(t.Elem()))}
	case reflect.Slice:
		return &Schema{Type: "array", Items: g.item(t.Elem())}
	}
	panic("scenario: no schema for a " + t.String())
}

// item returns the schema of the items of a list. Nothing is laid over an item without a name.
func (g *generator) item(t reflect.Type) *Schema {
	partial, patch := g.partial, g.patch
	g.partial, g.patch = false, false
	whole := g.of(t)
	g.partial, g.patch = partial, patch
	if key := nameKeyOf(t); key != "" && (patch || partial && differs(t)) {
		return &Schema{If: &Schema{Required: []string{key}}, Then: g.of(t), Else: whole}
	}
	return whole
}

// nameKeyOf returns the key that names an entry of a list; empty when its entries have no names.
func nameKeyOf(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return ""
	}
	keys := keysOf(t)
	for _, key := range nameKeys {
		if slices.Contains(keys, key) {
			return key
		}
	}
	return ""
}

// definition returns a reference to the schema of a struct type.
func (g *generator) definition(t reflect.Type) *Schema {
	name := strings.TrimSuffix(strings.TrimSuffix(t.Name(), "File"), "F")
	name = strings.ToUpper(name[:1]) + name[1:]
	switch {
	case g.patch:
		name += "Patch"
	case g.partial && differs(t):
		name += "Part"
	}
	return g.def(name, func() *Schema { return g.structure(t) })
}

// structure returns the schema of what decoder.structure reads into a struct type.
func (g *generator) structure(t reflect.Type) *Schema {
	s := &Schema{Type: "object", AdditionalProperties: false}
	for f := range t.Fields() {
		key := keyOf(f)
		if key == "" {
			continue
		}
		doc := keyDocs[t.Name()][key]
		p := g.property(f)
		p.Description, p.Default = doc.text, doc.value
		if f.Type == reflect.TypeFor[Later]() {
			p.Description = "Not supported yet. " + doc.text
			p.ErrorMessage, p.DoNotSuggest = key+" is not supported yet", true
		}
		s.Properties = append(s.Properties, property{key, g.removable(p)})
		if isRequired(f) && !g.partial {
			s.Required = append(s.Required, key)
		}
		if with, _ := companions(f); len(with) > 0 && !g.partial {
			s.accompany(key, with)
		}
	}
	for _, group := range groupsOf(t) {
		g.exclude(s, group)
	}
	return s
}

// accompany adds that a key needs one of others beside it.
func (s *Schema) accompany(key string, with []string) {
	if len(with) == 1 {
		if s.DependentRequired == nil {
			s.DependentRequired = map[string][]string{}
		}
		s.DependentRequired[key] = with
		return
	}
	either := &Schema{ErrorMessage: key + " needs " + strings.Join(with, " or ") + " beside it"}
	for _, other := range with {
		either.AnyOf = append(either.AnyOf, &Schema{Required: []string{other}})
	}
	s.AllOf = append(s.AllOf, &Schema{If: &Schema{Required: []string{key}}, Then: either})
}

// removable allows null beside a value where null takes the value out.
func (g *generator) removable(s *Schema) *Schema {
	if !g.patch {
		return s
	}
	out := &Schema{
		Description: s.Description, Default: s.Default, ErrorMessage: s.ErrorMessage, DoNotSuggest: s.DoNotSuggest,
		AnyOf: []*Schema{s, {Type: "null"}},
	}
	s.Description, s.Default, s.ErrorMessage, s.DoNotSuggest = "", nil, "", false
	return out
}

// exclude adds what decoder.together checks of a group.
func (g *generator) exclude(s *Schema, keys group) {
	if keys.need && !slices.ContainsFunc(s.Properties, func(p property) bool {
		return p.schema.ErrorMessage == "" && !slices.Contains(keys.keys, p.name)
	}) { // a union: nothing else can be there
		s.MaxProperties = 1
		if !g.partial {
			s.MinProperties = 1
		}
		return
	}
	var alternatives []*Schema
	for i, key := range keys.keys {
		alternatives = append(alternatives, &Schema{Required: []string{key}})
		for _, other := range keys.keys[i+1:] {
			if !keys.need || g.partial {
				s.AllOf = append(s.AllOf, &Schema{
					Not:          &Schema{Required: []string{key, other}},
					ErrorMessage: key + " and " + other + " exclude each other",
				})
			}
		}
	}
	if keys.need && !g.partial {
		s.AllOf = append(s.AllOf, &Schema{OneOf: alternatives, ErrorMessage: "one of " + strings.Join(keys.keys, ", ") + " is needed"})
	}
}

// differs tells whether a type can be incomplete: whether anything in it is needed.
func differs(t reflect.Type) bool {
	switch v := reflect.New(t).Interface().(type) {
	case interface{ long() reflect.Type }:
		return differs(v.long())
	case selfDecoder:
		return false
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Map:
		return differs(t.Elem())
	case reflect.Slice:
		return nameKeyOf(t.Elem()) != "" && differs(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if keyOf(f) != "" && (isRequired(f) || f.Tag.Get("one") != "" || f.Tag.Get("with") != "" || differs(f.Type)) {
				return true
			}
		}
	}
	return false
}
