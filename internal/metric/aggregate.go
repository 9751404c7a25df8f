package metric

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Aggregate is what all committed segments of a run add up to: the totals of every series, what came
// from whom, and a timeline. Adding is commutative and associative, so that the aggregate of a
// checkpoint and the segments after it is that of all segments. Its size is bounded: the timeline
// has at most MaxPoints points, whose length doubles when the run outgrows them. It is not safe for
// concurrent use.
type Aggregate struct {
	Run string
	// Total is all seconds in one, with index 0. Pauses and what is in flight are left out: they are
	// no sums over time.
	Total Second
	Parts map[Source]*Part
	// Points is the timeline, by the number of the interval.
	Points map[int64]*Point
	shift  uint // an interval is 2^shift seconds
}

// MaxPoints bounds the timeline of an Aggregate: two hours by the second.
const MaxPoints = 7200

// maxShift leaves any second within the timeline.
const maxShift = 63

// NewAggregate returns an empty aggregate.
func NewAggregate(run string) *Aggregate {
	return &Aggregate{Run: run, Total: NewSecond(0), Parts: map[Source]*Part{}, Points: map[int64]*Point{}}
}

// Interval returns the length of an interval of the timeline in seconds, a power of two.
func (a *Aggregate) Interval() int64 { return 1 << a.shift }

// AddSegment adds a committed segment and keeps nothing of it.
func (a *Aggregate) AddSegment(g *Segment) {
	for _, s := range g.Seconds {
		a.total(*s)
		a.point(s.Index).merge(pointOf(*s))
	}
	mergeParts(a.Parts, g.Parts)
}

// Merge adds another aggregate of the same run and keeps nothing of it.
func (a *Aggregate) Merge(o *Aggregate) {
	a.total(o.Total)
	mergeParts(a.Parts, o.Parts)
	for a.shift < o.shift {
		a.coarsen()
	}
	for _, p := range o.Points {
		a.point(p.Last).merge(*p)
	}
}

func (a *Aggregate) total(s Second) {
	a.Total.Merge(s)
	a.Total.Paused, a.Total.Peaks = 0, nil
	for _, row := range a.Total.Arrivals {
		row.InFlight = 0
	}
}

// point returns the point of a second, after the timeline was made to reach it. Runs begin at second
// 0, so that what is before belongs there.
func (a *Aggregate) point(second int64) *Point {
	second = max(second, 0)
	for second>>a.shift >= MaxPoints {
		a.coarsen()
	}
	number := second >> a.shift
	p, ok := a.Points[number]
	if !ok {
		p = &Point{}
		a.Points[number] = p
	}
	return p
}

// coarsen doubles the interval.
func (a *Aggregate) coarsen() {
	finer := a.Points
	a.Points = make(map[int64]*Point, len(finer)/2+1)
	a.shift++
	for number, p := range finer {
		if other, ok := a.Points[number/2]; ok {
			other.merge(*p)
			continue
		}
		a.Points[number/2] = p
	}
}

// EncodeAggregate returns the bytes of an aggregate, compressed; equal aggregates have equal bytes.
func EncodeAggregate(a *Aggregate) []byte { return compress(a.encode()) }

func (a *Aggregate) encode() []byte {
	e := newEncoder()
	e.text(a.Run)
	e.second(a.Total)
	e.parts(a.Parts)
	e.uint(uint64(a.shift))
	e.uint(uint64(len(a.Points)))
	for _, number := range slices.Sorted(maps.Keys(a.Points)) {
		e.int(number)
		e.point(*a.Points[number])
	}
	return e.finish(aggregateMagic)
}

func (e *encoder) point(p Point) {
	e.arrivals(p.Arrivals)
	e.int(p.Last)
	e.int(p.Requests)
	e.int(p.Failed)
	e.health(p.Health)
	e.body = p.Response().AppendBinary(e.body)
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
	shift := d.uint()
	if shift >= maxShift {
		d.fail()
	}
	a.shift = uint(shift)
	list(d, 12, cmp.Compare[int64], func() int64 {
		number := d.int()
		p := d.point()
		if number < 0 || number >= MaxPoints || max(p.Last, 0)>>a.shift != number {
			d.fail()
		}
		a.Points[number] = &p
		return number
	})
	return a, d.end()
}

func (d *decoder) point() Point {
	p := Point{Arrivals: *d.arrivals(), Last: d.int(), Requests: d.total(), Failed: d.total(), Health: d.health()}
	if h := d.hist(); !h.Empty() {
		p.response = packed{}.plus(Value{Hist: h})
	}
	return p
}

// Seconds returns the length of the timeline in run time: the end of the newest second.
func (a *Aggregate) Seconds() time.Duration {
	end := int64(0)
	for _, p := range a.Points {
		end = max(end, p.Last+1)
	}
	return time.Duration(end) * time.Second
}
