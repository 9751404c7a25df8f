package hist

import "sync"

// pages holds the counters of one sign, one page per power of two, each made when first needed.
type pages [octaves]*page

type page [perOctave]uint64

// free are empty pages. A coordinator decodes a thousand batches a second, each of which is merged and
// forgotten: what they take is used again.
var free = sync.Pool{New: func() any { return &page{} }}

func newPage() *page { return free.Get().(*page) }

// release gives the pages back.
func (p *pages) release() {
	for i, pg := range p {
		if pg != nil {
			*pg = page{}
			free.Put(pg)
			p[i] = nil
		}
	}
}

// least is the lowest index of a bucket.
const least = leastOctave * perOctave

func (p *pages) add(i int, n uint64) {
	at := i - least
	o := at / perOctave
	if p[o] == nil {
		p[o] = newPage()
	}
	p[o][at%perOctave] += n
}

func (p *pages) merge(o *pages) {
	for i, from := range o {
		if from == nil {
			continue
		}
		if p[i] == nil {
			p[i] = newPage()
		}
		to := p[i]
		for k, n := range from {
			to[k] += n
		}
	}
}

// clear empties the pages. It gives those back that were empty already: what was used lately is kept, and
// values that came once, hours ago, do not hold memory for ever in each of a thousand series.
func (p *pages) clear() {
	for i, pg := range p {
		switch {
		case pg == nil:
		case *pg == page{}:
			free.Put(pg)
			p[i] = nil
		default:
			*pg = page{}
		}
	}
}

// ascending yields the buckets that hold anything, lowest index first.
func (p *pages) ascending(yield func(i int, n uint64) bool) {
	for o, pg := range p {
		if pg == nil {
			continue
		}
		for k, n := range pg {
			if n != 0 && !yield(o*perOctave+k+least, n) {
				return
			}
		}
	}
}

// descending yields the buckets that hold anything, highest index first.
func (p *pages) descending(yield func(i int, n uint64) bool) {
	for o := octaves - 1; o >= 0; o-- {
		if p[o] == nil {
			continue
		}
		for k := perOctave - 1; k >= 0; k-- {
			if n := p[o][k]; n != 0 && !yield(o*perOctave+k+least, n) {
				return
			}
		}
	}
}

// total returns how many values all buckets hold.
func (p *pages) total() uint64 {
	var n uint64
	for _, in := range p.ascending {
		n += in
	}
	return n
}

// extent returns the lowest and the highest index of a bucket that holds anything.
func (p *pages) extent() (lowest, highest int, found bool) {
	for i := range p.ascending {
		lowest, found = i, true
		break
	}
	for i := range p.descending {
		highest = i
		break
	}
	return lowest, highest, found
}
