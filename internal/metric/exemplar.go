package metric

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// StepKey names a step where it is executed.
type StepKey struct{ Phase, Flow, Step string }

// Exemplar is one request that stands for others: the slowest of a step in a second among those that carried
// the id of a trace, by which what the target did for it can be found.
type Exemplar struct {
	At       time.Duration // run time at which it ended
	Response time.Duration // from its intended start; never negative
	Service  time.Duration // from its actual send; never negative
	Status   int           // of HTTP; 0: there was no complete response, or it has none, as gRPC
	Error    string        // kind; empty: success
	Trace    string        // id of the trace, 32 hexadecimal digits
}

// compare orders exemplars: the slower one is larger. The rest only makes the order total.
func (x Exemplar) compare(o Exemplar) int {
	return cmp.Or(
		cmp.Compare(x.Response, o.Response), cmp.Compare(x.At, o.At), strings.Compare(x.Trace, o.Trace),
		cmp.Compare(x.Service, o.Service), cmp.Compare(x.Status, o.Status), strings.Compare(x.Error, o.Error),
	)
}

// Slower reports whether x is to be kept rather than o.
func (x Exemplar) Slower(o Exemplar) bool { return x.compare(o) > 0 }

// exemplify keeps an exemplar if it is the slowest of its step.
func (s *Second) exemplify(key StepKey, x Exemplar) {
	old, ok := s.Slowest[key]
	if ok && !x.Slower(old) {
		return
	}
	if s.Slowest == nil {
		s.Slowest = map[StepKey]Exemplar{}
	}
	s.Slowest[key] = x
}

// Compare orders keys by phase, flow and step.
func (k StepKey) Compare(o StepKey) int {
	return cmp.Or(strings.Compare(k.Phase, o.Phase), strings.Compare(k.Flow, o.Flow), strings.Compare(k.Step, o.Step))
}

func (e *encoder) slowest(all map[StepKey]Exemplar) {
	e.uint(uint64(len(all)))
	for _, key := range slices.SortedFunc(maps.Keys(all), StepKey.Compare) {
		x := all[key]
		e.text(key.Phase)
		e.text(key.Flow)
		e.text(key.Step)
		for _, v := range [...]int64{int64(x.At), int64(x.Response), int64(x.Service), int64(x.Status)} {
			e.int(v)
		}
		e.text(x.Error)
		e.text(x.Trace)
	}
}

func (d *decoder) slowest(s *Second) {
	list(d, 9, StepKey.Compare, func() StepKey {
		key := StepKey{d.text(), d.text(), d.text()}
		x := Exemplar{At: time.Duration(d.int()), Response: time.Duration(d.total()), Service: time.Duration(d.total())}
		x.Status = int(d.total())
		x.Error, x.Trace = d.text(), d.text()
		s.exemplify(key, x)
		d.exemplars++
		return key
	})
}
