package supervisor

import (
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
func reassign(m run.ShardMap, want []share, dead []run.Member, now, at time.Duration) run.ShardMap {
	was, r := newRing(m, now), newRing(m, now)
	target := make([]int, len(m.Owners)+len(want)+1)
	for i, p := range cut(want, run.Positions) {
		target[r.index(want[i].member)] = p.to - p.from
	}
	if len(want) == 0 {
		for i, o := range m.Owners {
			if !slices.Contains(dead, o.Member) {
				target[i+1] = run.Positions
			}
		}
	}
	has := make([]int, len(target))
	for p := range r.owner { // beyond its target a member keeps nothing
		if has[r.owner[p]]++; has[r.owner[p]] > target[r.owner[p]] {
			r.owner[p] = 0
		}
	}
	next := 0
	for p := range r.owner {
		if r.owner[p] != 0 {
			continue
		}
		for next < len(want) && has[r.index(want[next].member)] >= target[r.index(want[next].member)] {
			next++
		}
		if next == len(want) {
			break
		}
		i := r.index(want[next].member)
		has[i]++
		r.owner[p], r.since[p] = i, max(at, r.since[p])
	}
	out := r.shardMap(m.Revision + 1)
	r.handOver(&out, was, dead, at)
	return out
}

// shardMap writes the ring down, and what was handed over lately.
func (r *ring) shardMap(revision uint64) run.ShardMap {
	m := run.ShardMap{Revision: revision}
	r.runs(func(from, to int) bool {
		return r.owner[from] == r.owner[to] && r.since[from] == r.since[to]
	}, func(from, to int) {
		if i := r.owner[from]; i > 0 {
			give(&m, r.members[i-1], run.Range{From: from, To: to, Since: r.since[from]})
		}
	})
	for _, o := range r.past {
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
			for _, s := range []run.Range{
				{From: p.From, To: from, Since: p.Since, Until: p.Until},
				{From: from, To: until, Since: to, Until: p.Until},
				{From: until, To: p.To, Since: p.Since, Until: p.Until},
			} {
				if s.From < s.To {
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
		shares = append(shares, share{o.Member, float64(m.Positions(o.Member))})
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
