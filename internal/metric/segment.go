package metric

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Segment is what is committed at once: seconds merged over workers, with the counters that tell
// what came from whom.
type Segment struct {
	Run     string
	Seconds map[int64]*Second
	Parts   map[Source]*Part
}

// Part is what one source contributed to a segment.
type Part struct {
	FirstSeq, LastSeq uint64
	From, To          time.Duration // interval of the schedule that it covers
	ShardRevision     uint64        // of the newest batch
	LastSecond        int64         // index of the newest second
	Planned, Sent     int64
	Succeeded, Failed int64
	Requests          int64
	Lost              int64            // seconds that the worker judged invalid
	Unhealthy         map[int64]Health // the seconds that it did not judge valid, by index; nil if none
}

// NewSegment returns an empty segment.
func NewSegment(run string) *Segment {
	return &Segment{Run: run, Seconds: map[int64]*Second{}, Parts: map[Source]*Part{}}
}

// Empty reports whether nothing was added.
func (g *Segment) Empty() bool { return len(g.Parts) == 0 }

// Add merges a batch that a Ledger has accepted. A worker label is put on the series of a metric for
// which keepWorker says so; nil keeps none. It keeps nothing of b.
func (g *Segment) Add(b Batch, keepWorker func(metric string) bool) {
	s := g.second(b.Second.Index)
	rest := b.Second
	if keepWorker != nil {
		rest.Series = nil
		for key, v := range b.Second.Series {
			if keepWorker(key.Metric) {
				key.Labels = key.Labels.With("worker", b.Source.Worker)
			}
			s.Add(key, v)
		}
	}
	s.Merge(rest)
	g.part(b)
}

func (g *Segment) second(index int64) *Second {
	s, ok := g.Seconds[index]
	if !ok {
		fresh := NewSecond(index)
		s = &fresh
		g.Seconds[index] = s
	}
	return s
}

func (g *Segment) part(b Batch) {
	p, ok := g.Parts[b.Source]
	if !ok {
		p = &Part{FirstSeq: b.Seq, From: b.From, LastSecond: b.Second.Index}
		g.Parts[b.Source] = p
	}
	p.LastSeq, p.ShardRevision = b.Seq, b.ShardRevision
	if b.To > b.From { // a batch that covers nothing does not move the end of what is covered
		p.To = max(p.To, b.To)
	}
	p.LastSecond = max(p.LastSecond, b.Second.Index)
	for _, a := range b.Second.Arrivals {
		p.Planned += a.Planned
		p.Sent += a.Sent
		p.Succeeded += a.Succeeded
		p.Failed += a.Failed
	}
	ended, _ := b.Second.Requests()
	p.Requests += ended
	if b.Second.Health == HealthInvalid {
		p.Lost++
	}
	if b.Second.Health != HealthValid {
		p.unhealthy(b.Second.Index, b.Second.Health)
	}
}

func (p *Part) unhealthy(index int64, h Health) {
	if p.Unhealthy == nil {
		p.Unhealthy = map[int64]Health{}
	}
	p.Unhealthy[index] = max(p.Unhealthy[index], h)
}

// Clone returns a copy that shares nothing.
func (p *Part) Clone() *Part {
	c := *p
	c.Unhealthy = maps.Clone(p.Unhealthy)
	return &c
}

// Merge adds another segment of the same run. It keeps nothing of o.
func (g *Segment) Merge(o *Segment) {
	for index, s := range o.Seconds {
		g.second(index).Merge(*s)
	}
	mergeParts(g.Parts, o.Parts)
}

func mergeParts(into, from map[Source]*Part) {
	for source, p := range from {
		if mine, ok := into[source]; ok {
			mine.merge(*p)
			continue
		}
		into[source] = p.Clone()
	}
}

