package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"proofload/internal/scenario/expression"
)

// mutation changes one place of a valid file so that it has a shape that the language does not know.
// It returns false when the place offers no such change.
type mutation func(t *rapid.T, p aPlace) bool

var mutations = map[string]mutation{
	"unknown key": func(t *rapid.T, p aPlace) bool {
		p.value[rapid.SampledFrom(keysOf(p.typ)).Draw(t, "key")+"_"] = 1
		return true
	},
	"missing key": func(t *rapid.T, p aPlace) bool {
		var needed []string
		for f := range p.typ.Fields() {
			if isRequired(f) && (p.complete || keyOf(f) == "version") && p.value[keyOf(f)] != nil {
				needed = append(needed, keyOf(f))
			}
		}
		if len(needed) == 0 {
			return false
		}
		delete(p.value, rapid.SampledFrom(needed).Draw(t, "key"))
		return true
	},
	"second key of a union": func(t *rapid.T, p aPlace) bool {
		groups := groupsOf(p.typ)
		if len(groups) == 0 {
			return false
		}
		keys := rapid.SampledFrom(groups).Draw(t, "group").keys
		for i, key := range keys {
			other := keys[(i+1)%len(keys)]
			if p.value[key] != nil && p.value[other] == nil {
				p.value[other] = p.value[key]
				return true
			}
		}
		return false
	},
	"no key of a union": func(_ *rapid.T, p aPlace) bool {
		done := false
		for _, g := range groupsOf(p.typ) {
			for _, key := range g.keys {
				if g.need && p.complete && p.value[key] != nil {
					delete(p.value, key)
					done = true
				}
			}
		}
		return done
	},
	"wrong value": func(t *rapid.T, p aPlace) bool {
		var keys []string
		for key := range p.value {
			if i := fieldByKey(p.typ, key); i >= 0 && wrongValues(p.typ.Field(i)) != nil {
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			return false
		}
		slices.Sort(keys)
		key := rapid.SampledFrom(keys).Draw(t, "key")
		value := rapid.SampledFrom(wrongValues(p.typ.Field(fieldByKey(p.typ, key)))).Draw(t, "value")
		if value == nil && !p.complete {
			return false // in an environment null takes the key out
		}
		p.value[key] = value
		return true
	},
}

// wrongValues returns values that a field never takes.
func wrongValues(f reflect.StructField) []any {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	wrong := []any{map[string]any{"no": 1}, []any{[]any{1}}, nil}
	if words := choices(f.Tag.Get("is")); words != nil {
		wrong = append(wrong, words[0]+"x", "", 1)
		if upper := strings.ToUpper(words[0]); upper != words[0] {
			wrong = append(wrong, upper)
		}
	}
	switch t {
	case reflect.TypeFor[Text](), reflect.TypeFor[TemplateText](), reflect.TypeFor[Source](), reflect.TypeFor[FileF](), reflect.TypeFor[KeyF](), reflect.TypeFor[TargetF](), reflect.TypeFor[SendF](), reflect.TypeFor[ExpectF]():
		return wrong
	case reflect.TypeFor[CheckSource]():
		return append(wrong, "", "max", "max()", "max(response_time)", "max(response_time) <", "max(response_time) < 1s 2s", "1s < max(response_time)", "max(response_time{step=a}) < 1s", 5)
	case reflect.TypeFor[Span]():
		return append(wrong, "", 5, 1.5, "5", "5 s", "5%", "5/s", "s", "-5s", "5s5", "5seconds", true)
	case reflect.TypeFor[Rate]():
		return append(wrong, "", 5, 1.5, "5", "5s", "5%", "5/day", "/s", "-5/s", "5 / s", "5e3/s", true)
	case reflect.TypeFor[Share]():
		return append(wrong, "", 5, 0.5, "5", "5s", "%", "-5%", "5%%", "5e1%", "0x5%", true)
	case reflect.TypeFor[Count]():
		return append(wrong, "", -1, 1.5, "5", "5s", true)
	case reflect.TypeFor[Real]():
		return append(wrong, "", -1, "5", "5s", true)
	case reflect.TypeFor[Flag]():
		return append(wrong, "", 1, "yes", "true")
	case reflect.TypeFor[DistF]():
		return append(wrong, "", 5, "5", "5%", map[string]any{"constant": "5"})
	case reflect.TypeFor[Tree](), reflect.TypeFor[Later](), reflect.TypeFor[ParamsF](), reflect.TypeFor[EnvironmentsF](), reflect.TypeFor[Words]():
		return nil
	}
	return []any{nil, 5, "text", true}
}

// Whatever shape a valid file is brought out of, both refuse it.
func TestMutationsAreRefusedByBoth(t *testing.T) {
	schema := testValidator(t)
	files := []*node{parsed(t, small), parsed(t, testFile(t, "testdata/full.yaml"))}
	for name, mutate := range mutations {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				all := placesOf(files[rapid.IntRange(0, len(files)-1).Draw(t, "file")])
				p := all[rapid.IntRange(0, len(all)-1).Draw(t, "place")]
				if !mutate(t, p) {
					t.Skip("nothing to change here")
				}
				text := encode(t, all[0].value)
				s, d := judge(t, schema, text)
				if s == nil || d == nil {
					t.Errorf("schema: %v\ndecoder: %v\n%s in %s\n%s", s, d, name, p.typ, text)
				}
			})
		})
	}
}

