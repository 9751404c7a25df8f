package schedule

import (
	"math/bits"
	"time"

	"proofload/internal/scenario"
)

// shardBits is the width of a shard's number.
const shardBits = 14

// Residue returns the shard that the given position of the ring fires, and it is its own inverse:
// the position of a shard is Residue of the shard. Bit reversal makes every range of positions
// evenly spaced among the shards, and with that in time. It panics outside [0, scenario.Shards).
func Residue(position int) int {
	if position < 0 || position >= scenario.Shards {
		panic("schedule: position outside the ring")
	}
	return int(bits.Reverse64(uint64(position)) >> (64 - shardBits))
}

// Range is a range of positions of the ring, [From, To), and the stretch of run time in which their
// arrivals are this worker's: those due in [Since, Until). A zero Until is no end.
type Range struct {
	From, To     int
	Since, Until time.Duration
}

// stretch is what a worker owns of one shard, in phase time: [since, until).
type stretch struct {
	shard        int32
	since, until time.Duration
}

// forever is an until that never comes.
const forever = time.Duration(1<<63 - 1)

// stretches resolves ranges in phase time to the shards' stretches, in the order of the shards. Of
// ranges that overlap, the first stands.
func stretches(ranges []Range) []stretch {
	owner := make([]int32, scenario.Shards)
	n := 0
	for i, r := range ranges {
		for p := max(r.From, 0); p < min(r.To, scenario.Shards); p++ {
			if v := Residue(p); owner[v] == 0 {
				owner[v] = int32(i) + 1
				n++
			}
		}
	}
	out := make([]stretch, 0, n)
	for v, i := range owner {
		if i == 0 {
			continue
		}
		r := ranges[i-1]
		until := r.Until
		if until == 0 {
			until = forever
		}
		out = append(out, stretch{shard: int32(v), since: r.Since, until: until})
	}
	return out
}
