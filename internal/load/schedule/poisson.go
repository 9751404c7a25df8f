package schedule

import (
	"time"

	"proofload/internal/scenario"
)

// poisson lets every shard draw its own unit exponentials; the k-th arrival of a shard is due where
// the curve reaches Shards times their sum. In that measure the arrivals do not depend on the
// curve, so that the heap survives a change of it in order.
type poisson struct {
	draws  [scenario.Shards]Draw
	cursor [scenario.Shards]level // per shard, the next arrival to yield, wherever it is due
	ready  [scenario.Shards]bool  // cursor has been drawn

	curve *Curve
	until [scenario.Shards]time.Duration
	heap  []level // the next arrivals of the shards owned, the earliest first

	next  Arrival
	found bool
}

// level is where in the measure of the curve one arrival stands.
type level struct {
	x     float64
	k     int64
	shard int32
}

func newPoisson(seed uint64, phase string) *poisson {
	p := &poisson{}
	root := NewDraw(seed, phase).Named("arrivals")
	for v := range p.draws {
		p.draws[v] = root.Child(uint64(v))
	}
	return p
}

// after returns the arrival that follows l on its shard.
func (p *poisson) after(l level) level {
	l.k++
	l.x = float64(l.x + float64(p.draws[l.shard].Exponential(uint64(l.k))*scenario.Shards))
	return l
}

// each calls f for every arrival of the plan whose integral stands below total, shard by shard.
func (p *poisson) each(total float64, f func(level)) {
	for v := range int32(scenario.Shards) {
		for l := p.after(level{k: -1, shard: v}); l.x < total; l = p.after(l) {
			f(l)
		}
	}
}

func (p *poisson) set(curve *Curve, owned []stretch) {
	p.curve, p.found = curve, false
	p.heap = p.heap[:0]
	total := curve.Total()
	for _, o := range owned {
		v := o.shard
		if !p.ready[v] {
			p.cursor[v], p.ready[v] = p.after(level{k: -1, shard: v}), true
		}
		p.until[v] = o.until
		l := p.skip(p.cursor[v], o.since)
		if l.x < total {
			p.heap = append(p.heap, l)
		}
	}
	for i := len(p.heap)/2 - 1; i >= 0; i-- {
		p.sink(i)
	}
}

// skip goes to the first arrival from l on that is due at or after since.
func (p *poisson) skip(l level, since time.Duration) level {
	if since <= 0 {
		return l
	}
	low := p.curve.Integral(since)
	for l.x < low {
		l = p.after(l)
	}
	for at, ok := p.curve.At(l.x); ok && at < since; at, ok = p.curve.At(l.x) {
		l = p.after(l)
	}
	return l
}

func (p *poisson) peek() (Arrival, bool) {
	for !p.found && len(p.heap) > 0 {
		top := p.heap[0]
		at, ok := p.curve.At(top.x)
		if !ok || at >= p.until[top.shard] {
			p.drop()
			continue
		}
		p.next, p.found = Arrival{Shard: top.shard, K: top.k, At: at}, true
	}
	return p.next, p.found
}

func (p *poisson) pass() {
	p.found = false
	l := p.after(p.heap[0])
	p.cursor[l.shard] = l
	p.heap[0] = l
	p.sink(0)
}

// drop removes the earliest entry.
func (p *poisson) drop() {
	last := len(p.heap) - 1
	p.heap[0] = p.heap[last]
	p.heap = p.heap[:last]
	p.sink(0)
}

// sink restores the order below i. Entries that stand at the same point go by shard, so that the
// order is the same on every machine.
func (p *poisson) sink(i int) {
	h := p.heap
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if r := c + 1; r < len(h) && h[r].less(h[c]) {
			c = r
		}
		if !h[c].less(h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

func (l level) less(o level) bool {
	if l.x != o.x {
		return l.x < o.x
	}
	return l.shard < o.shard
}