func (p *Part) merge(o Part) {
	p.FirstSeq, p.LastSeq = min(p.FirstSeq, o.FirstSeq), max(p.LastSeq, o.LastSeq)
	p.From, p.To = min(p.From, o.From), max(p.To, o.To)
	p.ShardRevision, p.LastSecond = max(p.ShardRevision, o.ShardRevision), max(p.LastSecond, o.LastSecond)
	p.Planned += o.Planned
	p.Sent += o.Sent
	p.Succeeded += o.Succeeded
	p.Failed += o.Failed
	p.Requests += o.Requests
	p.Lost += o.Lost
	for index, h := range o.Unhealthy {
		p.unhealthy(index, h)
	}
}

// Span returns the seconds that the segment touches, [from, to); 0, 0 of an empty one.
func (g *Segment) Span() (from, to int64) {
	first := true
	for index := range g.Seconds {
		if first {
			from, to, first = index, index+1, false
		}
		from, to = min(from, index), max(to, index+1)
	}
	return from, to
}

// Compare orders sources by worker, then incarnation.
func (s Source) Compare(o Source) int {
	return cmp.Or(strings.Compare(s.Worker, o.Worker), cmp.Compare(s.Incarnation, o.Incarnation))
}

// EncodeSegment returns the bytes of a segment, compressed; equal segments have equal bytes.
func EncodeSegment(g *Segment) []byte { return compress(g.encode()) }

func (g *Segment) encode() []byte {
	e := newEncoder()
	for _, s := range g.Seconds {
		e.rich = e.rich || len(s.Slowest) > 0
	}
	e.text(g.Run)
	e.parts(g.Parts)
	e.uint(uint64(len(g.Seconds)))
	for _, index := range slices.Sorted(maps.Keys(g.Seconds)) {
		e.second(*g.Seconds[index])
	}
	return e.finish(segmentMagic)
}

func (e *encoder) parts(all map[Source]*Part) {
	e.uint(uint64(len(all)))
	for _, source := range slices.SortedFunc(maps.Keys(all), Source.Compare) {
		p := all[source]
		e.text(source.Worker)
		e.int(source.Incarnation)
		e.uint(p.FirstSeq)
		e.uint(p.LastSeq)
		e.uint(p.ShardRevision)
		for _, v := range [...]int64{int64(p.From), int64(p.To), p.LastSecond, p.Planned, p.Sent, p.Succeeded, p.Failed, p.Requests, p.Lost} {
			e.int(v)
		}
		e.uint(uint64(len(p.Unhealthy)))
		for _, index := range slices.Sorted(maps.Keys(p.Unhealthy)) {
			e.int(index)
			e.health(p.Unhealthy[index])
		}
	}
}

// DecodeSegment reads what EncodeSegment wrote; see DecodeBatch. It refuses what would unpack to more
// than MaxUnpacked.
func DecodeSegment(data []byte) (*Segment, error) {
	raw, err := decompress(data)
	if err != nil {
		return nil, fmt.Errorf("decode segment: %w", err)
	}
	g, err := decodeSegment(raw)
	if err != nil {
		return nil, fmt.Errorf("decode segment: %w", err)
	}
	return g, nil
}

func decodeSegment(raw []byte) (*Segment, error) {
	d, err := newDecoder(segmentMagic, raw)
	if err != nil {
		return nil, err
	}
	g := NewSegment(d.text())
	d.parts(g.Parts)
	list(d, 7, cmp.Compare[int64], func() int64 {
		s := d.second()
		g.Seconds[s.Index] = &s
		return s.Index
	})
	return g, d.end()
}

func (d *decoder) parts(into map[Source]*Part) {
	list(d, 15, Source.Compare, func() Source {
		source := Source{Worker: d.text(), Incarnation: d.int()}
		p := &Part{FirstSeq: d.uint(), LastSeq: d.uint(), ShardRevision: d.uint()}
		p.From, p.To, p.LastSecond = time.Duration(d.int()), time.Duration(d.int()), d.int()
		p.Planned, p.Sent, p.Succeeded, p.Failed = d.total(), d.total(), d.total(), d.total()
		p.Requests, p.Lost = d.total(), d.total()
		list(d, 2, cmp.Compare[int64], func() int64 {
			index := d.int()
			p.unhealthy(index, d.health())
			return index
		})
		into[source] = p
		return source
	})
}
