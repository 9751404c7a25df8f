package run

import (
	"slices"
	"time"
)

// Offset is an estimate of another clock: remote reading = local reading + Value, within ± Bound.
type Offset struct {
	Value time.Duration
	Bound time.Duration
}

// Exchange is one message there and back, by four readings in nanoseconds: sent and back on the
// local clock, received and answered on the remote one.
type Exchange struct {
	Sent, Received, Answered, Back int64
}

// Offset returns what the exchange alone tells; false if it cannot have happened.
func (e Exchange) Offset() (Offset, bool) {
	trip := (e.Back - e.Sent) - (e.Answered - e.Received)
	if trip < 0 || e.Back < e.Sent || e.Answered < e.Received {
		return Offset{}, false
	}
	ahead := (e.Received - e.Sent) + (e.Answered - e.Back)
	return Offset{Value: time.Duration(ahead / 2), Bound: time.Duration(trip/2 + 1)}, true // 1: halving cuts off
}

// driftPPM is how far two clocks are assumed to drift apart, in parts per million: several times
// what crystals do, so that a bound holds as it ages.
const driftPPM = 100

// keptSamples bounds how many exchanges are remembered.
const keptSamples = 32

// OffsetEstimator estimates another machine's clock from exchanges. It keeps the last ones and uses
// the one with the smallest bound, which grows with its age; on a quiet link that is the one with
// the shortest round trip. The zero value is ready. It is not safe for concurrent use.
type OffsetEstimator struct {
	samples []sample
}

type sample struct {
	offset Offset
	at     int64 // local reading
}

// Add takes in an exchange; false if it cannot have happened.
func (o *OffsetEstimator) Add(e Exchange) bool {
	offset, ok := e.Offset()
	if !ok {
		return false
	}
	if len(o.samples) == keptSamples {
		o.samples = slices.Delete(o.samples, 0, 1)
	}
	o.samples = append(o.samples, sample{offset, e.Back})
	return true
}

// Best returns the best estimate at a local reading; false while there is none.
func (o *OffsetEstimator) Best(now int64) (Offset, bool) {
	var best Offset
	for i, s := range o.samples {
		age := max(0, now-s.at)
		bound := s.offset.Bound + time.Duration(age/1_000_000*driftPPM+age%1_000_000*driftPPM/1_000_000)
		if i == 0 || bound < best.Bound {
			best = Offset{Value: s.offset.Value, Bound: bound}
		}
	}
	return best, len(o.samples) > 0
}

// Reset forgets everything: the other side is another machine now.
func (o *OffsetEstimator) Reset() { o.samples = nil }

// Interval is the run times [Lo, Hi] within which the true one lies.
type Interval struct{ Lo, Hi time.Duration }

// Around returns the interval at ± bound.
func Around(at, bound time.Duration) Interval { return Interval{at - bound, at + bound} }

// Mid is the middle of the interval.
func (i Interval) Mid() time.Duration { return i.Lo + (i.Hi-i.Lo)/2 }

// Agree returns the smallest interval that as many of the given ones as possible contain, and how
// many those are: a new leader's run clock, out of what its workers say. One worker with a broken
// clock cannot outvote the others; of several equally supported intervals the narrowest, then the
// earliest, is taken. With no intervals the count is 0.
func Agree(intervals []Interval) (Interval, int) {
	var best Interval
	most := 0
	for _, a := range intervals {
		// The widest support begins where some interval begins.
		at, count := Interval{Lo: a.Lo, Hi: a.Hi}, 0
		for _, b := range intervals {
			if b.Lo <= a.Lo && a.Lo <= b.Hi {
				at.Hi = min(at.Hi, b.Hi)
				count++
			}
		}
		width, narrowest := at.Hi-at.Lo, best.Hi-best.Lo
		switch {
		case a.Hi < a.Lo: // no interval at all
		case count > most,
			count == most && (width < narrowest || width == narrowest && at.Lo < best.Lo):
			best, most = at, count
		}
	}
	return best, most
}
