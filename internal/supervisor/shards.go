package supervisor

import (
	"cmp"
	"slices"
	"time"

	"proofload/internal/run"
)

// share is what one life of a worker counts for when positions are divided.
type share struct {
	member   run.Member
	capacity float64
}

// divide gives every share a range of positions in proportion to its capacity, all of the ring
// together. The bounds are the rounded cumulative sums, so that nothing is lost or doubled.
func divide(shares []share) []run.Owner {
	owners := make([]run.Owner, 0, len(shares))
	for i, piece := range cut(shares, run.Positions) {
		if piece.to > piece.from {
			owners = append(owners, run.Owner{Member: shares[i].member, Ranges: []run.Range{{From: piece.from, To: piece.to}}})
		}
	}
	return owners
}

type piece struct{ from, to int }

// cut divides n units in proportion to the capacities; equally if nobody has any.
func cut(shares []share, n int) []piece {
	total := 0.0
	for _, s := range shares {
		total += s.capacity
	}
	if total <= 0 {
		shares, total = make([]share, len(shares)), float64(len(shares))
		for i := range shares {
			shares[i].capacity = 1
		}
	}
	out := make([]piece, len(shares))
	sum, from := 0.0, 0
	for i, s := range shares {
		sum += s.capacity
		to := int(float64(n)*sum/total + 0.5)
		if i == len(shares)-1 {
			to = n
		}
		out[i] = piece{from, to}
		from = to
	}
	return out
}

// remembered is how long after a hand-over the map says whose the positions were: longer than any
// assignment is on its way, and any arrival late.
const remembered = 2 * time.Minute

// ring is the shard map by positions.
type ring struct {
	members []run.Member
	owner   [run.Positions]int32 // 1 + index of the member; 0: nobody
	since   [run.Positions]time.Duration
	past    []run.Owner // what was handed over lately
}

func newRing(m run.ShardMap, now time.Duration) *ring {
	r := &ring{}
	for i, o := range m.Owners {
		r.members = append(r.members, o.Member)
		var past []run.Range
		for _, g := range o.Ranges {
			if !g.Current() {
				if g.Until > now-remembered {
					past = append(past, g)
				}
				continue
			}
			for p := g.From; p < g.To; p++ {
				r.owner[p], r.since[p] = int32(i)+1, g.Since
			}
		}
		if len(past) > 0 {
			r.past = append(r.past, run.Owner{Member: o.Member, Ranges: past})
		}
	}
	return r
}

// index returns the number of a member, which it gets if it has none.
func (r *ring) index(m run.Member) int32 {
	i := slices.Index(r.members, m)
	if i < 0 {
		i = len(r.members)
		r.members = append(r.members, m)
	}
	return int32(i) + 1
}

// reassign divides the ring among the members of want in proportion to their capacities, and moves no more
// positions than that takes: they are the new owners' from run time at on. Members that are not wanted and
// not dead hand over what they have, up to at. With nobody in want, what the dead had is nobody's.
func reassign(m run.ShardMap, want []share, dead []run.Member, at time.Duration) run.ShardMap {
	was, r := newRing(m, at), newRing(m, at)
	quotas := r.quotas(want, dead)
	r.shorten(quotas)
	r.fill(quotas, at)
	out := r.shardMap(m.Revision+1, dead)
	r.handOver(&out, was, dead, at)
	return out
}

// quota is what a member has, and what it should.
type quota struct {
	index       int32
	has, target int
}

// slack is by how many positions a member may have less than its part before it gets more: without it each
// change would move a position or two of everybody, and the map would fall into pieces.
func (q quota) slack() int { return max(1, q.target/20) }

// need is how many positions a member is to get.
func (q quota) need() int {
	if n := q.target - q.has; n > q.slack() {
		return n
	}
	return 0
}

// quotas frees what those have who are not wanted, and says what the others are to have.
func (r *ring) quotas(want []share, dead []run.Member) []*quota {
	var out []*quota
	by := map[int32]*quota{}
	for i, p := range cut(want, run.Positions) {
		q := &quota{index: r.index(want[i].member), target: p.to - p.from}
		out, by[q.index] = append(out, q), q
	}
	for p, i := range r.owner {
		switch q := by[i]; {
		case q != nil:
			q.has++
		case i > 0 && (len(want) > 0 || slices.Contains(dead, r.members[i-1])):
			r.owner[p] = 0
		}
	}
	return out
}

