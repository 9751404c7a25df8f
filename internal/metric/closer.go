package metric

import (
	"maps"
	"slices"
)

// Closer decides when a run-time second is whole: when every owner of shards has committed it, or
// when two commits have followed the one with its first part. A closed second is published once, in
// order of the index; what comes later is an amendment. It is not safe for concurrent use.
type Closer struct {
	next    int64             // lowest second that is not closed
	commits int64             // number of commits so far
	first   map[int64]int64   // commit with a second's first part
	through map[Source]int64  // newest second that each source has committed
	open    map[int64]*Second // committed parts of seconds that are not closed
	amended int64
}

// NewCloser returns a closer whose first second is next.
func NewCloser(next int64) *Closer {
	return &Closer{next: next, first: map[int64]int64{}, through: map[Source]int64{}, open: map[int64]*Second{}}
}

// Commit takes a committed segment and returns the seconds that it closes, in order. Owners are the
// sources that own shards now. The segment's seconds become the closer's.
func (c *Closer) Commit(g *Segment, owners []Source) []Second {
	c.commits++
	for source, p := range g.Parts {
		c.through[source] = max(c.through[source], p.LastSecond)
	}
	for index, s := range g.Seconds {
		if index < c.next {
			c.amended++
			continue
		}
		if mine, ok := c.open[index]; ok {
			mine.Merge(*s)
			continue
		}
		c.open[index], c.first[index] = s, c.commits
	}
	return c.close(owners)
}

func (c *Closer) close(owners []Source) []Second {
	var out []Second
	for _, index := range slices.Sorted(maps.Keys(c.open)) {
		if !c.whole(index, owners) && c.commits-c.first[index] < 2 {
			break
		}
		out = append(out, c.take(index))
	}
	return out
}

func (c *Closer) take(index int64) Second {
	s := c.open[index]
	delete(c.open, index)
	delete(c.first, index)
	c.next = index + 1
	return *s
}

// whole reports whether every owner has committed the second or a later one.
func (c *Closer) whole(index int64, owners []Source) bool {
	for _, o := range owners {
		through, heard := c.through[o]
		if !heard || through < index {
			return false
		}
	}
	return len(owners) > 0
}

// Through returns the newest closed second; -1 when none is and counting began at 0.
func (c *Closer) Through() int64 { return c.next - 1 }

// Amendments returns how many parts came for seconds that were closed.
func (c *Closer) Amendments() int64 { return c.amended }
