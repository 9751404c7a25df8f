package expression

import (
	"encoding/base64"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
)

// builtinKind says how the result of a function is guarded.
type builtinKind uint8

const (
	scalar   builtinKind = iota // a bounded value
	builds                      // text or a list: its size is counted
	findsOne                    // yields nothing when there is none, which is an error
)

// builtins is the functions of the expression language that a scenario may use. Left out are those
// that read the clock or time zone files, that yield nothing for what is absent, or whose order
// of results varies.
var builtins = map[string]builtinKind{
	"all": scalar, "none": scalar, "any": scalar, "one": scalar, "count": scalar, "sum": scalar,
	"filter": builds, "map": builds, "sortBy": builds, "reduce": builds,
	"find": findsOne, "findIndex": findsOne, "findLast": findsOne, "findLastIndex": findsOne,
	"first": findsOne, "last": findsOne,
	"len": scalar, "abs": scalar, "ceil": scalar, "floor": scalar, "round": scalar, "int": scalar, "float": scalar,
	"max": findsOne, "min": findsOne, "mean": findsOne, "median": findsOne, "duration": scalar,
	"hasPrefix": scalar, "hasSuffix": scalar, "indexOf": scalar, "lastIndexOf": scalar,
	"string": builds, "trim": builds, "trimPrefix": builds, "trimSuffix": builds, "upper": builds, "lower": builds,
	"split": builds, "replace": builds, "repeat": builds, "join": builds,
	"toJSON": builds, "fromJSON": builds, "toBase64": builds, "fromBase64": builds,
	"take": builds, "keys": builds, "values": builds, "reverse": builds, "uniq": builds,
	"concat": builds, "flatten": builds, "sort": builds,
}

// disabled lists the other functions, so that the parser does not know them.
func disabled() map[string]bool {
	off := map[string]bool{}
	for _, f := range builtin.Builtins {
		if _, ok := builtins[f.Name]; !ok {
			off[f.Name] = true
		}
	}
	return off
}

// own replaces functions of the library whose results would vary, lose digits, grow without
// bound, or show a value in an error.
var own = map[string]func(args ...any) (any, error){
	"int":        toWhole,
	"float":      toFloat,
	"string":     toText,
	"toJSON":     toJSON,
	"fromJSON":   fromJSON,
	"fromBase64": fromBase64,
	"duration":   toDuration,
	"replace":    replace,
	"join":       join,
	"keys":       keys,
	"values":     values,
	"first":      func(args ...any) (any, error) { return end(0, args) },
	"last":       func(args ...any) (any, error) { return end(-1, args) },
	"mean":       func(args ...any) (any, error) { return aggregate("mean", args) },
	"median":     func(args ...any) (any, error) { return aggregate("median", args) },
	"max":        func(args ...any) (any, error) { return aggregate("max", args) },
	"min":        func(args ...any) (any, error) { return aggregate("min", args) },
}

func need(name string, want int, args []any) error { //nolint:unparam // a function of two arguments will come
	if len(args) != want {
		return valueError(name + " needs " + strconv.Itoa(want) + " arguments, not " + strconv.Itoa(len(args)))
	}
	return nil
}

// needText returns argument i of the function name as text.
func needText(name string, i int, args []any) (string, error) {
	if i >= len(args) {
		return "", valueError(name + " needs more arguments")
	}
	s, ok := args[i].(string)
	if !ok {
		return "", valueError(name + " needs text, not " + describe(args[i]))
	}
	return s, nil
}

func toWhole(args ...any) (any, error) {
	if err := need("int", 1, args); err != nil {
		return nil, err
	}
	if s, ok := args[0].(string); ok {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, valueError("int: the text is not a whole number")
		}
		return n, nil
	}
	if n, ok := toInt(args[0]); ok {
		return int(n), nil
	}
	if f, ok := args[0].(float64); ok && math.Abs(f) < 1<<63 {
		return int(f), nil
	}
	return nil, valueError("int cannot use " + describe(args[0]))
}

func toFloat(args ...any) (any, error) {
	if err := need("float", 1, args); err != nil {
		return nil, err
	}
	if s, ok := args[0].(string); ok {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, valueError("float: the text is not a number")
		}
		return f, nil
	}
	return number(args[0])
}