// shorten takes what is needed beyond what is free from those who have the most too much.
func (r *ring) shorten(quotas []*quota) {
	missing := 0
	for _, q := range quotas {
		missing += q.need()
	}
	for _, i := range r.owner {
		if i == 0 {
			missing--
		}
	}
	rich := slices.Clone(quotas)
	slices.SortStableFunc(rich, func(a, b *quota) int { return (b.has - b.target) - (a.has - a.target) })
	take := map[int32]int{}
	for _, q := range rich {
		n := min(q.has-q.target, missing)
		if n <= 0 {
			break
		}
		take[q.index], q.has, missing = n, q.has-n, missing-n
	}
	for p := run.Positions - 1; p >= 0; p-- { // from the end of what it has, in one piece if it is one
		if i := r.owner[p]; take[i] > 0 {
			take[i]--
			r.owner[p] = 0
		}
	}
}

// fill gives what is free to those who need it, the longest stretches first and in as few pieces as possible,
// and what is left to those who have the least of their part.
func (r *ring) fill(quotas []*quota, at time.Duration) {
	if len(quotas) == 0 {
		return
	}
	free := r.free()
	for len(free) > 0 {
		g := free[0]
		free = free[1:]
		q := slices.MaxFunc(quotas, func(a, b *quota) int {
			return cmp.Or(cmp.Compare(a.need(), b.need()), cmp.Compare(a.target-a.has, b.target-b.has))
		})
		to := g.to
		if n := q.target - q.has; n > 0 && g.to-g.from > n+max(1, q.target/100) {
			to = g.from + n
			free = append(free, piece{to, g.to})
		}
		for p := g.from; p < to; p++ {
			r.owner[p], r.since[p] = q.index, max(at, r.since[p])
		}
		q.has += to - g.from
	}
}

// free returns the stretches that nobody owns, the longest first.
func (r *ring) free() []piece {
	var out []piece
	r.runs(func(a, b int) bool { return (r.owner[a] == 0) == (r.owner[b] == 0) }, func(from, to int) {
		if r.owner[from] == 0 {
			out = append(out, piece{from, to})
		}
	})
	slices.SortStableFunc(out, func(a, b piece) int { return (b.to - b.from) - (a.to - a.from) })
	return out
}

// shardMap writes the ring down, and what was handed over lately.
func (r *ring) shardMap(revision uint64, dead []run.Member) run.ShardMap {
	m := run.ShardMap{Revision: revision}
	r.runs(func(from, to int) bool {
		return r.owner[from] == r.owner[to] && r.since[from] == r.since[to]
	}, func(from, to int) {
		if i := r.owner[from]; i > 0 {
			give(&m, r.members[i-1], run.Range{From: from, To: to, Since: r.since[from]})
		}
	})
	for _, o := range r.past {
		if slices.Contains(dead, o.Member) {
			continue // it executes nothing any more, and its losses say what it had
		}
		for _, g := range o.Ranges {
			r.remember(&m, o.Member, g)
		}
	}
	return m
}

// runs calls each with the longest stretches of positions that are alike.
func (r *ring) runs(alike func(a, b int) bool, each func(from, to int)) {
	from := 0
	for p := 1; p <= run.Positions; p++ {
		if p == run.Positions || !alike(from, p) {
			each(from, p)
			from = p
		}
	}
}

// handOver notes what living members gave away.
func (r *ring) handOver(m *run.ShardMap, was *ring, dead []run.Member, at time.Duration) {
	r.runs(func(a, b int) bool {
		return was.owner[a] == was.owner[b] && was.since[a] == was.since[b] && (r.owner[a] == was.owner[a]) == (r.owner[b] == was.owner[b])
	}, func(from, to int) {
		i := was.owner[from]
		if i == 0 || r.owner[from] == i || was.since[from] >= at || slices.Contains(dead, r.members[i-1]) {
			return
		}
		r.remember(m, r.members[i-1], run.Range{From: from, To: to, Since: was.since[from], Until: at})
	})
}

