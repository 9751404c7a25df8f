package schedule

import (
	"time"

	"proofload/internal/scenario"
)

// Poisson is the value of Phase.Arrivals for exponential gaps; everything else is uniform.
const Poisson = "poisson"

// Arrival is one arrival of an open phase.
type Arrival struct {
	Shard int32
	K     int64         // ordinal within the shard, from 0
	At    time.Duration // phase time at which it is due
}

// Index is the arrival's number within its phase, and its row of data: K x Shards + Shard.
func (a Arrival) Index() int64 { return a.K*scenario.Shards + int64(a.Shard) }

// Stream yields the arrivals of one phase that one worker owns, in the order in which they are due.
// It remembers for each shard which arrival is next: none is ever yielded twice by one Stream,
// whatever the changes of ownership and of the curve. It is not safe for use by several goroutines.
type Stream struct {
	source source
}

// source is one kind of arrivals.
type source interface {
	// set replaces curve and ownership and takes up each shard behind the last arrival yielded.
	set(curve *Curve, owned []stretch)
	// peek returns the next arrival without passing it.
	peek() (Arrival, bool)
	// pass goes behind the arrival that peek returned.
	pass()
}

// NewStream returns the stream of a phase, which owns nothing until Set.
func NewStream(seed uint64, phase *scenario.Phase) *Stream {
	if phase.Arrivals == Poisson {
		return &Stream{source: newPoisson(seed, phase.Name)}
	}
	return &Stream{source: &uniform{}}
}

// Set replaces the curve and what is owned; the ranges' stretches are in phase time here. Arrivals
// that were yielded stay so, and of the others the stream goes on with those in the ranges.
func (s *Stream) Set(curve *Curve, ranges []Range) { s.source.set(curve, stretches(ranges)) }

// Peek returns the next arrival without passing it; false when the stream has ended.
func (s *Stream) Peek() (Arrival, bool) { return s.source.peek() }

// Next returns the next arrival and passes it; false when the stream has ended.
func (s *Stream) Next() (Arrival, bool) {
	a, ok := s.source.peek()
	if ok {
		s.source.pass()
	}
	return a, ok
}
