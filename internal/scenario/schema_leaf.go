package scenario

import (
	"reflect"
	"slices"
	"strings"
)

// Patterns of the scalars, in what RE2 and ECMA-262 have in common, for editors run the one and
// validators the other.
const (
	templatePattern = `(?:^|[^$])\$\{[\s\S]+\}`
	decimalText     = `(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)`
	spanText        = `(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+`
	spanPattern     = `^\+?(?:` + spanText + `|0)$`
	ratePattern     = `^\s*\+?` + decimalText + `/[smh]\s*$`
	sharePattern    = `^\s*\+?` + decimalText + `\s*%\s*$`
	atMostAll       = `^\s*\+?0*(?:100(?:\.0+)?|[0-9]{0,2}(?:\.[0-9]+)?)\s*%`
	aboveZero       = `[1-9]`
	// A template stands where the path begins, or the path does.
	pathPattern = `^(?:/|\$\{)`
)

func orTemplate(pattern string) string { return pattern + "|" + templatePattern }

// zero is what a lower bound of 0 points to.
var zero float64

func (g *generator) template() *Schema {
	return g.def("template", func() *Schema { return &Schema{Type: "string", Pattern: templatePattern} })
}

func (g *generator) leaf(name string, s Schema) *Schema {
	return g.def(name, func() *Schema { return &s })
}

func (t *Text) schema(g *generator) *Schema {
	return g.leaf("text", Schema{Type: []string{"string", "number", "boolean"}})
}

func (t *TemplateText) schema(g *generator) *Schema { return new(Text).schema(g) }

func (s *Source) schema(g *generator) *Schema {
	return g.leaf("expression", Schema{Type: []string{"string", "number", "boolean"}, Pattern: `\S`, PatternErrorMessage: "an expression is expected"})
}

func (s *Span) schema(g *generator) *Schema {
	return g.leaf("duration", Schema{
		Type: []string{"string", "integer"}, Minimum: &zero, Maximum: &zero,
		Pattern: orTemplate(spanPattern), PatternErrorMessage: "a duration is expected: write 250ms, 30s or 1h30m",
	})
}

func (r *Rate) schema(g *generator) *Schema {
	return g.leaf("rate", Schema{Type: "string", Pattern: orTemplate(ratePattern), PatternErrorMessage: "a rate is expected: write 400/s, 30/m or 100/h"})
}

func (s *Share) schema(g *generator) *Schema {
	return g.leaf("share", Schema{Type: "string", Pattern: orTemplate(sharePattern), PatternErrorMessage: "a share is expected: write 10%"})
}

func (c *Count) schema(g *generator) *Schema {
	return g.leaf("count", Schema{Type: []string{"integer", "string"}, Minimum: &zero, Pattern: templatePattern, PatternErrorMessage: "a whole number is expected"})
}

func (r *Real) schema(g *generator) *Schema {
	return g.leaf("number", Schema{Type: []string{"number", "string"}, Minimum: &zero, Pattern: templatePattern, PatternErrorMessage: "a number is expected"})
}

func (f *Flag) schema(g *generator) *Schema {
	return g.leaf("flag", Schema{Type: []string{"boolean", "string"}, Pattern: templatePattern, PatternErrorMessage: "true or false is expected"})
}

func (t *Tree) schema(*generator) *Schema { return &Schema{} }

func (l *Later) schema(*generator) *Schema { return &Schema{Not: &Schema{}} }

func (w *Words) schema(g *generator) *Schema {
	text := new(Text).schema(g)
	return &Schema{AnyOf: []*Schema{text, {Type: "array", Items: text}}}
}

func (*ParamsF) schema(*generator) *Schema {
	return &Schema{Type: "object", AdditionalProperties: &Schema{Type: []string{"string", "number", "boolean", "null"}}}
}

func (*EnvironmentsF) schema(g *generator) *Schema {
	environment := g.def("Environment", func() *Schema {
		g.partial, g.patch = true, true
		s := g.structure(reflect.TypeFor[File]())
		g.partial, g.patch = false, false
		s.Description = "A patch that is laid over the file: maps merge, null takes a key out, lists of entries with a name merge by name, other lists replace."
		s.Properties = slices.DeleteFunc(s.Properties, func(p property) bool { return slices.Contains(notInEnvironment, p.name) })
		return s
	})
	return &Schema{Type: "object", MinProperties: 1, AdditionalProperties: environment}
}

func (*DistF) long() reflect.Type { return reflect.TypeFor[distMap]() }

func (f *DistF) schema(g *generator) *Schema {
	return &Schema{AnyOf: []*Schema{new(Span).schema(g), g.definition(f.long())}}
}

func (*MeasureF) long() reflect.Type { return reflect.TypeFor[measureMap]() }

func (m *MeasureF) schema(g *generator) *Schema {
	return &Schema{AnyOf: []*Schema{new(Source).schema(g), g.definition(m.long())}}
}

func (*FileF) long() reflect.Type { return reflect.TypeFor[fileMap]() }

func (f *FileF) schema(g *generator) *Schema {
	return &Schema{AnyOf: []*Schema{g.words("text"), g.definition(f.long())}}
}

