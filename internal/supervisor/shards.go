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

// move takes the positions of lost lives from the map and, if there are heirs, gives them to those
// from run time at on. It returns the new map with the next revision.
func move(m run.ShardMap, lost []run.Member, heirs []share, at time.Duration) run.ShardMap {
	next := run.ShardMap{Revision: m.Revision + 1}
	var freed []run.Range
	for _, o := range m.Owners {
		if slices.Contains(lost, o.Member) {
			freed = append(freed, o.Ranges...)
			continue
		}
		o.Ranges = slices.Clone(o.Ranges)
		next.Owners = append(next.Owners, o)
	}
	if len(heirs) == 0 {
		return next
	}
	slices.SortFunc(freed, func(a, b run.Range) int { return cmp.Compare(a.From, b.From) })
	for _, f := range freed {
		for i, p := range cut(heirs, f.To-f.From) {
			if p.to > p.from {
				give(&next, heirs[i].member, run.Range{From: f.From + p.from, To: f.From + p.to, Since: max(at, f.Since)})
			}
		}
	}
	return next
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

// permits divides a cap in proportion to the positions owned; every owner gets at least its rounded
// share and the sum is the cap.
func permits(m run.ShardMap, limit int64) map[run.Member]int64 {
	shares := make([]share, 0, len(m.Owners))
	for _, o := range m.Owners {
		n := 0
		for _, r := range o.Ranges {
			n += r.To - r.From
		}
		shares = append(shares, share{o.Member, float64(n)})
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
