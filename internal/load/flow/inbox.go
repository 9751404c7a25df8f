package flow

import (
	"fmt"
)

// Bounds of the messages of a stream that are kept for expressions.
const (
	maxKept      = 10_000
	maxKeptBytes = 16 << 20
)

// inbox is the messages of a call as expressions read them. It is decoded when it is read.
type inbox struct {
	method *Method
	every  bool // all of them are kept, else the last
	last   []byte
	n      int // how many came
	size   int // of those that are kept
	all    [][]byte

	decoded bool // last is
	value   any
	err     error
}

// add notes a message; nil when nobody reads it.
func (r *inbox) add(m []byte) {
	r.n++
	r.last, r.decoded = m, false
	if r.every && len(r.all) < maxKept && r.size+len(m) <= maxKeptBytes {
		r.size += len(m)
		r.all = append(r.all, append([]byte(nil), m...))
	}
}

// Last implements expression.MessageReader.
func (r *inbox) Last() (any, bool, error) {
	if r.n == 0 {
		return nil, false, nil
	}
	if !r.decoded {
		r.value, r.err = r.method.Set.Tree(r.method.Descriptor.Output(), r.last)
		r.decoded = true
	}
	return r.value, true, r.err
}

// All implements expression.MessageReader.
func (r *inbox) All() ([]any, error) {
	if len(r.all) < r.n {
		return nil, fmt.Errorf("%d messages were received: at most %d of together %d MiB are kept", r.n, maxKept, maxKeptBytes>>20)
	}
	out := make([]any, len(r.all))
	for i, m := range r.all {
		var err error
		if out[i], err = r.method.Set.Tree(r.method.Descriptor.Output(), m); err != nil {
			return nil, err
		}
	}
	return out, nil
}
