package supervisor

import "proofload/internal/run"

// ownership is a shard map by owner. Maps are values that are replaced and never changed, so that it is made
// once for each and not looked through for every worker.
type ownership struct {
	owners []run.Owner // of the map that it was made of
	by     map[run.Member][]run.Range
	caps   map[int64]map[run.Member]int64 // what permits returns, by cap
}

// of returns what each owner has, and has handed over lately. The caller must not change it.
func (o *ownership) of(m run.ShardMap) map[run.Member][]run.Range {
	same := len(o.owners) == len(m.Owners) && (len(m.Owners) == 0 || &o.owners[0] == &m.Owners[0])
	if !same || o.by == nil {
		o.owners, o.by = m.Owners, make(map[run.Member][]run.Range, len(m.Owners))
		o.caps = map[int64]map[run.Member]int64{}
		for _, owner := range m.Owners {
			o.by[owner.Member] = owner.Ranges
		}
	}
	return o.by
}

// ranges is what Ranges of the map returns.
func (o *ownership) ranges(m run.ShardMap, who run.Member) []run.Range { return o.of(m)[who] }

// permits is what the function of this name returns.
func (o *ownership) permits(m run.ShardMap, limit int64) map[run.Member]int64 {
	o.of(m)
	parts, ok := o.caps[limit]
	if !ok {
		parts = permits(m, limit)
		o.caps[limit] = parts
	}
	return parts
}