// remember adds what a member handed over, but for positions that it has again: an engine knows one stretch
// of time for each.
func (r *ring) remember(m *run.ShardMap, who run.Member, g run.Range) {
	for _, mine := range m.Ranges(who) {
		if mine.From < g.To && g.From < mine.To {
			return
		}
	}
	give(m, who, g)
}

func give(m *run.ShardMap, to run.Member, r run.Range) {
	for i := range m.Owners {
		if m.Owners[i].Member == to {
			m.Owners[i].Ranges = append(m.Owners[i].Ranges, r)
			return
		}
	}
	m.Owners = append(m.Owners, run.Owner{Member: to, Ranges: []run.Range{r}})
}

// shift moves what a member hands over at one time to another one, for it and for those who take it over.
func shift(m run.ShardMap, who run.Member, from, to time.Duration) run.ShardMap {
	next := run.ShardMap{Revision: m.Revision + 1}
	var given []run.Range
	for _, g := range m.Ranges(who) {
		if g.Until == from {
			given = append(given, g)
		}
	}
	for _, o := range m.Owners {
		ranges := o.Ranges
		o.Ranges = nil
		for _, g := range ranges {
			switch {
			case o.Member == who && g.Until == from:
				g.Until = to
				o.Ranges = append(o.Ranges, g)
			case g.Since == from:
				o.Ranges = append(o.Ranges, delay(g, given, to)...)
			default:
				o.Ranges = append(o.Ranges, g)
			}
		}
		next.Owners = append(next.Owners, o)
	}
	return next
}

// bereave takes what a dead member was handing over at a time off it: its losses say what it had. Those who were
// to take it over have it from another time on.
func bereave(m run.ShardMap, who run.Member, from, to time.Duration) run.ShardMap {
	next := shift(m, who, from, to)
	for i, o := range next.Owners {
		if o.Member == who {
			next.Owners[i].Ranges = slices.DeleteFunc(slices.Clone(o.Ranges), func(g run.Range) bool { return g.Until == to })
		}
	}
	return next
}

// withoutPast is a map with what is owned now alone.
func withoutPast(m run.ShardMap) run.ShardMap {
	next := run.ShardMap{Revision: m.Revision}
	for _, o := range m.Owners {
		o.Ranges = slices.DeleteFunc(slices.Clone(o.Ranges), func(g run.Range) bool { return !g.Current() })
		if len(o.Ranges) > 0 {
			next.Owners = append(next.Owners, o)
		}
	}
	return next
}

// delay splits a range where it begins to be owned later, which is in the given positions.
func delay(g run.Range, given []run.Range, to time.Duration) []run.Range {
	out := []run.Range{g}
	for _, d := range given {
		var split []run.Range
		for _, p := range out {
			from, until := max(p.From, d.From), min(p.To, d.To)
			if from >= until || p.Since >= to {
				split = append(split, p)
				continue
			}
			if !p.Current() && to >= p.Until {
				to = p.Until // by then it has given it on itself
			}
			for _, s := range []run.Range{
				{From: p.From, To: from, Since: p.Since, Until: p.Until},
				{From: from, To: until, Since: to, Until: p.Until},
				{From: until, To: p.To, Since: p.Since, Until: p.Until},
			} {
				if s.From < s.To && (s.Current() || s.Since < s.Until) {
					split = append(split, s)
				}
			}
		}
		out = split
	}
	return out
}

// permits divides a cap in proportion to the positions owned; every owner gets at least its rounded
// share and the sum is the cap.
func permits(m run.ShardMap, limit int64) map[run.Member]int64 {
	shares := make([]share, 0, len(m.Owners))
	for _, o := range m.Owners {
		shares = append(shares, share{o.Member, float64(o.Positions())})
	}
	out := make(map[run.Member]int64, len(shares))
	if len(shares) == 0 {
		return out
	}
	for i, p := range cut(shares, int(limit)) {
		out[shares[i].member] = int64(p.to - p.from)
	}
	return out
}
