package metric

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Labels is an immutable set of name=value pairs in canonical form: sorted by name, comparable
// with ==, usable as a map key. The zero value is the empty set. Values are arbitrary text without
// NUL bytes; a pair whose value is empty is the same as no pair.
type Labels struct{ s string }

// NewLabels builds a set from alternating names and values. It panics on an odd number of
// arguments; of a repeated name the last value stands.
func NewLabels(pairs ...string) Labels {
	if len(pairs)%2 != 0 {
		panic("metric: NewLabels needs name, value pairs")
	}
	m := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return LabelsOf(m)
}

// LabelsOf builds a set from a map, which it does not keep.
func LabelsOf(m map[string]string) Labels {
	names := make([]string, 0, len(m))
	size := 0
	for name, value := range m {
		if strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
			return LabelsOf(clean(m))
		}
		if value != "" {
			names = append(names, name)
			size += len(name) + len(value) + 2
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.Grow(size)
	for _, name := range names {
		b.WriteString(name)
		b.WriteByte(0)
		b.WriteString(m[name])
		b.WriteByte(0)
	}
	return Labels{b.String()}
}

// clean keeps the separator out of names and values. Should two names become the same, the value of
// the one that sorts last stands.
func clean(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out[strings.ReplaceAll(name, "\x00", "\uFFFD")] = strings.ReplaceAll(m[name], "\x00", "\uFFFD")
	}
	return out
}

// All yields the pairs in the order of their names.
func (l Labels) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest := l.s; rest != ""; {
			name, after, _ := strings.Cut(rest, "\x00")
			value, next, _ := strings.Cut(after, "\x00")
			if !yield(name, value) {
				return
			}
			rest = next
		}
	}
}

// Get returns the value of name, or "" when the set does not have it.
func (l Labels) Get(name string) string {
	for n, v := range l.All() {
		if n == name {
			return v
		}
	}
	return ""
}

// With returns the set with name set to value; an empty value removes it.
func (l Labels) With(name, value string) Labels {
	m := l.Map()
	m[name] = value
	return LabelsOf(m)
}

// Without returns the set without the given names.
func (l Labels) Without(names ...string) Labels {
	m := l.Map()
	for _, name := range names {
		delete(m, name)
	}
	return LabelsOf(m)
}

// Map returns the pairs as a new map.
func (l Labels) Map() map[string]string {
	return maps.Collect(l.All())
}

// Compare orders label sets; it is the order in which listings show them.
func (l Labels) Compare(o Labels) int { return strings.Compare(l.s, o.s) }

// String renders the set as {a="b",c="d"}.
func (l Labels) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for n, v := range l.All() {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(n)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(v))
	}
	b.WriteByte('}')
	return b.String()
}
