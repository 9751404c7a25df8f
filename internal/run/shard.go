package run

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Positions is the number of positions of the shard ring, the same as scenario.Shards; it stands
// here because packages of the same level do not import each other, and a test compares the two.
const Positions = 16384

// ShardMap says who owns which positions of the shard ring. Positions that nobody owns are not fired.
type ShardMap struct {
	Revision uint64  `json:"revision"` // grows by one with every change
	Owners   []Owner `json:"owners,omitempty"`
}

// Owner is one life of a worker with what it owns.
type Owner struct {
	Member
	Ranges []Range `json:"ranges"`
}

// Range is the positions [From, To), owned from run time Since on, and until run time Until if that is
// not 0: then they have been handed over to another owner, which has them from there on.
type Range struct {
	From  int           `json:"from"`
	To    int           `json:"to"`
	Since time.Duration `json:"since"`
	Until time.Duration `json:"until,omitempty"`
}

// MarshalJSON writes a range as [from, to], [from, to, since] or [from, to, since, until]: a map of a large fleet
// has thousands of them, and the record that holds it is written with every commit.
func (r Range) MarshalJSON() ([]byte, error) {
	b := strconv.AppendInt([]byte{'['}, int64(r.From), 10)
	b = strconv.AppendInt(append(b, ','), int64(r.To), 10)
	if r.Since != 0 || r.Until != 0 {
		b = strconv.AppendInt(append(b, ','), int64(r.Since), 10)
	}
	if r.Until != 0 {
		b = strconv.AppendInt(append(b, ','), int64(r.Until), 10)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Range) UnmarshalJSON(data []byte) error {
	var n []int64
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("range of shards: %w", err)
	}
	if len(n) < 2 || len(n) > 4 {
		return fmt.Errorf("range of shards: %d numbers, want 2 to 4", len(n))
	}
	n = append(n, 0, 0)
	*r = Range{From: int(n[0]), To: int(n[1]), Since: time.Duration(n[2]), Until: time.Duration(n[3])}
	return nil
}

// Current reports whether the range is owned without an end.
func (r Range) Current() bool { return r.Until == 0 }

// overlaps reports whether two ranges have a position and an instant in common.
func (r Range) overlaps(o Range) bool {
	return r.From < o.To && o.From < r.To && (r.Current() || o.Since < r.Until) && (o.Current() || r.Since < o.Until)
}

// Validate reports ranges that are empty, beyond the ring or owned twice at a time, and owners named twice.
func (m ShardMap) Validate() error {
	seen := map[Member]bool{}
	var all []Range
	for _, o := range m.Owners {
		if seen[o.Member] {
			return fmt.Errorf("shard map %d: worker %s/%d is named twice", m.Revision, o.Worker, o.Incarnation)
		}
		seen[o.Member] = true
		all = append(all, o.Ranges...)
	}
	slices.SortFunc(all, func(a, b Range) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	var open []Range // that reach to where the next one begins
	for _, g := range all {
		if g.From < 0 || g.To > Positions || g.From >= g.To || g.Until < 0 {
			return fmt.Errorf("shard map %d: range [%d,%d) is not within [0,%d)", m.Revision, g.From, g.To, Positions)
		}
		open = slices.DeleteFunc(open, func(o Range) bool { return o.To <= g.From })
		if slices.ContainsFunc(open, g.overlaps) {
			return fmt.Errorf("shard map %d: position %d is owned twice", m.Revision, g.From)
		}
		open = append(open, g)
	}
	return nil
}

// Covered is the number of positions that have an owner whose ownership has no end.
func (m ShardMap) Covered() int {
	n := 0
	for _, o := range m.Owners {
		n += o.Positions()
	}
	return n
}

// Positions returns how many positions a life of a worker owns without an end.
func (m ShardMap) Positions(who Member) int { return Owner{Ranges: m.Ranges(who)}.Positions() }

// Positions returns how many positions it owns without an end.
func (o Owner) Positions() int {
	n := 0
	for _, g := range o.Ranges {
		if g.Current() {
			n += g.To - g.From
		}
	}
	return n
}

// Ranges returns what a life of a worker owns, and what it has handed over lately.
func (m ShardMap) Ranges(who Member) []Range {
	for _, o := range m.Owners {
		if o.Member == who {
			return o.Ranges
		}
	}
	return nil
}

// clone returns a copy that shares nothing.
func (m ShardMap) clone() ShardMap {
	m.Owners = slices.Clone(m.Owners)
	for i := range m.Owners {
		m.Owners[i].Ranges = slices.Clone(m.Owners[i].Ranges)
	}
	return m
}

// owed returns members with every owner of m added.
func (m ShardMap) owed(members []Member) []Member {
	members = slices.Clone(members)
	for _, o := range m.Owners {
		if !slices.Contains(members, o.Member) {
			members = append(members, o.Member)
		}
	}
	return members
}
