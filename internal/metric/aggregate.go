package metric

import "fmt"

// Aggregate is what all committed segments of a run add up to: the totals of every series, and what came
// from whom. Adding is commutative and associative, so that the aggregate of a checkpoint and the
// segments after it is that of all segments. Its size does not grow with the length of the run: what
// happened second by second is in the segments. It is not safe for concurrent use.
type Aggregate struct {
	Run string
	// Total is all seconds in one, with index 0. Pauses and what is in flight are left out: they are
	// no sums over time.
	Total Second
	Parts map[Source]*Part
}

// NewAggregate returns an empty aggregate.
func NewAggregate(run string) *Aggregate {
	return &Aggregate{Run: run, Total: NewSecond(0), Parts: map[Source]*Part{}}
}

// AddSegment adds a committed segment and keeps nothing of it.
func (a *Aggregate) AddSegment(g *Segment) {
	for _, s := range g.Seconds {
		a.total(*s)
	}
	mergeParts(a.Parts, g.Parts)
}

// Merge adds another aggregate of the same run and keeps nothing of it.
func (a *Aggregate) Merge(o *Aggregate) {
	a.total(o.Total)
	mergeParts(a.Parts, o.Parts)
}

func (a *Aggregate) total(s Second) {
	a.Total.Merge(s)
	a.Total.Paused, a.Total.Peaks = 0, nil
	for _, row := range a.Total.Arrivals {
		row.InFlight, row.Oldest = 0, nil
	}
}

// EncodeAggregate returns the bytes of an aggregate, compressed; equal aggregates have equal bytes.
func EncodeAggregate(a *Aggregate) []byte { return compress(a.encode()) }

func (a *Aggregate) encode() []byte {
	e := newEncoder()
	e.rich = len(a.Total.Slowest) > 0
	e.text(a.Run)
	e.second(a.Total)
	e.parts(a.Parts)
	return e.finish(aggregateMagic)
}

// DecodeAggregate reads what EncodeAggregate wrote; see DecodeSegment.
func DecodeAggregate(data []byte) (*Aggregate, error) {
	raw, err := decompress(data)
	if err != nil {
		return nil, fmt.Errorf("decode aggregate: %w", err)
	}
	a, err := decodeAggregate(raw)
	if err != nil {
		return nil, fmt.Errorf("decode aggregate: %w", err)
	}
	return a, nil
}

func decodeAggregate(raw []byte) (*Aggregate, error) {
	d, err := newDecoder(aggregateMagic, raw)
	if err != nil {
		return nil, err
	}
	a := NewAggregate(d.text())
	a.Total = d.second()
	if a.Total.Index != 0 || a.Total.Paused != 0 {
		d.fail()
	}
	d.parts(a.Parts)
	return a, d.end()
}
