package scenario

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"proofload/internal/scenario/expression"
)

// The tags of the file's types, beside yaml, are the rules that a reader of the type sees at once. The
// decoder enforces them and the schema is made of them, so that the two cannot differ:
//
//	is:"a|b|c"       one of these words; the first is what leaving the key out means
//	is:"1..100"      a number between these; either may be missing; a share is bounded by ..100%
//	is:">0"          a number, share or duration above zero
//	is:"filled"      a list or map with at least one entry
//	is:"name"        a text of that format, see formats
//	items:"..."      the same, for each entry of a list or map
//	keys:"name"      the format of the names of a map
//	one:"group"      exactly one of the keys of the group is there
//	most:"group"     at most one of them is there
//	with:"key: why"  may be there only together with that key, or with one of several: with:"a|b: why"

// format is what a text looks like, and what to say when it does not.
type format struct {
	pattern *regexp.Regexp
	wrong   string
}

var formats = map[string]format{
	"text":       {regexp.MustCompile(`\S`), "it is empty"},
	"name":       {word, "a name is of letters, digits, _ and -"},
	"identifier": {identifier, "a name is of a-z, 0-9 and _, and does not begin with a digit"},
	"method":     {regexp.MustCompile(`^[A-Za-z]+$`), "write GET, POST, PUT, PATCH, DELETE or another word"},
	"path":       {regexp.MustCompile(`^/`), "a path begins with /"},
	"host":       {regexp.MustCompile(`^(\*|(\*\.)?[^\s/:@?#*\[\]]+|\[?[0-9A-Fa-f.:]+\]?)$`), "write a host such as shop.example, an address, or *.example for the hosts below it"},
	"rpc":        {regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*$`), "write package.Service/Method"},
	"metadata":   {regexp.MustCompile(`^[0-9a-z_.-]+$`), "a name of metadata is of 0-9, a-z, _, - and ."},
	"hostname":   {regexp.MustCompile(`^[^\s/:@?#*\[\]]+$`), "write a name such as shop.example"},
	"address":    {regexp.MustCompile(`^[0-9A-Fa-f.:]+$`), "write an IP address such as 10.0.0.7 or fd00::7"},
	"header":     {regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"), "that is not the name of a header"},
}

// advice says more about a group of keys of which none is there.
var advice = map[string]string{
	"target": ": say where the load goes, e.g. `target: http://127.0.0.1:8080`",
	"load":   ": rate is the open model, users the closed one",
}

// group is the keys of a type that exclude each other.
type group struct {
	name string
	keys []string // without those of features that are not built yet
	need bool     // one of them must be there
}

// groupsOf returns the groups of a struct type in the order of the language.
func groupsOf(t reflect.Type) []group {
	var groups []group
	for f := range t.Fields() {
		name, need := f.Tag.Lookup("one")
		if !need {
			name = f.Tag.Get("most")
		}
		if name == "" || f.Type == reflect.TypeFor[Later]() {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{name: name, need: need})
		}
		groups[i].keys = append(groups[i].keys, keyOf(f))
	}
	return groups
}

// companions returns the keys of which a field needs one beside it, and why.
func companions(f reflect.StructField) (keys []string, why string) {
	all, why, ok := strings.Cut(f.Tag.Get("with"), ": ")
	if !ok {
		return nil, ""
	}
	return strings.Split(all, "|"), why
}

// choices returns the words of a rule that lists some.
func choices(rule string) []string {
	if !strings.Contains(rule, "|") {
		return nil
	}
	return strings.Split(rule, "|")
}

// bounds returns the limits of a rule that is a range.
func bounds(rule string) (low, high float64, ok bool) {
	from, to, ok := strings.Cut(strings.TrimSuffix(rule, "%"), "..")
	if !ok {
		return 0, 0, false
	}
	low, high = math.Inf(-1), math.Inf(1)
	if from != "" {
		low, _ = strconv.ParseFloat(from, 64)
	}
	if to != "" {
		high, _ = strconv.ParseFloat(to, 64)
	}
	return low, high, true
}

// obey checks the rules of a struct field against the value that was just read into it.
func (d *decoder) obey(f field, v reflect.Value, tag reflect.StructTag) {
	d.rules(tag.Get("is"), f, v)
	if keys := tag.Get("keys"); keys != "" {
		for _, sub := range f.node.fields {
			d.formatted(keys, sub.name, f.name, sub.pos)
		}
	}
	items := tag.Get("items")
	if items == "" {
		return
	}
	for i, item := range f.node.items {
		d.rules(items, field{f.name, item.pos, item}, v.Index(i))
	}
	for _, sub := range f.node.fields {
		d.rules(items, sub, v.MapIndex(reflect.ValueOf(sub.name)))
	}
}

func (d *decoder) rules(all string, f field, v reflect.Value) {
	if d.undecided(f.node) {
		return
	}
	for rule := range strings.FieldsSeq(all) {
		d.rule(rule, f, v)
	}
}

func (d *decoder) rule(rule string, f field, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case Text:
		d.formatted(rule, x.Value, f.name, x.At)
	case TemplateText:
		if !strings.HasPrefix(x.Value, "${") {
			d.formatted(rule, x.Value, f.name, x.At)
		}
	case Count:
		d.bounded(rule, float64(x.Value), f.name, x.At)
	case Real:
		d.bounded(rule, x.Value, f.name, x.At)
	case Share:
		d.bounded(rule, x.Value, f.name, x.At)
	case Span:
		d.bounded(rule, x.Value.Seconds(), f.name, x.At)
	default:
		if rule == "filled" && len(f.node.items)+len(f.node.fields) == 0 {
			d.fail(f.pos, "%s is empty", f.name)
		}
	}
}

// formatted checks a text against a format or a list of words.
func (d *decoder) formatted(rule, text, key string, at pos) {
	if words := choices(rule); words != nil {
		if !slices.Contains(words, text) {
			d.fail(at, "%s: %q is not one of %s%s", key, text, strings.Join(words, ", "), didYouMeanOne(text, words))
		}
		return
	}
	if f := formats[rule]; !f.pattern.MatchString(text) {
		d.fail(at, "%s %q: %s", key, text, f.wrong)
	}
}

func didYouMeanOne(text string, words []string) string {
	if best := expression.Nearest(text, words); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}

// bounded checks a number against a range.
func (d *decoder) bounded(rule string, v float64, key string, at pos) {
	low, high, isRange := bounds(rule)
	limit := fmt.Sprint(high)
	if strings.HasSuffix(rule, "%") { // a share is a part of 1
		limit, high = limit+"%", high/100
	}
	switch {
	case !isRange:
		if v <= 0 {
			d.fail(at, "%s must be above 0", key)
		}
	case v >= low && v <= high:
	case low == high:
		d.fail(at, "%s %g is not known: this program reads %s %g", key, v, key, low)
	case math.IsInf(high, 0):
		d.fail(at, "%s must be at least %g", key, low)
	case math.IsInf(low, 0):
		d.fail(at, "%s is above %s", key, limit)
	default:
		d.fail(at, "%s %g is not between %g and %g", key, v, low, high)
	}
}

// together checks which keys of a map may stand beside each other. seen has the places of its keys.
func (d *decoder) together(n *node, t reflect.Type, seen map[string]pos) {
	for _, g := range groupsOf(t) {
		var have []string
		for _, key := range g.keys {
			if _, ok := seen[key]; ok {
				have = append(have, key)
			}
		}
		switch {
		case len(have) > 1:
			d.fail(seen[have[1]], "%s exclude each other: only one of %s", strings.Join(have, " and "), strings.Join(g.keys, ", "))
		case len(have) == 0 && g.need && !d.partial:
			d.fail(n.pos, "%s is missing%s", strings.Join(g.keys, " or "), advice[g.name])
		}
	}
	for f := range t.Fields() {
		keys, why := companions(f)
		at, here := seen[keyOf(f)]
		there := slices.ContainsFunc(keys, func(key string) bool { _, ok := seen[key]; return ok })
		if here && len(keys) > 0 && !there && !d.partial {
			d.fail(at, "%s needs %s beside it: %s", keyOf(f), strings.Join(keys, " or "), why)
		}
	}
}
