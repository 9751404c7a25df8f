package run

import "time"

// SlewPPM is the most by which a run clock runs faster or slower than the machine's, in parts per
// million, while it takes in a correction.
const SlewPPM = 500

// slewed is the reciprocal of SlewPPM: one nanosecond of correction takes so many to take in.
const slewed = 1_000_000 / SlewPPM

// Clock is the arithmetic of run time on one machine: nanoseconds since T0, tied to the readings of
// a local monotonic clock (CLOCK_BOOTTIME; readings are arguments, in nanoseconds). It never steps
// and never goes back: a correction is taken in by slewing. It is a plain value, fit to be stored
// together with the boot id that its readings belong to; copies are independent.
type Clock struct {
	Reading int64         `json:"reading"` // of the local clock, at which run time was Run
	Run     time.Duration `json:"run"`
	Pending time.Duration `json:"pending,omitempty"` // correction still to be taken in, at Reading
}

// Tie returns a clock on which T0 is at the local reading t0.
func Tie(t0 int64) Clock { return Clock{Reading: t0} }

// At returns the run time at a local reading; it is negative before T0. Readings before the last
// correction count without it.
func (c Clock) At(reading int64) time.Duration {
	passed := time.Duration(reading - c.Reading)
	return c.Run + passed + c.taken(passed)
}

// taken is how much of the pending correction is taken in after a time. It is cut off towards zero,
// so that no rounding can exceed the rate or make time go back.
func (c Clock) taken(passed time.Duration) time.Duration {
	most := max(passed, 0) / slewed
	return min(max(c.Pending, -most), most)
}

// When returns the first local reading at which run time is at or after at: the inverse of At.
func (c Clock) When(at time.Duration) int64 {
	passed := at - c.Run
	if passed <= 0 || c.Pending == 0 {
		return c.Reading + int64(passed)
	}
	// Run time gains at most passed/slewed on the local clock; search the few readings in between.
	lo, hi := passed-passed/slewed-1, passed+passed/(slewed-1)+2
	for lo < hi {
		mid := lo + (hi-lo)/2
		if mid+c.taken(mid) >= passed {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return c.Reading + int64(lo)
}

// Correct returns the clock that, from a reading on, works off the difference to where T0 is by a
// better estimate. What an earlier correction had not taken in yet is replaced. A reading before the
// last correction is taken as that one.
func (c Clock) Correct(reading, t0 int64) Clock {
	reading = max(reading, c.Reading)
	now := c.At(reading)
	return Clock{Reading: reading, Run: now, Pending: time.Duration(reading-t0) - now}
}

// MinLead is the least time between the stamping of T0 and T0 where everything is on one machine;
// remoteLead where it is not.
const (
	MinLead    = 100 * time.Millisecond
	remoteLead = time.Second
)

// Lead returns how far ahead T0 is to be stamped: long enough for the record to be written and for
// every worker to hear of it, given the worst bound on a worker's clock offset and the time that the
// last fenced write took.
func Lead(worstBound, lastWrite time.Duration, loopback bool) time.Duration {
	lead := max(MinLead, 4*worstBound+2*lastWrite)
	if !loopback {
		lead = max(lead, remoteLead)
	}
	return lead
}
