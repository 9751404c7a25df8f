package schedule

import (
	"math"
	"time"

	"proofload/internal/scenario"
)

// uniform yields arrival i where the curve reaches i, on shard i mod Shards.
type uniform struct {
	cursor [scenario.Shards]int64 // per shard, the next K

	curve *Curve
	count int64
	owned []stretch
	first []int64 // per entry of owned, the first K to yield
	block int64   // the K that is being walked through
	at    int     // index in owned of the next candidate
	ended int     // entries of owned that have come to their until, as far as known

	next  Arrival
	found bool
	done  bool // nothing is left
}

func (u *uniform) set(curve *Curve, owned []stretch) {
	u.curve, u.count, u.owned = curve, curve.Count(), owned
	u.first = make([]int64, len(owned))
	u.block, u.at, u.ended, u.found, u.done = math.MaxInt64, 0, 0, false, len(owned) == 0
	since := firstIndex{curve: curve}
	for i, o := range owned {
		u.first[i] = max(u.cursor[o.shard], since.after(o))
		u.block = min(u.block, u.first[i])
	}
}

func (u *uniform) peek() (Arrival, bool) {
	for !u.found && !u.done {
		if u.at == len(u.owned) {
			u.done = u.ended == len(u.owned)
			u.at, u.ended = 0, 0
			u.block++
			continue
		}
		o := u.owned[u.at]
		a := Arrival{Shard: o.shard, K: u.block}
		i := a.Index()
		if i >= u.count {
			u.done = true // the shards are in order: what comes later has a larger index still
			continue
		}
		if u.block < u.first[u.at] {
			u.at++
			continue
		}
		a.At, _ = u.curve.At(float64(i))
		if a.At >= o.until {
			u.at++
			u.ended++
			continue
		}
		u.next, u.found = a, true
	}
	return u.next, u.found
}

func (u *uniform) pass() {
	u.cursor[u.next.Shard] = u.next.K + 1
	u.found = false
	u.at++
}

// firstIndex finds the first arrival that is due at or after an instant, and remembers the answer,
// because the stretches of one worker share a handful of instants.
type firstIndex struct {
	curve *Curve
	known map[time.Duration]int64
}

// after returns the first K of the stretch's shard that is due within or after the stretch.
func (f *firstIndex) after(o stretch) int64 {
	if o.since <= 0 {
		return 0
	}
	i, ok := f.known[o.since]
	if !ok {
		i = f.search(o.since)
		if f.known == nil {
			f.known = map[time.Duration]int64{}
		}
		f.known[o.since] = i
	}
	return max(0, i-int64(o.shard)+scenario.Shards-1) / scenario.Shards
}

// search returns the smallest index that is due at or after since, or the number of arrivals.
func (f *firstIndex) search(since time.Duration) int64 {
	lo, hi := int64(0), f.curve.Count()
	for lo < hi {
		mid := lo + (hi-lo)/2
		if at, ok := f.curve.At(float64(mid)); !ok || at >= since {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
