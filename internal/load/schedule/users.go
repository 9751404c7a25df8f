package schedule

import (
	"math"
	"sort"
	"time"

	"proofload/internal/scenario"
)

// Users is the number of active users of a closed phase as it is executed. It is immutable.
//
// User u is active while u < the profile's value, so that a profile of 2.5 users has three, and user
// 0 is there from the moment at which a ramp leaves zero.
type Users struct{ cuts []cut }

// NewUsers prepares the profile under the factors, which must be in the order of their instants.
// Neither slice may be changed afterwards.
func NewUsers(segments []scenario.Segment, factors []Factor) *Users {
	return &Users{cuts: cuts(segments, factors)}
}

// UserShard returns the shard that user u belongs to.
func UserShard(u int64) int { return int(u % scenario.Shards) }

// Length returns the phase time at which the profile ends.
func (u *Users) Length() time.Duration {
	if len(u.cuts) == 0 {
		return 0
	}
	return u.cuts[len(u.cuts)-1].to
}

// Active returns the number of active users at phase time t.
func (u *Users) Active(t time.Duration) int64 {
	if i := u.find(t); i < len(u.cuts) && t >= u.cuts[i].from {
		return u.cuts[i].active(t)
	}
	return 0
}

// find returns the first stretch that ends after phase time t.
func (u *Users) find(t time.Duration) int {
	return sort.Search(len(u.cuts), func(i int) bool { return u.cuts[i].to > t })
}

// Most returns the largest number of users that are active at once in [from, to) of phase time.
func (u *Users) Most(from, to time.Duration) int64 {
	most := int64(0)
	for i := u.find(from); i < len(u.cuts) && u.cuts[i].from < to; i++ {
		c := &u.cuts[i]
		if first, last := max(c.from, from), min(c.to, to)-1; first <= last {
			most = max(most, c.active(first), c.active(last))
		}
	}
	return most
}

// Next returns the first instant after t at which the number of active users is another than at t;
// false when it stays the same.
func (u *Users) Next(t time.Duration) (time.Duration, bool) {
	n := u.Active(t)
	for i := u.find(t + 1); i < len(u.cuts); i++ {
		c := &u.cuts[i]
		from := max(t+1, c.from)
		if c.active(from) != n {
			return from, true
		}
		if c.active(c.to-1) != n {
			return c.change(from, n), true
		}
	}
	return u.Length(), n != 0 && t < u.Length()
}

// change returns the first instant after from at which the number is not n. It is n at from and
// another at the end of the stretch, and moves in one direction.
func (c *cut) change(from time.Duration, n int64) time.Duration {
	lo, hi := from, c.to-1
	for lo+1 < hi {
		mid := lo + (hi-lo)/2
		if c.active(mid) == n {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// active returns the number of active users at t, which lies within the stretch.
func (c *cut) active(t time.Duration) int64 {
	s := c.seg
	share := seconds(t-s.Start) / seconds(s.For)
	height := float64(s.From + float64((s.To-s.From)*share))
	if s.Arc != nil {
		height = s.Height(t)
	}
	value := float64(c.factor * height)
	// 10 % of 30 users is a hair more than 3 in binary; that hair is no user.
	return int64(math.Ceil(value - float64(1e-9*max(1, value))))
}