// names is the schema of the names of a map.
func names(format string) *Schema {
	return &Schema{Pattern: formats[format].pattern.String(), PatternErrorMessage: formats[format].wrong}
}

// property returns the schema of the value of a struct field with the rules of its tags.
func (g *generator) property(f reflect.StructField) *Schema {
	s := g.of(f.Type)
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s = g.ruled(s, t, f.Tag.Get("is"))
	if keys := f.Tag.Get("keys"); keys != "" {
		s.PropertyNames = names(keys)
	}
	if items := f.Tag.Get("items"); items != "" && t.Kind() == reflect.Slice {
		s.Items = g.ruled(s.Items, t.Elem(), items)
	} else if items != "" {
		s.AdditionalProperties = g.removable(g.ruled(g.of(t.Elem()), t.Elem(), items))
	}
	return s
}

// ruled adds to a schema what decoder.rule checks.
func (g *generator) ruled(s *Schema, t reflect.Type, all string) *Schema {
	for rule := range strings.FieldsSeq(all) {
		switch t {
		case reflect.TypeFor[Text]():
			s = g.words(rule)
		case reflect.TypeFor[TemplateText](): // only path has one
			s = &Schema{Type: "string", Pattern: pathPattern, PatternErrorMessage: formats[rule].wrong}
		case reflect.TypeFor[Count](), reflect.TypeFor[Real]():
			s.bound(rule)
		case reflect.TypeFor[Share](), reflect.TypeFor[Span]():
			s.boundText(rule, t == reflect.TypeFor[Span]())
		default:
			if t.Kind() == reflect.Slice {
				s.MinItems = 1
			} else {
				s.MinProperties = 1
			}
		}
	}
	return s
}

// words returns the schema of a text that is one of some words or of a format.
func (g *generator) words(rule string) *Schema {
	if words := choices(rule); words != nil {
		var enum []any
		for _, word := range words {
			enum = append(enum, word)
			if v := spelled(word); v != word { // a number of YAML is a text by its spelling
				enum = append(enum, v)
			}
		}
		return &Schema{AnyOf: []*Schema{{Enum: enum}, g.template()}}
	}
	f := formats[rule]
	s := &Schema{Pattern: orTemplate(f.pattern.String()), PatternErrorMessage: f.wrong}
	types := []string{"string"}
	// A number or a word of YAML is a text by its spelling.
	switch {
	case f.pattern.MatchString("-1.5"):
		types = append(types, "number")
	case f.pattern.MatchString("15"):
		types = append(types, "integer")
		s.Minimum = &zero
	}
	if f.pattern.MatchString("true") {
		types = append(types, "boolean")
	}
	s.Type = types
	if len(types) == 1 {
		s.Type = types[0]
	}
	return s
}

// bound adds a range to the schema of a number.
func (s *Schema) bound(rule string) {
	low, high, isRange := bounds(rule)
	if !isRange {
		s.ExclusiveMinimum = &zero
		return
	}
	if from, _, _ := strings.Cut(rule, ".."); from != "" {
		s.Minimum = &low
	}
	if !strings.HasSuffix(rule, "..") {
		s.Maximum = &high
	}
}

// boundText adds a bound to a number that is a text, by how its digits look.
func (s *Schema) boundText(rule string, isSpan bool) {
	pattern, wrong := aboveZero, "must be above 0"
	if rule != ">0" {
		pattern, wrong = atMostAll, "is at most 100%"
	}
	if isSpan {
		s.Type = "string" // a bare 0 is the only number
	}
	s.AllOf = append(s.AllOf, &Schema{Pattern: orTemplate(pattern), PatternErrorMessage: wrong})
}

// root returns the schema of the file. A file that has environments may leave to them what it lacks,
// so two forms of what is nested stand side by side; the keys themselves stand at the root, where
// every editor looks for them.
func (g *generator) root() *Schema {
	t := reflect.TypeFor[File]()
	whole := g.structure(t)
	g.partial = true
	part := g.structure(t)
	g.partial = false
	s := &Schema{
		Dialect: "https://json-schema.org/draft/2020-12/schema", ID: SchemaID,
		Title:       "Proofload scenario",
		Description: "A scenario of Proofload, version 1: where the load goes, what it is made of, and what must hold.",
		Type:        "object", AdditionalProperties: false, Required: []string{"version"},
		If:   &Schema{Required: []string{"environments"}},
		Then: &Schema{AllOf: part.AllOf},
		Else: &Schema{Required: whole.Required, AllOf: whole.AllOf},
	}
	for _, p := range whole.Properties {
		other := part.Properties.get(p.name)
		if !differs(t.Field(fieldByKey(t, p.name)).Type) {
			s.Properties = append(s.Properties, p)
			continue
		}
		s.Properties = append(s.Properties, property{p.name, &Schema{Description: p.schema.Description}})
		p.schema.Description, other.Description = "", ""
		s.Then.Properties = append(s.Then.Properties, property{p.name, other})
		s.Else.Properties = append(s.Else.Properties, p)
	}
	return s
}