// shapeOf returns what the decoder says of a file before names are looked up and times are added.
func shapeOf(t tester, text string) Problems {
	t.Helper()
	l := &loader{parser: parser{file: "s.yaml"}, data: []byte(text)}
	root := l.parse(l.data)
	l.dec = &decoder{parser: &l.parser, known: &expression.Values{}, scope: expression.Everywhere(), bare: true}
	l.dec.decode(root, &l.file)
	return l.problems
}

// Whatever scalar stands anywhere, the schema says what the decoder says of its shape.
func TestAnyScalarAnywhere(t *testing.T) {
	schema := testValidator(t)
	full := instance(t, testFile(t, "testdata/full.yaml")).(map[string]any)
	delete(full, "environments")
	whole := parsed(t, encode(t, full))
	digits := rapid.StringMatching(`[+-]?[0-9]{0,3}(\.[0-9]{0,2})?`)
	scalar := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) any {
			unit := rapid.SampledFrom([]string{"", "s", "ms", "µs", "m", "h", "d", "/s", "/m", "/h", "%", " %", "KiB", " "}).Draw(t, "unit")
			return rapid.SampledFrom([]string{"", "", " "}).Draw(t, "space") + digits.Draw(t, "digits") + unit
		}),
		rapid.Custom(func(t *rapid.T) any { return rapid.Int64Range(-5, 1000).Draw(t, "whole") }),
		rapid.Custom(func(t *rapid.T) any { return float64(rapid.IntRange(-40, 4000).Draw(t, "quarters")) / 4 }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "flag") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.StringMatching(`[a-zA-Z/_. -]{0,6}`).Draw(t, "word") }),
		rapid.SampledFrom([]any{nil, "${params.peak}", "/${params.peak}", "$${a}", "buy", "uniform", "wrap", "stop", "POST", "/a"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		all := placesOf(whole)
		p := all[rapid.IntRange(0, len(all)-1).Draw(t, "place")]
		key := rapid.SampledFrom(keysOf(p.typ)).Draw(t, "key")
		p.value[key] = scalar.Draw(t, "value")
		text := encode(t, all[0].value)
		s, d := schema.Validate(instance(t, text)), shapeOf(t, text)
		if key == "check" { // only its being there is shape; TestSchemaAcceptsEveryCheck has the rest
			return
		}
		if (s == nil) != (len(d) == 0) {
			t.Errorf("schema: %v\ndecoder: %v\n%s of %s = %#v", s, d, key, p.typ.Name(), p.value[key])
		}
	})
}

// The schema accepts every check that the parser accepts, and refuses what it refuses where the
// metric is one of the engine's and nothing but the grammar and the unit is in question. Which labels a metric has is
// for the parser alone.
func TestSchemaAcceptsEveryCheck(t *testing.T) {
	schema := testValidator(t)
	pick := func(t *rapid.T, label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	selection := func(t *rapid.T) string {
		space := pick(t, "space", "", "", " ")
		matchers := pick(t, "matchers", "", "", "{}", `{step="add"}`, `{ step =~ "a|b/c" , outcome!="ok",}`, "{node=`a)`}", `{a.b="\"}"}`, `{step=add}`)
		return pick(t, "stat", "p50", "p99.9", "p999", "max", "mean", "count", "rate", "error_ratio", "trend", "men") + space + "(" + space +
			pick(t, "metric", "response_time", "requests", "iterations", "in_flight", "bytes_in", "orders") + matchers + space + ")"
	}
	rapid.Check(t, func(t *rapid.T) {
		src := selection(t)
		quotient := rapid.IntRange(0, 4).Draw(t, "quotient") == 0
		if quotient {
			src += pick(t, "slash", " / ", "/") + selection(t)
		}
		src += pick(t, "op", " < ", "<=", " == ", "=", "!=") +
			pick(t, "value", "250ms", "1h30m", "+1.5s", "5", "-12.5", ".5", "1%", "400/s", "30 / m", "10KiB", "1MB/s", "5ms/h", "1%/m", "1/d", "baseline", "")
		_, err := ParseCheck(src, WithMetrics(map[string]string{"orders": ""}))
		s := schema.Validate(instance(t, strings.Replace(small, "check: p99(response_time) < 250ms", "check: "+fmt.Sprintf("%q", src), 1)))
		if err == nil && s != nil {
			t.Errorf("%s: the schema refuses it: %v", src, s)
		}
		if err != nil && s == nil && !quotient && !strings.Contains(src, "orders") && !strings.Contains(err.Error(), "is no label of") {
			t.Errorf("%s: the schema accepts it, the parser says %v", src, err)
		}
	})
}