func toDuration(args ...any) (any, error) {
	s, err := needText("duration", 0, args)
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return nil, valueError("duration: the text is not a duration, such as 250ms")
	}
	return d, nil
}

func toText(args ...any) (any, error) {
	if err := need("string", 1, args); err != nil {
		return nil, err
	}
	b, err := AppendText(nil, args[0])
	return string(b), err
}

func toJSON(args ...any) (any, error) {
	if err := need("toJSON", 1, args); err != nil {
		return nil, err
	}
	b, err := AppendJSON(nil, args[0])
	return string(b), err
}

func fromJSON(args ...any) (any, error) {
	s, err := needText("fromJSON", 0, args)
	if err != nil {
		return nil, err
	}
	v, err := DecodeJSON([]byte(s))
	if err != nil {
		return nil, valueError("fromJSON: the text is not JSON")
	}
	return v, nil
}

func fromBase64(args ...any) (any, error) {
	s, err := needText("fromBase64", 0, args)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, valueError("fromBase64: the text is not base64")
	}
	return string(b), nil
}

// replace replaces all, or with a fourth argument the first so many, after checking the size that
// the result would have.
func replace(args ...any) (any, error) {
	var part [3]string
	for i := range part {
		var err error
		if part[i], err = needText("replace", i, args); err != nil {
			return nil, err
		}
	}
	s, old, with := part[0], part[1], part[2]
	times := strings.Count(s, old)
	if len(args) > 3 {
		n, ok := toInt(args[3])
		if !ok {
			return nil, valueError("replace needs a whole number as its fourth argument")
		}
		if n >= 0 && n < int64(times) {
			times = int(n)
		}
	}
	if grown := max(0, len(with)-len(old)); grown > 0 && times > maxSize/grown {
		return nil, valueError("replace: the result is too long")
	}
	return strings.Replace(s, old, with, times), nil
}

// join joins the texts of a list, after checking the size that the result would have.
func join(args ...any) (any, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, valueError("join needs a list and a separator")
	}
	separator := ""
	if len(args) == 2 {
		var err error
		if separator, err = needText("join", 1, args); err != nil {
			return nil, err
		}
	}
	var parts []string
	switch list := args[0].(type) {
	case []string:
		parts = list
	case []any:
		for i := range list {
			s, err := needText("join", i, list)
			if err != nil {
				return nil, err
			}
			parts = append(parts, s)
		}
	default:
		return nil, valueError("join needs a list, not " + describe(args[0]))
	}
	if len(separator) > 0 && len(parts) > maxSize/len(separator) || sizeOf(parts, maxSize) > maxSize {
		return nil, valueError("join: the result is too long")
	}
	return strings.Join(parts, separator), nil
}

func object(name string, args []any) (map[string]any, error) {
	if err := need(name, 1, args); err != nil {
		return nil, err
	}
	m, ok := args[0].(map[string]any)
	if !ok {
		return nil, valueError(name + " needs an object, not " + describe(args[0]))
	}
	return m, nil
}

// keys returns the keys of an object in order.
func keys(args ...any) (any, error) {
	m, err := object("keys", args)
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k)
	}
	return list, nil
}

// values returns the values of an object in the order of their keys.
func values(args ...any) (any, error) {
	m, err := object("values", args)
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[k])
	}
	return list, nil
}

// end returns the element at i, or nothing when the list is empty.
func end(i int, args []any) (any, error) {
	if err := need("first or last", 1, args); err != nil {
		return nil, err
	}
	if s, ok := args[0].(string); ok {
		r, _ := utf8.DecodeRuneInString(s)
		if i < 0 {
			r, _ = utf8.DecodeLastRuneInString(s)
		}
		if s == "" {
			return nil, nil
		}
		return string(r), nil
	}
	if v, ok := member(args[0], i); ok {
		return v, nil
	}
	switch args[0].(type) {
	case []any, []int, []string, []float64:
		return nil, nil
	}
	return nil, valueError("a list is needed, not " + describe(args[0]))
}

// aggregate calls the library's function, or yields nothing when there is nothing to aggregate: a
// mean of nothing is not zero.
func aggregate(name string, args []any) (any, error) {
	if len(args) == 1 {
		if list, ok := args[0].([]any); ok && len(list) == 0 || args[0] == nil {
			return nil, nil
		}
	}
	return builtin.Builtins[builtin.Index[name]].Func(args...)
}
